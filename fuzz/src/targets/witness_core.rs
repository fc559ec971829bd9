//! The witness's machine, spoken to by members that say anything at all.
//!
//! Whoever has a member's certificate can send what the wire's checks let pass. It may get nonsense recorded about
//! its own cluster; it must not end the witness, which serves other clusters too, and must not break a register.

use super::script::{Script, Verb};
use super::{samples, script};
use crate::must;
use crate::target::{Answer, Broken, Target};
use core::convert::Infallible;
use core::time::Duration;
use picket_core::evidence::{Generation, SelfFence};
use picket_core::ids::{
    AttemptId, BootId, CommitIndex, ConfigDigest, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, Nonce,
    RequestId, SessionId, StoreId, VolumeId,
};
use picket_core::message::{Acquire, FromWitness, Register, ReplicaReport, Reply, Request, Seen, ToWitness};
use picket_core::params::Profile;
use picket_core::ready::{Store, commit};
use picket_core::time::Instant;
use picket_core::witness::{Alarm, Config, Effect, Input, Record, Witness};
use picket_proto::{COUNT_MAX, from_wire, to_wire, v1};
use picket_witness::claims::{CLAIM_MAX, believable};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// The target. An input is a script: see [`script`].
pub const TARGET: Target = Target {
    name: "witness-core",
    about: "any sequence of readable messages from members: no panic, no broken invariant, every answer readable",
    seeds,
    words: &[],
    check,
};

const VOLUMES: [VolumeId; 2] = [VolumeId(1), VolumeId(65_535)];
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(16)];
const STORE: StoreId = StoreId(0x57);
const DIGEST: ConfigDigest = ConfigDigest(0xd1);

fn config() -> Config {
    let members: NodeSet = NODES.into_iter().collect();
    let volumes = VOLUMES.iter().map(|volume| (*volume, members)).collect();
    Config { members, volumes, digest: DIGEST, params: Profile::Fast.params() }
}

fn register(boot: u128) -> Request {
    let report = |volume| ReplicaReport {
        volume,
        max_epoch: Epoch(0),
        isr: NodeSet::EMPTY,
        isr_version: IsrVersion(0),
        recorded: GenerationId(0),
        generation: Generation::first(GenerationId(7)),
        complete: true,
        held: None,
        barrier_suffices: false,
        overridden: None,
    };
    Request::Register(Register {
        nonce: Nonce(0),
        boot: BootId(boot),
        config: DIGEST,
        self_fence: SelfFence { watchdog_counts: true, pause_visible: true },
        replicas: VOLUMES.into_iter().map(report).collect(),
    })
}

fn said(node: u8, body: Request) -> Vec<u8> {
    let message = ToWitness { seen: Default::default(), ..samples::to_witness(body) };
    script::put(Verb::Say, node, &to_wire(&message).encode_to_vec())
}

fn seeds() -> Vec<Vec<u8>> {
    let all_register: Vec<u8> = (0..3)
        .flat_map(|node| {
            [script::put(Verb::Connect, node, &[]), said(node, register(u128::from(node) + 1))].concat()
        })
        .collect();
    let acquire = Request::Acquire(Acquire {
        volume: VOLUMES[0],
        attempt: AttemptId(1),
        generation: Generation::first(GenerationId(7)),
        complete: true,
    });
    let granted = [all_register.clone(), said(0, acquire)].concat();
    let mut seeds = vec![all_register, granted.clone()];
    // A member that has seen the largest number that is believed, that is read, and that can be written.
    for commit in [CLAIM_MAX, CLAIM_MAX + 1, COUNT_MAX, u64::MAX] {
        let seen = Seen { store: STORE, commit: CommitIndex(commit) };
        let far = ToWitness { seen, ..samples::to_witness(Request::Withdraw { attempt: AttemptId(1) }) };
        seeds.push([granted.clone(), script::put(Verb::Say, 0, &to_wire(&far).encode_to_vec())].concat());
    }
    for body in samples::every_request() {
        seeds.push([granted.clone(), said(0, body.clone()), said(1, body)].concat());
    }
    seeds.push(
        [granted.clone(), script::put(Verb::Wait, 0, &[200]), script::put(Verb::Restart, 0, &[])].concat(),
    );
    seeds
}

/// Records as some scripts leave them, to begin with.
#[must_use]
pub fn records() -> Vec<Record> {
    let mut records = vec![Record::default()];
    for seed in seeds() {
        let mut bench = Bench::new();
        if bench.play(&seed).is_ok() {
            records.extend(bench.disk);
        }
    }
    records.dedup();
    records
}

struct Disk<'a>(&'a mut Option<Record>);

