//! Two hundred kills at random moments, and garbage on every port.

use super::lab::{LIMIT, Lab, V1, play, two};
use core::time::Duration;
use picket::demo::Fault;
use picket::demo::cluster::{ClusterSpec, PICKETD, WITNESS, WITNESSD, ledger_program};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

/// How many processes are killed.
const KILLS: u32 = 200;

/// The longest time between two kills.
const APART_MS_MAX: u64 = 250;

/// A seeded sequence of numbers; the seed is printed, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn two_hundred_kills_lose_nothing() {
    play(async {
        let seed = std::env::var("PICKET_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
        println!("PICKET_SEED={seed}");
        let mut dice = Dice(seed);
        let lab = Lab::start(ClusterSpec { restart_after_ms: Some(100), ..two() }).await?;
        let ledger = ledger_program(V1);
        let targets = [
            ("n1", PICKETD),
            ("n2", PICKETD),
            (WITNESS, WITNESSD),
            ("n1", ledger.as_str()),
            ("n2", ledger.as_str()),
        ];
        for _ in 0..KILLS {
            let (machine, program) = targets[usize::try_from(dice.below(5))?];
            // It may be dead already, or its machine off: the watchdog and the fences go on meanwhile.
            let _ = lab.cluster.machine(machine)?.kill(program).await;
            tokio::time::sleep(Duration::from_millis(dice.below(APART_MS_MAX))).await;
        }
        for node in lab.cluster.spec().node_names() {
            let mut daemon_off = lab.cluster.machine(&node)?.power_on().await;
            while daemon_off.is_err() {
                daemon_off = lab.cluster.machine(&node)?.power_on().await;
            }
        }
        clear(&lab).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.scene().writes_go_on("after all kills", 50).await?;
        let primary = lab.cluster.wait_in_service(V1, LIMIT).await?;
        lab.judge(&primary).await
    });
}

/// So many fences may have a node held off; the operator lets it come back.
async fn clear(lab: &Lab) -> super::lab::Outcome {
    for node in lab.cluster.spec().node_names() {
        let mut daemon = lab.daemon(&node).await?;
        for held in lab.cluster.spec().node_names() {
            let _ = daemon.calls().clear(picket_proto::v1::NodeRequest { node: held }).await;
        }
    }
    Ok(())
}

#[test]
fn garbage_on_every_port_changes_nothing() {
    play(async {
        let lab = Lab::start(two()).await?;
        let fault = Fault::now();
        let mut dice = Dice(77);
        let mut streams: Vec<SocketAddr> = lab.cluster.servers(V1)?;
        let mut datagrams: Vec<SocketAddr> = Vec::new();
        let view = lab.cluster.view().borrow().clone();
        for (_, status) in view.nodes() {
            streams.extend(
                status.witness.iter().filter_map(|witness| witness.address.parse::<SocketAddr>().ok()),
            );
            let ends = status.paths.iter().flat_map(|path| path.addresses.split('/'));
            datagrams.extend(ends.filter_map(|text| text.parse::<SocketAddr>().ok()));
        }
        assert!(streams.len() >= 4 && datagrams.len() >= 8, "{streams:?} {datagrams:?}");
        for _ in 0..20 {
            let bytes: Vec<u8> =
                (0..dice.below(900)).map(|_| u8::try_from(dice.below(256)).unwrap_or(0)).collect();
            for address in &streams {
                let mut stream = TcpStream::connect(address).await?;
                let _ = stream.write_all(&bytes).await;
            }
            let socket = UdpSocket::bind("127.0.0.1:0").await?;
            for address in &datagrams {
                let _ = socket.send_to(&bytes, address).await;
            }
        }
        lab.scene().writes_go_on("after the garbage", 100).await?;
        lab.cluster.wait_healthy(LIMIT).await?;
        lab.nothing_moved(fault);
        let holder = lab.holder.clone();
        lab.judge(&holder).await
    });
}
