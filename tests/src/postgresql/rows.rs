//! What is done to it, and what must follow.

use super::rig::{DATABASE, PgRig};
use super::servers::PORT;
use crate::Failure;
use crate::netns::Rooms;
use crate::rig::LIMIT;
use core::time::Duration;
use picket::demo::cluster::{PICKETD, View};
use picket_host::clock::boottime;

/// How many writes show that the service runs.
const RUNS: u64 = 50;

/// Writes that take longer, at one in 2 ms or slower, than any lease lasts by itself.
const LONGER_THAN_A_LEASE: u64 = 1500;

/// A fault, or an operator's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PgRow {
    /// The operator moves the database to the other node.
    SwitchOver,
    /// The same, and the server does not end when it is asked to: it is killed at the end of its time.
    StopHangs,
    /// The holder's machine loses its power: every process on it is killed.
    KillMachine,
    /// The holder's daemon is killed, and started again.
    KillDaemon,
    /// The replica cannot reach the holder's server any more; everything else goes on.
    CutReplication,
    /// The holder's machine is cut from everybody but the clients.
    Isolate,
    /// The same, and its power switch does not answer: only its lease says when it has stopped.
    IsolateAndSwitch,
    /// The holder's daemon is stopped, its server is not.
    StopDaemon,
    /// Both machines lose their power at once.
    KillBoth,
}

impl PgRow {
    /// Every one.
    pub const EVERY: [Self; 9] = [
        Self::SwitchOver,
        Self::StopHangs,
        Self::KillMachine,
        Self::KillDaemon,
        Self::CutReplication,
        Self::Isolate,
        Self::IsolateAndSwitch,
        Self::StopDaemon,
        Self::KillBoth,
    ];

    /// Those of the short run.
    pub const SHORT: [Self; 2] = [Self::KillMachine, Self::SwitchOver];
}

/// How long the clients had no service, and how many acknowledgements were judged.
pub struct Played {
    /// The longest time between two acknowledgements.
    pub outage: Duration,
    /// All so far.
    pub judged: usize,
}

/// Plays one on a cluster that is well, heals everything, and judges.
///
/// # Errors
/// What did not follow, or what was found.
pub async fn play(rig: &PgRig, rooms: &Rooms, row: PgRow) -> Result<Played, Failure> {
    let holder = rig.serves().await?;
    let other = rig.other(&holder);
    let from = boottime();
    let followed = follow(rig, rooms, row, (&holder, &other)).await;
    rooms.heal()?;
    let healed = rig.heal().await;
    let outage = rig.clients.outage(from);
    let judged = rig.judge().await;
    followed?;
    healed?;
    Ok(Played { outage, judged: judged? })
}

async fn follow(
    rig: &PgRig,
    rooms: &Rooms,
    row: PgRow,
    (holder, other): (&str, &str),
) -> Result<(), Failure> {
    let machine = rig.cluster.machine(holder)?;
    match row {
        PgRow::SwitchOver => {
            rig.move_to(other).await?;
            rig.clients.go_on(RUNS, LIMIT).await
        }
        PgRow::StopHangs => {
            rig.servers.hang(holder)?;
            rig.move_to(other).await?;
            rig.clients.go_on(RUNS, LIMIT).await
        }
        PgRow::KillMachine => {
            machine.power_off().await?;
            taken_over(rig, other).await
        }
        PgRow::KillDaemon => {
            machine.kill(PICKETD).await?;
            rig.clients.go_on(LONGER_THAN_A_LEASE, LIMIT).await?;
            stays(rig, holder)
        }
        PgRow::CutReplication => {
            rooms.close_port(holder, PORT)?;
            let alone = |view: &View| {
                view.volume(holder, DATABASE).is_some_and(|volume| volume.solo)
                    && view.in_service(DATABASE).is_some()
            };
            rig.cluster.wait_for("the holder goes on alone", LIMIT, alone).await?;
            rig.clients.go_on(RUNS, LIMIT).await?;
            stays(rig, holder)
        }
        PgRow::Isolate => {
            unplug(rooms, holder)?;
            taken_over(rig, other).await
        }
        PgRow::IsolateAndSwitch => {
            machine.switch_answers(false).await?;
            unplug(rooms, holder)?;
            taken_over(rig, other).await
        }
        PgRow::StopDaemon => {
            machine.freeze(PICKETD).await?;
            taken_over(rig, other).await
        }
        PgRow::KillBoth => {
            machine.power_off().await?;
            rig.cluster.machine(other)?.power_off().await?;
            Ok(())
        }
    }
}

fn unplug(rooms: &Rooms, machine: &str) -> Result<(), Failure> {
    rooms.unplug(machine, 0)?;
    rooms.unplug(machine, 1)
}

async fn taken_over(rig: &PgRig, by: &str) -> Result<(), Failure> {
    let there = |view: &View| view.in_service(DATABASE).as_deref() == Some(by);
    rig.cluster.wait_for(format!("{by} takes over"), LIMIT, there).await?;
    rig.clients.go_on(RUNS, LIMIT).await
}

fn stays(rig: &PgRig, holder: &str) -> Result<(), Failure> {
    let now = rig.cluster.view().borrow().in_service(DATABASE);
    if now.as_deref() == Some(holder) {
        Ok(())
    } else {
        Err(format!("it moved from {holder} to {now:?}").into())
    }
}
