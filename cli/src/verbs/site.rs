//! `picket site`: stop and start the whole site.

use crate::args::SiteVerb;
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::{SiteStartRequest, SiteStopRequest};

pub(super) async fn run(verb: SiteVerb, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = match verb {
        SiteVerb::Stop { degraded } => daemon.calls().site_stop(SiteStopRequest { degraded }).await,
        SiteVerb::Start => daemon.calls().site_start(SiteStartRequest {}).await,
    };
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
