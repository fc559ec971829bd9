//! The controller on a UDP socket of the loopback interface, on a thread of its own.

use super::{Bmc, Config};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A controller that can be reached and looked into. It ends with the test's process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<Bmc>, Condvar)>,
}

impl Server {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_at("127.0.0.1:0", config)
    }

    pub(crate) fn start_at(address: &str, config: Config) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new((Mutex::new(Bmc::new(config)), Condvar::new()));
        let shared = Arc::clone(&state);
        let mut noise = shared.0.lock().unwrap().config.noise.map(Noise::new);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let answers = shared.0.lock().unwrap().take(&buffer[..len]);
                shared.1.notify_all();
                for answer in answers {
                    let sent = noise.as_mut().map_or_else(|| vec![answer.clone()], |noise| noise.of(&answer));
                    for packet in sent {
                        let _ = socket.send_to(&packet, from);
                    }
                }
            }
        });
        Self { address, state }
    }

    /// Looks into the controller.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Bmc) -> T) -> T {
        look(&mut self.state.0.lock().unwrap())
    }

    /// Waits until the controller is as `wanted` says; false if that takes longer than `most`.
    pub(crate) fn wait_until(&self, most: Duration, wanted: impl Fn(&Bmc) -> bool) -> bool {
        let guard = self.state.0.lock().unwrap();
        let (_guard, timeout) = self.state.1.wait_timeout_while(guard, most, |bmc| !wanted(bmc)).unwrap();
        !timeout.timed_out()
    }
}

/// A bad network, the same at every run: one packet goes in, none or several come out.
struct Noise {
    state: u64,
    kept: Vec<Vec<u8>>,
}

impl Noise {
    const fn new(seed: u64) -> Self {
        Self { state: seed | 1, kept: Vec::new() }
    }

    /// xorshift64: only has to be irregular.
    fn below(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % most
    }

    fn of(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let (mut changed, at) = (packet.to_vec(), self.below(packet.len()));
        let whole = packet.to_vec();
        match self.below(10) {
            0 => vec![],
            1 => vec![whole.clone(), whole],
            2 => {
                self.kept.push(whole);
                vec![]
            }
            3 => self.kept.drain(..).chain([whole]).collect(),
            4 => vec![packet[..at].to_vec(), whole],
            5 => {
                changed[at] ^= 0x55;
                vec![changed]
            }
            _ => vec![whole],
        }
    }
}
