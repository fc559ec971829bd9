//! `picket adopt`: end the witness's RECOVERY.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::{AdoptRequest, StatusWitness};

pub(super) async fn run(source: Option<String>, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let witness = daemon.status(0).await?.witness.unwrap_or_default();
    let without = have_asserted(&witness, source.as_deref(), session)?;
    let request = AdoptRequest { source: source.unwrap_or_default(), without };
    let answer = daemon.calls().adopt(request).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}

/// The members that the operator does without, after what that means was told and their names were typed.
fn have_asserted(
    witness: &StatusWitness,
    source: Option<&str>,
    session: &mut Session,
) -> Result<Vec<String>, Fault> {
    let missing = &witness.missing;
    if !witness.recovering {
        return Ok(Vec::new()); // nothing to end: the witness says so
    }
    if let Some(source) = source {
        session.tell(&format!(
            "Where the replicas' claims contradict each other, {source}'s data is the volume's: what others have written is lost."
        ))?;
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let names = missing.join(" ");
    session.tell(&format!(
        "The witness has no report of {names}. You assert that each of these is off, or knows of nothing newer.\n\
If one of them runs cut off from everybody, alone with newer data, a volume is active twice and its writes are lost."
    ))?;
    session.have_typed(&format!("To go on, type {names}: "), &names)?;
    Ok(missing.clone())
}
