//! `picket maintenance`: no fence and no takeover for a while.

use crate::args::{MaintenanceLength, to_ms};
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::MaintenanceRequest;

pub(super) async fn run(
    node: String,
    length: MaintenanceLength,
    session: &mut Session,
) -> Result<Exit, Fault> {
    let length_ms = match length {
        // 0 would end it.
        MaintenanceLength::For(length) => to_ms(length).max(1),
        MaintenanceLength::End => 0,
    };
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().maintenance(MaintenanceRequest { node, length_ms }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
