//! `picket retire`: tombstone the witness's store.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::RetireRequest;

pub(super) async fn run(session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let cluster = daemon.status(0).await?.cluster;
    session.tell(&format!(
        "Retiring means: the witness that serves cluster {cluster} now never gives it a grant again.\n\
Do it only when another witness takes its place. It cannot be undone."
    ))?;
    session.have_typed(&format!("To go on, type {cluster}: "), &cluster)?;
    let answer = daemon.calls().retire(RetireRequest { typed: cluster }).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
