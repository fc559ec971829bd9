//! Families around single rules.

use super::super::ending::End;
use super::super::faults::Fault;
use super::super::setup::{BARE, Devices, GUEST, Setup, WATCHED, long_leases, tight};
use super::super::world::AgentFault;
use super::Family;
use picket_core::ids::{NodeId, VolumeId};
use picket_core::node::LossAction;
use picket_core::time::Duration;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N4: NodeId = NodeId(4);
const V1: VolumeId = VolumeId(1);
const V2: VolumeId = VolumeId(2);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn families() -> Vec<Family> {
    let mut all = leases();
    all.extend(failsafe());
    all.extend(proofs());
    all.extend(data());
    all.extend(permits());
    all.extend(after_permits());
    all.extend(boots());
    all
}

fn base() -> Setup {
    Setup::new(2)
}

fn alone() -> Setup {
    Setup { devices: Devices::None, ..base() }
}

/// Leases, petting, drift, pauses.
fn leases() -> Vec<Family> {
    let bare = Setup { self_fence: BARE, ..alone() };
    let slow = Setup { params: tight(), drift: [-4_900, 0, 0, 0], ..alone() };
    let two = Setup { volumes: 2, ..alone() };
    let patient = Setup { driver: ms(300), ..alone() };
    let hasty = Setup { driver: ms(100), ..alone() };
    let guest = Setup { self_fence: GUEST, ..alone() };
    vec![
        Family::new("an answer that comes late", alone())
            .finds(&[1])
            .then(&[Fault::HoldFromWitness(N1)])
            .within(&[Fault::Mute(N1), Fault::Isolate(N1)], 0, 60, 1),
        Family::new("petting ends with the lease", alone())
            .finds(&[5, 26])
            .then(&[Fault::Isolate(N1)])
            .within(&[Fault::StallLong(N1), Fault::StallTorn(N1)], 0, 60, 1),
        Family::new("petting ends with the lease, and a freeze hangs", alone())
            .finds(&[5, 26])
            .within(&[Fault::Isolate(N1)], 0, 12, 2)
            .within(&[Fault::SlowDriver(N1)], 20, 38, 2)
            .within(&[Fault::StallLong(N1), Fault::StallTorn(N1)], 0, 30, 1),
        Family::new("a slow clock and a stalled daemon", slow)
            .finds(&[2])
            .start(&[Fault::Move(N1)])
            .within(&[Fault::Isolate(N1)], 0, 12, 2)
            .within(&[Fault::StallLong(N1), Fault::StallTorn(N1)], 230, 310, 1),
        Family::new("a stalled daemon without a watchdog", bare)
            .finds(&[4])
            .then(&[Fault::StallLong(N1), Fault::StallShort(N1)]),
        Family::new("petting with two volumes", two)
            .finds(&[27])
            .start(&[Fault::CutVolume(V2, N1, N2)])
            .within(&[Fault::Isolate(N1)], 0, 12, 2)
            .within(&[Fault::SlowDriver(N1)], 20, 38, 2)
            .within(&[Fault::StallLong(N1), Fault::StallTorn(N1)], 0, 30, 1),
        Family::new("a promotion that is done after its lease", patient)
            .finds(&[55])
            .within(&[Fault::SlowPromotion(N2)], 0, 4, 8)
            .then(&[Fault::Move(N2)])
            .within(&[Fault::Isolate(N2), Fault::CutWitness(N2), Fault::CutSwitch(N2)], 0, 30, 1)
            .end(End::Eventually),
        Family::new("a promotion that is given up and done later", hasty)
            .finds(&[55])
            .within(&[Fault::SlowPromotion(N2)], 0, 4, 8)
            .then(&[Fault::Crash(N1), Fault::Move(N2)])
            .within(&[Fault::PowerOn(N1), Fault::Isolate(N2), Fault::Mute(N2)], 0, 160, 4)
            .end(End::Eventually),
        Family::new("a guest is paused", guest).finds(&[18]).then(&[Fault::Pause(N1)]).within(
            &[Fault::CutWitness(N1), Fault::Isolate(N1)],
            0,
            140,
            3,
        ),
        Family::new("isolated and alone", Setup { loss_action: LossAction::Freeze, ..alone() })
            .finds(&[11])
            .then(&[Fault::Isolate(N1)]),
        Family::new("the witness restarts under a lease", alone())
            .finds(&[3])
            .then(&[Fault::Isolate(N1)])
            .within(&[Fault::RestartWitness], 0, 60, 1),
    ]
}

