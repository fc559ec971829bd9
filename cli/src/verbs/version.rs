//! `picket version`: of this program, the daemon and the witness.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::VersionRequest;
use picket_proto::{PROTOCOL, SCHEMA};
use serde_json::json;

pub(super) async fn run(session: &mut Session) -> Result<Exit, Fault> {
    let own = env!("CARGO_PKG_VERSION");
    let versions = match session.daemon().await {
        Ok(mut daemon) => {
            let mut calls = daemon.calls().clone();
            daemon.look(calls.version(VersionRequest {})).await
        }
        Err(fault) => Err(fault),
    };
    if session.json {
        let daemon = versions.as_ref().ok();
        let line = json!({
            "schema": SCHEMA, "picket": own, "protocol": PROTOCOL,
            "node": daemon.map(|versions| &versions.node),
            "node_protocol": daemon.map(|versions| versions.protocol),
            "witness": daemon.map(|versions| &versions.witness).filter(|witness| !witness.is_empty()),
        });
        writeln!(session.out, "{line}")?;
    } else {
        writeln!(session.out, "picket   {own} (protocol {PROTOCOL})")?;
        if let Ok(versions) = &versions {
            writeln!(session.out, "picketd  {} (protocol {})", versions.node, versions.protocol)?;
            let witness = if versions.witness.is_empty() { "not told" } else { &versions.witness };
            writeln!(session.out, "witness  {witness}")?;
        }
    }
    versions.map(|_| Exit::Done)
}
