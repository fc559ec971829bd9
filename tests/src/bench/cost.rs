//! What an idle witness costs: processor time and memory of its process, as the kernel counts them.

use crate::Failure;
use crate::rig::{LIMIT, program};
use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, PICKETD, WITNESS, WITNESSD};
use picket_core::params::Profile;
use picket_host::clock::boottime;
use std::fs;

/// The clock ticks in which `/proc` counts processor time: 100 in a second on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process used.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Of one core, in percent.
    pub cpu_percent: f64,
    /// Resident memory, in KiB.
    pub resident_kib: u64,
}

/// The cost of a witness with one cluster of two nodes at profile `fast`, and of a node's daemon that holds the
/// volume; nothing happens meanwhile.
///
/// # Errors
/// The cluster cannot be started, or `/proc` cannot be read.
pub async fn idle(length: Duration) -> Result<(Cost, Cost), Failure> {
    let spec = ClusterSpec { profile: Profile::Fast, ..ClusterSpec::new(2, program()?) };
    let cluster = Cluster::start(spec).await?;
    cluster.wait_healthy(LIMIT).await?;
    let holder = cluster.wait_in_service(picket::demo::VOLUME, LIMIT).await?;
    let (witness, node) = (pid(&cluster, WITNESS, WITNESSD).await?, pid(&cluster, &holder, PICKETD).await?);
    let (from, before) = (boottime(), (ticks(witness)?, ticks(node)?));
    // The length is what is measured over.
    tokio::time::sleep(length).await;
    let (after, seconds) = ((ticks(witness)?, ticks(node)?), (boottime() - from).as_secs_f64());
    let percent = |before: u64, after: u64| {
        #[expect(clippy::cast_precision_loss, reason = "some thousand ticks")]
        let used = after.saturating_sub(before) as f64 / TICKS_PER_SECOND;
        100.0 * used / seconds
    };
    let cost = |pid, before, after| -> Result<Cost, Failure> {
        Ok(Cost { cpu_percent: percent(before, after), resident_kib: resident_kib(pid)? })
    };
    let costs = (cost(witness, before.0, after.0)?, cost(node, before.1, after.1)?);
    cluster.end().await?.remove()?;
    Ok(costs)
}

async fn pid(cluster: &Cluster, machine: &str, program: &str) -> Result<i32, Failure> {
    let status = cluster.machine(machine)?.status().await?;
    let pid = status.program(program).and_then(|program| program.pid);
    pid.ok_or_else(|| format!("{program} does not run on {machine}").into())
}

/// User and system time of all threads, fields 14 and 15 of `stat`, counted from behind the name in parentheses.
fn ticks(pid: i32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).ok_or("a stat without a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    field(11).zip(field(12)).map(|(user, system)| user + system).ok_or_else(|| "a stat without times".into())
}

pub(super) fn resident_kib(pid: i32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| "a status without VmRSS".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_cost() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert!(resident_kib(me).expect("resident") > 100);
        let before = ticks(me).expect("ticks");
        assert!(ticks(me).expect("ticks") >= before);
        assert!(ticks(-1).is_err());
    }
}
