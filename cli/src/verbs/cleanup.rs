//! `picket cleanup`: forget the failures of a resource.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::TagRequest;

pub(super) async fn run(tag: String, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().cleanup(TagRequest { tag }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
