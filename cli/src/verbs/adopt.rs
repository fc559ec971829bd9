//! `picket adopt`: end the witness's RECOVERY.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::AdoptRequest;

pub(super) async fn run(source: Option<String>, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let request = AdoptRequest { source: source.unwrap_or_default() };
    let answer = daemon.calls().adopt(request).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
