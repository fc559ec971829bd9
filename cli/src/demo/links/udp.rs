//! Packets through a link.

use super::lane::{Fate, LaneView};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

/// The largest packet that UDP carries.
const PACKET_BYTES_MAX: usize = 65_535;

/// How many packets may be under way on one lane; more are lost, as in a full queue of a switch.
const PACKETS_UNDER_WAY_MAX: usize = 1024;

/// Packets under way, by arrival; the number keeps apart those that arrive together.
#[derive(Default)]
struct UnderWay {
    packets: BTreeMap<(Instant, u64), Vec<u8>>,
    sent: u64,
}

impl UnderWay {
    fn send(&mut self, packet: &[u8], arrival: Instant) {
        if self.packets.len() < PACKETS_UNDER_WAY_MAX {
            self.sent += 1;
            self.packets.insert((arrival, self.sent), packet.to_owned());
        }
    }

    async fn arrives(&mut self) -> Vec<u8> {
        let Some((at, _)) = self.packets.keys().next().copied() else { return std::future::pending().await };
        sleep_until(at).await;
        self.packets.pop_first().map(|(_, packet)| packet).unwrap_or_default()
    }
}

/// Carries packets for ever. `front` is where the near machine sends to, `back` talks to `target`.
pub(super) async fn serve(front: UdpSocket, back: UdpSocket, target: SocketAddr, views: [LaneView; 2]) {
    let [mut there, mut here] = views;
    let (mut going, mut coming) = (UnderWay::default(), UnderWay::default());
    let mut near = None;
    let (mut from_near, mut from_far) = (vec![0; PACKET_BYTES_MAX], vec![0; PACKET_BYTES_MAX]);
    loop {
        // Errors of sending and receiving are those of a packet (nobody listens there): it is lost.
        tokio::select! {
            received = front.recv_from(&mut from_near) => {
                let Ok((length, sender)) = received else { continue };
                near = Some(sender);
                match there.fate() {
                    Fate::Lost => {}
                    Fate::Now => { let _ = back.send_to(&from_near[..length], target).await; }
                    Fate::At(at) => going.send(&from_near[..length], at),
                }
            }
            received = back.recv_from(&mut from_far) => {
                let Ok((length, sender)) = received else { continue };
                let Some(near) = near.filter(|_| sender == target) else { continue };
                match here.fate() {
                    Fate::Lost => {}
                    Fate::Now => { let _ = front.send_to(&from_far[..length], near).await; }
                    Fate::At(at) => coming.send(&from_far[..length], at),
                }
            }
            packet = going.arrives() => {
                if !there.is_cut() {
                    let _ = back.send_to(&packet, target).await;
                }
            }
            packet = coming.arrives() => {
                if let (false, Some(near)) = (here.is_cut(), near) {
                    let _ = front.send_to(&packet, near).await;
                }
            }
        }
    }
}
