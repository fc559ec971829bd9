//! How long the witness takes to change its register durably, and to answer at all.
//!
//! The store lies on a real disk here (the directory that is given), because one sync is what a change costs. The
//! operator's request stands for every change of the register: all of them are one record, one sync, one answer.

use super::table::{Row, Unit};
use crate::Failure;
use crate::rig::{LIMIT, program};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec};
use picket_core::params::Profile;
use picket_host::clock::boottime;
use picket_host::files::RealFiles;
use picket_proto::v1::operator_request::{Kind, Maintenance};
use picket_proto::v1::{AdminRequest, OperatorRequest, Span, WitnessStatusRequest};
use picket_witness::store::Store;
use std::path::Path;
use std::sync::Arc;

/// A record of the register is about so long.
const RECORD_BYTES: usize = 200;

/// The store alone: one record appended and synced.
///
/// # Errors
/// The store failed.
pub fn store(dir: &Path, rounds: usize) -> Result<Row, Failure> {
    let dir = dir.join("store-alone");
    std::fs::create_dir_all(&dir)?;
    let mut store = Store::open(Arc::new(RealFiles), &dir)?;
    let mut values = Vec::with_capacity(rounds);
    let record = [7; RECORD_BYTES];
    for round in 0..rounds {
        let from = boottime();
        store.append(&format!("volume/{}", round % 8), &record)?;
        store.commit()?;
        values.push(micros(boottime().saturating_sub(from)));
    }
    drop(store);
    std::fs::remove_dir_all(&dir)?;
    Ok(Row {
        what: "store alone: append and sync of one record".into(),
        unit: Unit::Us,
        values,
        target: None,
    })
}

/// A running witness: its answer from memory, and a change of the register with its sync.
///
/// # Errors
/// The cluster cannot be started, or the witness refuses.
pub async fn witness(dir: &Path, rounds: usize) -> Result<[Row; 2], Failure> {
    let spec = ClusterSpec { profile: Profile::Fast, ..ClusterSpec::new(2, program()?) };
    let dir = dir.join("lab");
    std::fs::create_dir_all(&dir)?;
    let cluster = Cluster::start(ClusterSpec { dir: Some(dir.clone()), ..spec }).await?;
    cluster.wait_healthy(LIMIT).await?;
    let mut client = cluster.witness()?;
    client.status(WitnessStatusRequest {}).await?;
    let (mut answers, mut changes) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for round in 0..rounds {
        let from = boottime();
        client.status(WitnessStatusRequest {}).await?;
        answers.push(micros(boottime().saturating_sub(from)));
        // A node goes into maintenance and out of it in turn.
        let minute_ns = 60_000_000_000;
        let length = Span { nanos: Some(if round % 2 == 0 { minute_ns } else { 0 }) };
        let kind = Kind::Maintenance(Maintenance { node: Some(1), length: Some(length) });
        let request = OperatorRequest { kind: Some(kind) };
        let request = AdminRequest {
            protocol: Some(picket_proto::PROTOCOL),
            request: Some(request),
            reason: "bench".into(),
        };
        let from = boottime();
        let answer = client.admin(request).await?.into_inner();
        changes.push(micros(boottime().saturating_sub(from)));
        use picket_proto::v1::operator_answer::Kind as Said;
        match answer.answer.and_then(|answer| answer.kind) {
            Some(Said::Done(_)) => {}
            other => return Err(format!("the witness did not change its register: {other:?}").into()),
        }
    }
    cluster.end().await?.remove()?;
    std::fs::remove_dir_all(&dir)?;
    let row = |what: &str, values| Row { what: what.into(), unit: Unit::Us, values, target: None };
    Ok([
        row("witness: an answer from memory, over TLS", answers),
        row("witness: a change of the register, synced, over TLS", changes),
    ])
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