/// Going on without a witness.
fn failsafe() -> Vec<Family> {
    let long = Setup { params: long_leases(), ..alone() };
    let quick = Setup { boot: ms(2), ..long };
    let three = Setup { params: long_leases(), ..Setup { nodes: 3, ..alone() } };
    let asked = Setup { params: long_leases(), devices: Devices::Meatware, ..base() };
    let fenced = Setup { params: long_leases(), agent: ms(60), slow_agents: true, ..base() };
    vec![
        Family::new("failsafe, then isolated", alone()).finds(&[6]).then(&[Fault::CutWitness(N1)]).within(
            &[Fault::Isolate(N1), Fault::Cut(N1, N2)],
            0,
            120,
            1,
        ),
        Family::new("failsafe under an attempt", alone())
            .finds(&[7])
            .then(&[Fault::CutBeats(N1, N2)])
            .within(&[Fault::CutWitness(N1)], 0, 60, 1),
        Family::new("failsafe, and who promised boots", quick)
            .finds(&[8])
            .then(&[Fault::CutWitness(N1)])
            .within(&[Fault::Reboot(N2), Fault::RestartDaemon(N2)], 30, 60, 3)
            .within(&[Fault::Isolate(N1), Fault::Cut(N1, N2)], 0, 30, 3),
        Family::new("failsafe, and an answer for an earlier run", long)
            .finds(&[21])
            .then(&[Fault::CutWitness(N1)])
            .within(&[Fault::HoldPeer(N2, N1)], 24, 34, 2)
            .within(&[Fault::RestartDaemon(N1)], 0, 12, 2)
            .within(&[Fault::Cut(N1, N2)], 0, 36, 3),
        Family::new("failsafe with three nodes and a grow", three)
            .finds(&[13])
            .start(&[Fault::CutData(N1, N3)])
            .then(&[Fault::Heal])
            .within(&[Fault::CutWitness(N1)], 0, 12, 1)
            .within(&[Fault::Cut(N1, N3), Fault::RestartDaemon(N1)], 0, 24, 2)
            .within(&[Fault::Cut(N1, N3)], 0, 12, 4),
        Family::new("a grow that the next daemon does not know of", three)
            .finds(&[25])
            .start(&[Fault::CutData(N1, N3)])
            .within(&[Fault::Heal], 0, 4, 8)
            .within(&[Fault::CutWitness(N1)], 2, 14, 1)
            .within(&[Fault::RestartDaemon(N1)], 0, 20, 5)
            .within(&[Fault::Cut(N1, N3)], 0, 20, 5),
        Family::new("failsafe while an agent runs", fenced)
            .finds(&[36])
            .start(&[Fault::CutBeats(N1, N2)])
            .then(&[Fault::CutWitness(N1)])
            .within(&[Fault::RestartDaemon(N1), Fault::StallShort(N1)], 0, 40, 1),
        Family::new("failsafe after a refusal", asked)
            .finds(&[37])
            .then(&[Fault::Isolate(N1)])
            .within(&[Fault::Heal], 24, 60, 1)
            .within(&[Fault::RestartDaemon(N2)], 0, 24, 2),
        Family::new("failsafe after a refusal that a former daemon heard", asked)
            .finds(&[48])
            .start(&[Fault::StopHangs(N1)])
            .then(&[Fault::FenceByHand(N2, N1)])
            .within(&[Fault::CutWitness(N1)], 0, 12, 1)
            .within(&[Fault::RestartDaemon(N1)], 0, 12, 1)
            .within(&[Fault::RestartDaemon(N2)], 0, 12, 1),
    ]
}

