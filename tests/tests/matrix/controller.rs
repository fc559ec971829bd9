//! A management controller whose machine is a lab machine: IPMI on a UDP socket in front, the power switch behind.
//!
//! The controller is the one of the agents' own tests. What it says about the power is asked at the switch each time.

#[path = "../../../fence-agents/tests/bmc/mod.rs"]
mod bmc;

use bmc::{Bmc, Config};
use core::time::Duration;
use picket_fence::deadline::Deadline;
use picket_fence::power::{Command, Reply, Request, ask};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The user's name and password at every controller.
pub(crate) const LOGIN: (&str, &str) = ("admin", "secret");

/// How long the switch may take; it answers at once.
const SWITCH_WITHIN: Duration = Duration::from_secs(5);

/// One controller. It ends with the test's process.
pub(crate) struct Controller {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    switch: Option<PathBuf>,
    deaf: bool,
    ordered: Vec<&'static str>,
}

impl Controller {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("its number").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let (mut bmc, mut buffer) = (Bmc::new(Config::default()), [0; 2048]);
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                bmc.power = state.is_on();
                let before = bmc.controls.len();
                let answers = bmc.take(&buffer[..len]);
                let orders: Vec<u8> = bmc.controls.iter().skip(before).copied().collect();
                orders.into_iter().for_each(|order| state.obey(order));
                for answer in answers {
                    // Who asked may be gone.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { port, state }
    }

    /// Connects the machine.
    pub(crate) fn connect(&self, switch: PathBuf) {
        self.with(|state| state.switch = Some(switch));
    }

    /// From now on it accepts orders and does nothing.
    pub(crate) fn deafen(&self) {
        self.with(|state| state.deaf = true);
    }

    /// What it was ordered to do.
    pub(crate) fn ordered(&self) -> Vec<&'static str> {
        self.with(|state| state.ordered.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn say(&self, command: Command) -> Option<Reply> {
        let until = Deadline::after(SWITCH_WITHIN);
        ask(self.switch.as_ref()?, &Request { command, machine: None }, until, until).ok()
    }

    /// A switch that does not answer is no machine that is off.
    fn is_on(&self) -> bool {
        self.say(Command::Status) != Some(Reply::Off)
    }

    fn obey(&mut self, order: u8) {
        let (word, command) = if order == 0 { ("off", Command::Off) } else { ("on", Command::On) };
        self.ordered.push(word);
        if !self.deaf {
            self.say(command);
        }
    }
}
