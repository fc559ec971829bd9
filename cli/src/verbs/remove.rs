//! `picket remove`: take a resource out of service.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::TagRequest;

pub(super) async fn run(tag: String, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().remove(TagRequest { tag }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