/// What proves a holder inactive.
fn proofs() -> Vec<Family> {
    let bare = Setup { self_fence: BARE, ..base() };
    let hangs = Setup { reset_hangs: true, ..base() };
    vec![
        Family::new("a fence that cannot tell", bare)
            .finds(&[9])
            .then(&[Fault::Agent(AgentFault::UnknownIdle), Fault::Agent(AgentFault::UnknownLate)])
            .within(&[Fault::StallLong(N1), Fault::Isolate(N1)], 0, 12, 1),
        Family::new("a release on two ways", alone())
            .finds(&[17])
            .then(&[Fault::CutSwitch(N1)])
            .within(&[Fault::HoldToWitness(N2)], 20, 60, 1)
            .within(&[Fault::Heal], 0, 40, 1),
        Family::new("a stop that hangs", hangs).finds(&[29]).start(&[Fault::StopHangs(N1)]).then(&[
            Fault::Move(N2),
            Fault::Isolate(N1),
            Fault::RestartDaemon(N1),
        ]),
        Family::new("a stop that hangs, and the boot after it", base())
            .finds(&[28])
            .start(&[Fault::StopHangs(N1)])
            .then(&[Fault::Move(N2)])
            .end(End::Redundant),
        Family::new("a daemon restarts while a stop would hang", alone())
            .finds(&[15])
            .start(&[Fault::StopHangs(N1)])
            .then(&[Fault::RestartDaemon(N1)])
            .within(&[Fault::Cut(N1, N2), Fault::CutWitness(N1)], 0, 20, 2),
    ]
}

/// The in-sync set and the barrier.
fn data() -> Vec<Family> {
    let growing = Setup { params: long_leases(), nodes: 3, ..alone() };
    vec![
        Family::new("out of sync, then alone", base()).finds(&[10]).then(&[Fault::CutData(N1, N2)]).within(
            &[Fault::Crash(N1)],
            0,
            60,
            1,
        ),
        Family::new("a barrier that nobody may lift", alone())
            .finds(&[34])
            .then(&[Fault::Isolate(N1), Fault::CutSwitch(N1)])
            .within(&[Fault::Crash(N1), Fault::Heal], 0, 60, 2),
        Family::new("a restored witness", base())
            .finds(&[22])
            .start(&[Fault::BackUpWitness])
            .then(&[Fault::Crash(N1)])
            .within(&[Fault::Reboot(N2), Fault::Crash(N2)], 20, 90, 2)
            .within(&[Fault::RestoreWitness], 0, 40, 4),
        Family::new("a witness rolled back", base())
            .finds(&[19])
            .start(&[Fault::BackUpWitness])
            .then(&[Fault::CutData(N1, N2)])
            .within(&[Fault::RollBackWitness], 14, 30, 1)
            .within(&[Fault::Crash(N1)], 0, 20, 1),
        Family::new("a witness rolled back under a lonely holder", base())
            .finds(&[40])
            .start(&[Fault::BackUpWitness, Fault::Crash(N2)])
            .then(&[Fault::PowerOn(N2), Fault::Reboot(N1)])
            .within(&[Fault::RollBackWitness, Fault::PowerOn(N2)], 0, 20, 1)
            .within(&[Fault::Reboot(N1), Fault::RollBackWitness], 0, 20, 2),
        Family::new("a replaced witness, and a replica about to be required", alone())
            .finds(&[53])
            // The witness hears the replica, which is not told that it was removed.
            .within(&[Fault::HoldFromWitness(N2)], 0, 4, 8)
            .within(&[Fault::CutData(N1, N2)], 0, 4, 8)
            .within(&[Fault::SlowDriver(N1)], 0, 16, 2)
            .within(&[Fault::Heal], 0, 4, 4)
            .within(&[Fault::ReplaceWitness], 0, 16, 2)
            .within(&[Fault::Isolate(N1)], 4, 44, 2),
        Family::new("an old answer about the in-sync set", alone())
            .finds(&[14])
            .then(&[Fault::CutData(N1, N2)])
            .within(&[Fault::Ghosts(N1)], 0, 12, 1)
            .within(&[Fault::Heal], 20, 60, 10)
            .within(&[Fault::Isolate(N1)], 60, 150, 5),
        Family::new("an old word of the witness", Setup { nodes: 3, ..base() })
            .finds(&[57])
            .start(&[Fault::CutData(N1, N3), Fault::CutData(N2, N3)])
            .within(&[Fault::Move(N2)], 20, 24, 4)
            .within(&[Fault::Again(N2)], 0, 6, 1)
            .within(&[Fault::Heal], 155, 165, 8)
            .end(End::Redundant),
        Family::new("two changes of the in-sync set", growing)
            .finds(&[12])
            .start(&[Fault::CutData(N1, N3)])
            .within(&[Fault::HoldToWitness(N1)], 0, 4, 8)
            .within(&[Fault::Heal], 0, 4, 8)
            .within(&[Fault::CutData(N1, N2)], 2, 14, 3)
            .within(&[Fault::Evict(N2)], 0, 8, 3)
            .within(&[Fault::Crash(N1)], 18, 34, 1),
    ]
}

