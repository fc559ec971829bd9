//! The witness's driver: the one loop around the production witness machine.

use super::World;
use super::clock::{Clock, MS, SECOND, Time};
use super::daemon::clip;
use super::disk::{DiskError, File};
use super::event::{Ev, Msg, RunNo};
use super::net::{Lane, WITNESS, place};
use super::oracle::Spoken;
use super::stream::StreamId;
use picket_core::ids::{NodeId, Nonce, SessionId, StoreId};
use picket_core::message::Reply;
use picket_core::ready::commit;
use picket_core::witness::{Effect, Input, Record, Witness};

/// The machine that the witness runs on, and its process.
#[derive(Clone, Debug)]
pub struct WitnessHost {
    pub(super) witness: Option<Witness>,
    pub(super) clock: Clock,
    pub(super) run: RunNo,
    pub(super) stalls: u8,
    /// Faults that keep it from being started.
    pub(super) held: u8,
    pub(super) disk: File<Record>,
    pub(super) store: StoreId,
    pub(super) waiting: Vec<Ev>,
    timer_at: Option<Time>,
    busy_until: Option<Time>,
}

impl WitnessHost {
    pub(super) fn new(store: StoreId, clock: Clock) -> Self {
        Self {
            witness: None,
            clock,
            run: 0,
            stalls: 0,
            held: 0,
            disk: File::default(),
            store,
            waiting: Vec::new(),
            timer_at: None,
            busy_until: None,
        }
    }

    /// Whether its process exists.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.witness.is_some()
    }

    /// Its production machine.
    #[must_use]
    pub const fn machine(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    /// What is on its disk.
    #[must_use]
    pub const fn durable(&self) -> Option<&Record> {
        self.disk.read()
    }
}

impl World {
    pub(super) fn start_witness(&mut self, run: RunNo) {
        if self.witness.run != run || self.witness.is_up() || self.witness.held > 0 {
            return;
        }
        match self.witness.disk.open() {
            Err(why) => return self.witness_cannot_start(why),
            Ok(true) => self.rules.hit(super::rules::TORN),
            Ok(false) => {}
        }
        let now = self.now;
        let config = self.setup.witness(self.changed.contains(&WITNESS));
        let host = &mut self.witness;
        let local = host.clock.read(now);
        let record = host.disk.read().cloned();
        let restart = record.is_some();
        host.witness = Some(Witness::new(config, record, host.store, local));
        host.timer_at = None;
        host.busy_until = None;
        self.log.line(now, "wit", || "starts".into());
        self.log.tell(now, || "the witness starts".into());
        self.witness_begins();
        if restart {
            self.rules.hit(super::rules::RESTART);
        }
        self.witness_streams();
        self.witness_input(Input::Tick);
    }

    /// A start begins a new generation of the store's files. The service manager tries again.
    fn witness_cannot_start(&mut self, why: DiskError) {
        self.rules.hit(super::rules::NO_START);
        self.log.line(self.now, "wit", || format!("cannot start: {}", why.text()));
        let after = self.rng.range(500 * MS, 4000 * MS);
        self.restart_witness(after);
    }

    /// Ends the witness's process.
    pub fn kill_witness(&mut self, why: &str) {
        let mut rng = self.rng.fork();
        let host = &mut self.witness;
        if host.witness.take().is_none() {
            return;
        }
        host.run += 1;
        host.disk.crash(&mut rng);
        host.waiting.clear();
        self.log.line(self.now, "wit", || format!("ends: {why}"));
        self.log.tell(self.now, || format!("the witness ends: {why}"));
        self.process_ended(WITNESS, false);
    }

    /// Starts the witness after a while, if nothing holds it.
    pub fn restart_witness(&mut self, after: u64) {
        let run = self.witness.run;
        self.put(self.now + after, Ev::StartWitness { run });
    }

    /// Stalls the witness's process, or ends one such stall.
    pub fn set_witness_stalled(&mut self, stalled: bool) {
        let host = &mut self.witness;
        host.stalls = if stalled { host.stalls + 1 } else { host.stalls.saturating_sub(1) };
        if host.stalls == 0 {
            for event in std::mem::take(&mut host.waiting) {
                self.put(self.now, event);
            }
        }
        self.witness_streams();
    }

    pub(super) fn witness_streams(&mut self) {
        let ids: Vec<_> = self.streams.keys().filter(|id| id.low == WITNESS).copied().collect();
        for id in ids {
            self.reconsider(id);
        }
    }

    pub(super) fn witness_input(&mut self, input: Input) {
        let run = self.witness.run;
        self.take_witness_input(run, input);
    }

    pub(super) fn take_witness_input(&mut self, run: RunNo, input: Input) {
        let host = &mut self.witness;
        if host.run != run || host.witness.is_none() {
            return;
        }
        if host.stalls > 0 {
            host.waiting.push(Ev::WitnessInput { run, input: Box::new(input) });
        } else if let Some(until) = host.busy_until {
            self.put(until, Ev::WitnessInput { run, input: Box::new(input) });
        } else {
            self.step_witness(input);
        }
    }

