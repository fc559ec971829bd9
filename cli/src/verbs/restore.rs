//! `picket restore`: bring a resource into service.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::RestoreRequest;

pub(super) async fn run(tag: String, only: bool, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().restore(RestoreRequest { tag, only }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