/// Fences and permits.
fn permits() -> Vec<Family> {
    let long = Setup { agent: ms(100), slow_agents: true, ..base() };
    let both = Setup { volumes: 2, ..base() };
    let early = Setup { boot: ms(2), agent: ms(100), slow_agents: true, ..both };
    let tried = Setup { self_fence: BARE, retries: 1, ..base() };
    let spread = Setup { spread: true, ..both };
    let fastboot = Setup { loss_action: LossAction::Fastboot, devices: Devices::None, ..both };
    vec![
        Family::new("no heartbeats", base()).finds(&[20]).then(&[Fault::CutBeats(N1, N2)]),
        Family::new("an agent that takes its time", long)
            .finds(&[38])
            .then(&[Fault::Crash(N1), Fault::Isolate(N1)])
            .within(&[Fault::RestartWitness, Fault::RestartDaemon(N2)], 20, 100, 2),
        Family::new("an agent that takes its time, and a boot", early)
            .finds(&[23])
            .start(&[Fault::CutVolume(V2, N1, N2)])
            .within(&[Fault::FenceByHand(N2, N1)], 0, 10, 4)
            .within(&[Fault::Reboot(N1), Fault::Isolate(N1)], 0, 60, 2),
        Family::new("a second try after a stall", tried)
            .finds(&[44])
            .start(&[Fault::Agent(AgentFault::UnknownIdle)])
            .within(&[Fault::Crash(N1), Fault::Isolate(N1)], 0, 12, 2)
            .within(&[Fault::StallLong(N2), Fault::StallShort(N2)], 24, 50, 1)
            .end(End::Redundant),
        Family::new("a permit over a target that speaks", long)
            .finds(&[30])
            .then(&[Fault::Isolate(N1)])
            .within(&[Fault::Heal], 26, 46, 1)
            .within(&[Fault::CutData(N1, N2)], 0, 6, 1),
        Family::new("a fence by hand with nothing at stake", spread)
            .finds(&[31])
            .then(&[Fault::CutVolume(V1, N1, N2)])
            .within(&[Fault::FenceByHand(N2, N1)], 0, 40, 1),
        Family::new("two nodes that would fence each other", Setup { spread: true, ..early })
            .finds(&[88])
            .within(&[Fault::FenceByHand(N2, N1)], 0, 12, 4)
            .within(&[Fault::FenceByHand(N1, N2)], 0, 60, 1)
            .end(End::Redundant),
        Family::new("a volume that is nowhere else", both)
            .finds(&[32])
            .start(&[Fault::CutVolume(V2, N1, N2)])
            .then(&[Fault::Isolate(N1), Fault::CutWitness(N1), Fault::StallLong(N1)])
            .within(&[Fault::CutBeats(N1, N2), Fault::Cut(N1, N2)], 0, 40, 4),
        Family::new("a volume that is nowhere else, fastboot", fastboot)
            .finds(&[33])
            .start(&[Fault::CutVolume(V2, N1, N2)])
            .then(&[Fault::Isolate(N1), Fault::CutWitness(N1)])
            .within(&[Fault::Isolate(N1), Fault::RestartWitness], 0, 60, 4),
    ]
}

