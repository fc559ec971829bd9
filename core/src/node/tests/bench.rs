//! One node machine on a bench: its witness, its peer and its volume are played by the test.

use super::super::*;
use crate::evidence::{Generation, Proof};
use crate::ids::*;
use crate::message::*;
use crate::params::Profile;
use crate::quorum::QuorumMode;
use crate::ready::{Store, commit};
use crate::time::{Duration, Instant};
use crate::topology::{Device, DeviceKind, FencePlan, Level};
use alloc::vec;
use alloc::vec::Vec;

pub(super) const A: NodeId = NodeId(1);
pub(super) const B: NodeId = NodeId(2);
pub(super) const V: VolumeId = VolumeId(1);
pub(super) const W: VolumeId = VolumeId(2);
pub(super) const BOOT: BootId = BootId(0xA1);
const GENERATION: GenerationId = GenerationId(7);

/// The timings of every bench.
pub(super) fn params() -> crate::params::Params {
    Profile::Fast.params()
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The machine of node A, a two-node cluster at profile `fast`.
pub(super) struct Bench {
    pub(super) node: Node,
    pub(super) now: Instant,
    pub(super) disk: Disk,
    pub(super) run: Run,
    pub(super) syncs: u32,
    pub(super) session: u64,
    beat: u64,
    pub(super) seen: u64,
    /// The newest request that the machine sent to the witness.
    pub(super) request: RequestId,
}

struct Stores<'a>(&'a mut Disk, &'a mut Run, &'a mut u32);

impl Store<(), NodeRecord> for Stores<'_> {
    type Error = core::convert::Infallible;
    fn persist(&mut self, (): &(), record: &NodeRecord) -> Result<(), Self::Error> {
        if let Some(disk) = &record.disk {
            *self.0 = disk.clone();
        }
        if let Some(run) = &record.run {
            *self.1 = run.clone();
        }
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Self::Error> {
        *self.2 += 1;
        Ok(())
    }
}

pub(super) fn volume_config(loss_action: LossAction) -> VolumeConfig {
    VolumeConfig {
        members: NodeSet::only(A).with(B),
        driver: 1,
        loss_action,
        barrier: Barrier::Replication,
        barrier_suffices: false,
        demote_timeout: ms(5000),
        promote_timeout: ms(5000),
    }
}

pub(super) fn config(loss_action: LossAction) -> Config {
    let device = Device { kind: DeviceKind::Power, timeout: ms(5000), retries: 0, delay: Duration::ZERO };
    Config {
        me: A,
        members: NodeSet::only(A).with(B),
        digest: ConfigDigest(1),
        params: Profile::Fast.params(),
        paths: [(B, 2)].into(),
        volumes: [(V, volume_config(loss_action))].into(),
        fencing: [(B, FencePlan { levels: vec![Level { devices: vec![device] }] })].into(),
        watchdog: true,
        pause_visible: true,
        cold_start: ms(30_000),
        quorum: QuorumMode::Majority,
    }
}