impl Store<(), Record> for Disk<'_> {
    type Error = Infallible;
    fn persist(&mut self, (): &(), record: &Record) -> Result<(), Infallible> {
        *self.0 = Some(record.clone());
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A session as its node knows it.
#[derive(Clone, Copy, Default)]
struct Link {
    session: SessionId,
    request: u64,
    nonce: Nonce,
}

struct Bench {
    witness: Witness,
    disk: Option<Record>,
    now: Instant,
    fresh: u128,
    links: BTreeMap<NodeId, Link>,
    seen: BTreeSet<String>,
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let mut bench = Bench::new();
    bench.play(input)?;
    Ok(Answer::all(&bench.seen))
}

impl Bench {
    fn new() -> Self {
        let now = Instant::since_boot(Duration::from_secs(100));
        let witness = Witness::new(config(), None, STORE, now);
        Self { witness, disk: None, now, fresh: 1, links: BTreeMap::new(), seen: BTreeSet::new() }
    }

    fn play(&mut self, input: &[u8]) -> Result<(), Broken> {
        for (verb, who, bytes) in Script::new(input) {
            self.act(verb, NODES[usize::from(who) % NODES.len()], bytes)?;
        }
        self.look()
    }

    fn act(&mut self, verb: Verb, node: NodeId, bytes: &[u8]) -> Result<(), Broken> {
        match verb {
            Verb::Connect => {
                self.links.insert(node, Link::default());
                self.step(Input::Connected { node })
            }
            Verb::Gone => match self.links.remove(&node) {
                Some(link) => self.step(Input::Disconnected { session: link.session }),
                None => Ok(()),
            },
            Verb::Wait => {
                let steps = bytes.first().copied().unwrap_or(1);
                self.now = self.now + Duration::from_millis(20) * u32::from(steps);
                self.step(Input::Tick)
            }
            Verb::Restart => {
                self.links.clear();
                self.witness = Witness::new(config(), self.disk.clone(), STORE, self.now);
                self.step(Input::Tick)
            }
            Verb::Say => self.say(node, bytes),
        }
    }

    /// What the node says, on its session and in sequence, so that it gets past the door; what stands in it is as
    /// it came.
    fn say(&mut self, node: NodeId, bytes: &[u8]) -> Result<(), Broken> {
        let Ok(wire) = v1::ToWitness::decode(bytes) else { return Ok(()) };
        let Ok(mut message) = from_wire::<ToWitness>(wire) else { return Ok(()) };
        let link = self.links.entry(node).or_default();
        link.request += 1;
        let link = *link;
        (message.session, message.request) = (link.session, RequestId(link.request));
        if let Request::Register(register) = &mut message.body {
            register.nonce = link.nonce;
            register.config = DIGEST;
        }
        if let Err(unbelievable) = believable(self.witness.record(), &message) {
            self.seen.insert(format!("unbelievable {}", unbelievable.what));
            self.links.remove(&node);
            return self.step(Input::Disconnected { session: link.session });
        }
        self.step(Input::Message { node, message })
    }

    fn step(&mut self, input: Input) -> Result<(), Broken> {
        self.fresh = self.fresh.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
        self.now = self.now + Duration::from_millis(1);
        let ready = self.witness.step(self.now, input, Nonce(self.fresh));
        let Ok(released) = commit(&mut Disk(&mut self.disk), vec![((), ready)]);
        for effect in released.into_iter().flat_map(|(_, effects)| effects) {
            self.take(effect)?;
        }
        Ok(())
    }

    fn take(&mut self, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Send { node, message } => {
                let wire = to_wire(&message).encode_to_vec();
                must!(wire.len() <= picket_proto::MESSAGE_BYTES_MAX, "an answer of {} bytes", wire.len());
                let read =
                    v1::FromWitness::decode(wire.as_slice()).map_err(|error| Broken(error.to_string()))?;
                let read = from_wire::<FromWitness>(read);
                must!(read.as_ref() == Ok(&message), "a node cannot read {message:?}: {read:?}");
                self.seen.insert(script::first_words(&message.body));
                let link = self.links.entry(node).or_default();
                link.session = message.session;
                if let Reply::Challenge { nonce } = message.body {
                    *link = Link { session: message.session, request: 0, nonce };
                }
            }
            Effect::Alarm(Alarm::Broken { invariant, volume }) => {
                return Err(Broken(format!("volume {volume}: {invariant}")));
            }
            Effect::Event(event) => drop(self.seen.insert(script::first_words(&event))),
            Effect::Alarm(_) | Effect::Close { .. } | Effect::OperatorAnswer { .. } => {}
        }
        Ok(())
    }

    /// What holds at the end of each script, for whoever looks at the witness then.
    fn look(&self) -> Result<(), Broken> {
        let text = serde_json::to_string(self.witness.record()).map_err(|error| Broken(error.to_string()))?;
        let read: Record =
            serde_json::from_str(&text).map_err(|error| Broken(format!("the record: {error}")))?;
        must!(read == *self.witness.record(), "the record is another one when it is read again");
        for node in NODES {
            let _ = (self.witness.quorum(node), self.witness.check(node, self.now));
        }
        let _ = (self.witness.view(self.now), self.witness.pending(), self.witness.deadline());
        Ok(())
    }
}