    fn step_witness(&mut self, input: Input) {
        let now = self.now;
        self.log.mix(now.0);
        self.log_witness_input(&input);
        self.steps += 1;
        let fresh = Nonce(self.rng.wide());
        let host = &mut self.witness;
        let local = host.clock.read(now);
        let Some(witness) = host.witness.as_mut() else { return };
        let spoken = Spoken::of(&input);
        let connected = if let Input::Connected { node } = input { Some(node) } else { None };
        let commit_before = witness.record().commit;
        let ready = witness.step(local, input, fresh);
        let changed = witness.record().commit != commit_before;
        let released = match commit(&mut host.disk, vec![((), ready)]) {
            Ok(released) => released,
            Err(why) => {
                self.rules.hit(super::rules::NOT_KEPT);
                let after = self.rng.range(500 * MS, 4000 * MS);
                return self.witness_ends(why.text(), after);
            }
        };
        let effects: Vec<Effect> = released.into_iter().flat_map(|(_, effects)| effects).collect();
        for effect in &effects {
            if let Effect::Send { node, message } = effect {
                self.rules.reply(&message.body, changed);
                self.note_reply(*node, &message.body);
            }
        }
        self.check_step(&spoken);
        if let Some(node) = connected {
            self.note_session(node, &effects);
        }
        if self.witness.disk.is_busy() {
            self.witness_syncs(effects);
        } else {
            self.witness_performs(effects);
        }
        self.set_witness_timer();
    }

    /// The loop waits until the record is durable. The machine may end before that.
    fn witness_syncs(&mut self, effects: Vec<Effect>) {
        let now = self.now;
        let run = self.witness.run;
        let takes = self.witness.disk.sync_takes(&mut self.rng);
        self.witness.busy_until = Some(now + takes);
        if self.witness.disk.tears() {
            let at = now + self.rng.range(0, takes - 1);
            self.put(at, Ev::WitnessCutOff { run });
        }
        self.put(now + takes, Ev::WitnessEffects { run, effects });
    }

    /// The witness's machine ends in the middle of a write, and boots again.
    pub(super) fn witness_cut_off(&mut self, run: RunNo) {
        if self.witness.run == run {
            let after = self.rng.range(2 * SECOND, 6 * SECOND);
            self.witness_ends("power fails while it writes", after);
        }
    }

    fn witness_ends(&mut self, why: &str, restart_after: u64) {
        self.kill_witness(why);
        self.restart_witness(restart_after);
    }

    /// The new session on the connection that was just made.
    fn note_session(&mut self, node: NodeId, effects: &[Effect]) {
        let challenge = effects.iter().find_map(|effect| match effect {
            Effect::Send { node: to, message } if *to == node => {
                matches!(message.body, Reply::Challenge { .. }).then_some(message.session)
            }
            Effect::Send { .. }
            | Effect::Close { .. }
            | Effect::OperatorAnswer { .. }
            | Effect::Event(_)
            | Effect::Alarm(_) => None,
        });
        let stream = StreamId::new(Lane::Witness, WITNESS, place(node));
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.session = challenge;
        }
    }

    fn set_witness_timer(&mut self) {
        let host = &mut self.witness;
        let Some(due) = host.witness.as_ref().and_then(Witness::deadline) else { return };
        let Some(at) = host.clock.when(due).map(|at| at.max(self.now + 1000)) else { return };
        if host.timer_at.is_none_or(|planned| at < planned) {
            host.timer_at = Some(at);
            let run = host.run;
            self.put(at, Ev::WitnessTimer { run });
        }
    }

    pub(super) fn witness_timer(&mut self, run: RunNo) {
        let now = self.now;
        let host = &mut self.witness;
        if host.run != run || host.witness.is_none() || host.timer_at.is_some_and(|at| at > now) {
            return;
        }
        if host.stalls > 0 {
            host.waiting.push(Ev::WitnessTimer { run });
            return;
        }
        if let Some(until) = host.busy_until {
            host.timer_at = Some(until);
            self.put(until, Ev::WitnessTimer { run });
            return;
        }
        host.timer_at = None;
        let local = host.clock.read(now);
        if host.witness.as_ref().and_then(Witness::deadline).is_some_and(|due| due <= local) {
            self.step_witness(Input::Tick);
        } else {
            self.set_witness_timer();
        }
    }

    pub(super) fn witness_synced(&mut self, run: RunNo, effects: Vec<Effect>) {
        let host = &mut self.witness;
        if host.run != run || host.witness.is_none() {
            return;
        }
        if host.stalls > 0 {
            host.waiting.insert(0, Ev::WitnessEffects { run, effects });
            return;
        }
        host.busy_until = None;
        host.disk.settle();
        self.check_witness_record();
        self.witness_performs(effects);
    }

    fn witness_performs(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { node, message } => {
                    let id = StreamId::new(Lane::Witness, WITNESS, place(node));
                    let current = self.streams.get(&id).and_then(|stream| stream.session);
                    if current == Some(message.session) {
                        self.send(id, WITNESS, Msg::FromWitness(Box::new(message)), 0);
                    }
                }
                Effect::Close { session } => self.close_session(session),
                Effect::OperatorAnswer { ticket, answer } => {
                    self.log.line(self.now, "wit", || format!("answer {ticket}: {answer:?}"));
                    self.witness_answered(ticket, &answer);
                }
                Effect::Event(event) => self.witness_event(&event),
                Effect::Alarm(alarm) => self.witness_alarm(&alarm),
            }
        }
    }

    fn close_session(&mut self, session: SessionId) {
        let found = self.streams.iter().find(|(_, stream)| stream.session == Some(session));
        if let Some(id) = found.map(|(id, _)| *id) {
            self.witness_closes(id);
        }
    }

    fn log_witness_input(&mut self, input: &Input) {
        let boring = |message: &picket_core::message::ToWitness| {
            matches!(message.body, picket_core::message::Request::Heartbeat(_))
        };
        if !self.log.is_on() || matches!(input, Input::Tick) {
            return;
        }
        if matches!(input, Input::Message { message, .. } if boring(message)) {
            return;
        }
        let verbose = self.verbose;
        self.log.line(self.now, "wit", || format!("<- {}", clip(&format!("{input:?}"), verbose)));
    }
}