pub(super) fn report(role: Role) -> VolumeReport {
    let peer = NodeSet::only(B);
    VolumeReport {
        role,
        frozen: false,
        complete: true,
        generation: Generation::first(GENERATION),
        connected: peer,
        complete_peers: peer,
        required: if role == Role::Primary { peer } else { NodeSet::EMPTY },
        lost: NodeSet::EMPTY,
    }
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        #[cfg(picket_mutants)]
        crate::mutant::switch_by_environment();
        let now = Instant::BOOT + ms(60_000);
        let node = Node::new(config, None, None, BOOT, Nonce(0x55), now).expect("nothing is held");
        Self {
            node,
            now,
            disk: Disk::default(),
            run: Run::default(),
            syncs: 0,
            session: 0,
            beat: 0,
            seen: 10,
            request: RequestId(0),
        }
    }

    /// The daemon dies and starts again in the same boot, with what its stores hold.
    pub(super) fn restart_daemon(&mut self) {
        let config = self.node.config().clone();
        self.node = self.restarted(config, BOOT).expect("everything that is held is configured");
    }

    /// The daemon that starts with this configuration, and what the stores hold.
    pub(super) fn restarted(&self, config: Config, boot: BootId) -> Result<Node, Vec<Orphan>> {
        Node::new(config, Some(self.disk.clone()), Some(self.run.clone()), boot, Nonce(0x66), self.now)
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<Effect> {
        let ready = self.node.step(self.now, input);
        let mut stores = Stores(&mut self.disk, &mut self.run, &mut self.syncs);
        let released = commit(&mut stores, vec![((), ready)]);
        let Ok(released) = released;
        let effects: Vec<Effect> = released.into_iter().flat_map(|(_, effects)| effects).collect();
        for effect in &effects {
            if let Effect::Witness(message) = effect {
                self.request = message.request;
            }
        }
        effects
    }

    pub(super) fn wait(&mut self, length: Duration) -> Vec<Effect> {
        let until = self.now + length;
        let mut effects = Vec::new();
        while self.now < until {
            self.now = self.node.deadline(self.now).min(until).max(self.now + Duration::from_micros(1));
            effects.extend(self.step(Input::Tick));
        }
        effects
    }

    /// As [`Self::wait`], with a peer that beats and a witness that answers.
    pub(super) fn live(&mut self, length: Duration) -> Vec<Effect> {
        let until = self.now + length;
        let mut effects = Vec::new();
        while self.now < until {
            self.now = self.now + ms(100);
            effects.extend(self.step(Input::Tick));
            effects.extend(self.beat_from_b(true));
            effects.extend(self.renew());
        }
        effects
    }

    pub(super) fn say(&mut self, body: Reply) -> Vec<Effect> {
        let (session, processed) = (SessionId(self.session), self.request);
        let seen = Seen { store: StoreId(9), commit: CommitIndex(self.seen) };
        self.step(Input::Witness(FromWitness { session, processed, seen, body }))
    }

    pub(super) fn register_view(
        &self,
        holder: Option<NodeId>,
        epoch: u64,
        isr: NodeSet,
        version: u64,
    ) -> RegisterView {
        let boot = |node| if node == A { BOOT } else { BootId(0xB1) };
        RegisterView {
            volume: V,
            epoch: Epoch(epoch),
            holder: holder.map(|node| Holder { node, boot: boot(node) }),
            isr,
            isr_version: IsrVersion(version),
            generation: GENERATION,
            successor: None,
        }
    }

    /// The connection ends, and another is greeted.
    pub(super) fn challenged(&mut self) -> Vec<Effect> {
        self.step(Input::WitnessGone);
        self.session += 1;
        self.say(Reply::Challenge { nonce: Nonce(3) })
    }

    pub(super) fn connect(&mut self, register: RegisterView) -> Vec<Effect> {
        self.challenged();
        self.say(Reply::Registered { registers: vec![register], recovering: None })
    }

    pub(super) fn renew(&mut self) -> Vec<Effect> {
        let held = self.node.status(self.now).volumes[0].phase.held();
        let volumes = held.map(|held| (V, held.epoch)).into_iter().collect();
        self.say(Reply::Renewed { volumes, refused: vec![], hears: NodeSet::only(A).with(B) })
    }

    pub(super) fn both() -> NodeSet {
        NodeSet::only(A).with(B)
    }

    pub(super) fn beat_with_epoch(&mut self, epoch: u64) -> Vec<Effect> {
        self.beat(vec![(V, Epoch(epoch))])
    }

    pub(super) fn beat_from_b(&mut self, holds: bool) -> Vec<Effect> {
        let status = self.node.status(self.now);
        let register = status.volumes[0].register.as_ref();
        let held = register.filter(|r| holds && r.holder.is_some_and(|h| h.node == B)).map(|r| (V, r.epoch));
        self.beat(held.into_iter().collect())
    }

    fn beat(&mut self, holds: Vec<(VolumeId, Epoch)>) -> Vec<Effect> {
        self.beat += 1;
        let echo = self.node.peers.get(&B).map(|peer| (self.node.run_id, peer.beat_seq));
        let beat = Beat {
            from: B,
            boot: BootId(0xB1),
            run: Nonce(0xBB),
            seq: self.beat,
            echo,
            hears: NodeSet::only(A),
            holds,
        };
        self.step(Input::Beat { path: PathId(0), beat })
    }

    pub(super) fn peer_says(&mut self, body: PeerBody) -> Vec<Effect> {
        self.step(Input::Peer {
            from: B,
            message: PeerMessage { boot: BootId(0xB1), run: Nonce(0xBB), body },
        })
    }

    /// Up, connected, past its quarantine, Secondary; B holds with epoch 1 and beats.
    pub(super) fn standby(loss_action: LossAction) -> Self {
        Self::standby_with(config(loss_action))
    }

    pub(super) fn standby_with(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.step(Input::Volume { volume: V, report: report(Role::Secondary) });
        let register = bench.register_view(Some(B), 1, Self::both(), 1);
        bench.connect(register);
        bench.live(ms(3000));
        bench
    }

    /// Active with epoch 2 after a grant, both in sync.
    pub(super) fn holder(loss_action: LossAction) -> Self {
        Self::holder_with(config(loss_action))
    }

    pub(super) fn holder_with(config: Config) -> Self {
        let mut bench = Self::standby_with(config);
        let effects = bench.say_free(2);
        bench.grant(&effects, 2);
        bench.promoted();
        bench
    }

    /// The witness shows the volume free.
    pub(super) fn say_free(&mut self, version: u64) -> Vec<Effect> {
        let register = self.register_view(None, 1, Self::both(), version);
        self.say(Reply::View(View { registers: vec![register], hears: Self::both(), ..View::default() }))
    }

    /// Grants what the effects ask for.
    pub(super) fn grant(&mut self, effects: &[Effect], epoch: u64) -> Vec<Effect> {
        let attempt = asked(effects).expect("the node asked");
        let register = self.register_view(Some(A), epoch, Self::both(), epoch + 1);
        self.say(Reply::Granted(Granted { attempt, register, proof: Proof::Released }))
    }

    pub(super) fn command(&self) -> CommandId {
        CommandId(self.node.counters.command)
    }

    pub(super) fn done(&mut self) -> Vec<Effect> {
        let command = self.command();
        self.step(Input::VolumeDone { volume: V, command, outcome: CommandOutcome::Done })
    }

    pub(super) fn promoted(&mut self) -> Vec<Effect> {
        let mut effects = self.done();
        effects.extend(self.step(Input::Volume { volume: V, report: report(Role::Primary) }));
        effects
    }

    pub(super) fn phase(&self) -> Phase {
        self.node.status(self.now).volumes[0].phase
    }
}

/// The attempt of the newest Acquire among the effects.
pub(super) fn asked(effects: &[Effect]) -> Option<AttemptId> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Witness(ToWitness { body: Request::Acquire(acquire), .. }) => Some(acquire.attempt),
        _ => None,
    })
}

/// What is done to the volume, in order.
pub(super) fn actions(effects: &[Effect]) -> Vec<&VolumeAction> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Volume { action, .. } => Some(action),
            _ => None,
        })
        .collect()
}

/// What is asked of the witness, without heartbeats and checks.
pub(super) fn requests(effects: &[Effect]) -> Vec<&Request> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Witness(message) => Some(&message.body),
            _ => None,
        })
        .filter(|request| !matches!(request, Request::Heartbeat(_) | Request::Check(_)))
        .collect()
}

/// Whether the machine resets itself.
pub(super) fn resets(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Reset { .. }))
}
