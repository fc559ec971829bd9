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
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let answers = shared.0.lock().unwrap().take(&buffer[..len]);
                shared.1.notify_all();
                for answer in answers {
                    let _ = socket.send_to(&answer, from);
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