/// What follows a permit: grants, takeovers, fencers that are to be fenced.
fn after_permits() -> Vec<Family> {
    let frozen = Setup { self_fence: BARE, loss_action: LossAction::Freeze, ..base() };
    let three = Setup { nodes: 3, volumes: 2, spread: true, agent: ms(60), slow_agents: true, ..base() };
    let four = Setup { nodes: 4, ..base() };
    vec![
        Family::new("a revoked holder that is left alone", frozen)
            .finds(&[50])
            .start(&[Fault::Agent(AgentFault::Fails)])
            .then(&[Fault::Isolate(N1), Fault::CutWitness(N1)])
            .within(&[Fault::Cut(N1, N2)], 0, 12, 4)
            .within(&[Fault::Evict(N2)], 40, 160, 2)
            .within(&[Fault::Heal], 0, 12, 2),
        Family::new("a grant whose answer is lost", base()).finds(&[35]).then(&[Fault::Crash(N1)]).within(
            &[Fault::RestartWitness, Fault::Ghosts(N2)],
            24,
            44,
            1,
        ),
        Family::new("a witness that has just started", Setup { params: long_leases(), ..base() })
            .finds(&[39])
            .then(&[Fault::Isolate(N1), Fault::CutWitness(N1)])
            .within(&[Fault::RestartWitness], 0, 40, 1),
        Family::new("a takeover, and the winner dies", Setup { nodes: 3, ..base() })
            .finds(&[42])
            .then(&[Fault::Crash(N1)])
            .within(&[Fault::Crash(N2), Fault::Crash(N3)], 0, 160, 2)
            .end(End::Survivors),
        Family::new("a fencer that is to be fenced", three)
            .finds(&[43])
            .within(&[Fault::FenceByHand(N2, N1)], 0, 8, 16)
            .within(&[Fault::Isolate(N2)], 16, 44, 2)
            .within(&[Fault::Heal], 22, 48, 1),
        Family::new("a holder that loses one after the other", four)
            .finds(&[93])
            .within(&[Fault::StallData(N1, N4)], 0, 8, 16)
            .within(&[Fault::CutData(N1, N2)], 2, 12, 16)
            .within(&[Fault::CutData(N1, N3)], 2, 12, 8)
            .within(&[Fault::Isolate(N1)], 2, 12, 8)
            .within(&[Fault::FenceByHand(N4, N1)], 0, 12, 8),
    ]
}

/// Boots, their order, and overrides.
fn boots() -> Vec<Family> {
    let quick = Setup { boot: ms(2), agent: ms(20), ..base() };
    let again = Setup { boot: ms(2), self_fence: WATCHED, ..alone() };
    vec![
        Family::new("a fence, and the target boots before it is told", quick)
            .finds(&[16])
            .start(&[Fault::Agent(AgentFault::TellsLate)])
            .then(&[Fault::Crash(N1), Fault::Isolate(N1)])
            .within(&[Fault::PowerOn(N1)], 24, 60, 1)
            .within(&[Fault::RestartWitness], 0, 60, 6)
            .end(End::Redundant),
        Family::new("an old registration", again)
            .finds(&[24])
            .start(&[Fault::CutData(N1, N2)])
            .within(&[Fault::RestartDaemon(N1)], 0, 10, 8)
            .within(&[Fault::Ghosts(N1)], 0, 14, 1)
            .within(&[Fault::Reboot(N1)], 0, 6, 4)
            .within(&[Fault::Heal], 60, 66, 8)
            .within(&[Fault::CutBeats(N1, N2)], 10, 60, 12),
        Family::new("an override, and what follows its record", alone())
            .finds(&[52])
            .within(&[Fault::KillWitness], 0, 2, 8)
            .within(&[Fault::Crash(N1)], 0, 2, 8)
            .within(&[Fault::Override(N2)], 40, 60, 8)
            .within(&[Fault::PowerOn(N1)], 200, 500, 10)
            .within(&[Fault::Isolate(N2)], 0, 200, 2)
            .end(End::Open),
        Family::new("a greeting of a former session", base())
            .finds(&[51])
            .then(&[Fault::RestartWitness, Fault::RestartDaemon(N1)])
            .within(&[Fault::Ghosts(N1)], 0, 20, 1)
            .within(&[Fault::CutWitness(N1), Fault::KillWitness], 0, 140, 4)
            .end(End::Redundant),
        Family::new("an override that knows less than the witness", alone())
            .finds(&[41])
            .start(&[Fault::Isolate(N2)])
            .then(&[Fault::Reboot(N1)])
            .within(&[Fault::Crash(N1)], 60, 140, 2)
            .within(&[Fault::Override(N2)], 20, 60, 5)
            .end(End::Open),
    ]
}
