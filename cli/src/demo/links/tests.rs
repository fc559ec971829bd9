//! What the links do to real sockets. Waiting for something that must *not* come is done by
//! sending something after it that must: order, not time, is the proof.

use super::*;
use core::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(10);
/// How long nothing must come. A link that leaks shows it within microseconds; a slow host can
/// only make the test miss a leak, never fail.
const SILENCE: Duration = Duration::from_millis(60);
const PEER: &[Kind] = &[Kind::Peer];

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("still waiting")
}

async fn tcp_pair(links: &Links, ip: &str) -> (TcpStream, TcpStream, TcpListener) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let front = links.tcp("n1", "n2", Kind::Peer, listener.local_addr().unwrap()).await.unwrap();
    let near = TcpStream::connect(front).await.unwrap();
    let (far, _) = within(listener.accept()).await.unwrap();
    (near, far, listener)
}

async fn reads<const N: usize>(stream: &mut (impl AsyncReadExt + Unpin)) -> [u8; N] {
    let mut bytes = [0; N];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

async fn silent(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    timeout(SILENCE, stream.read(&mut [0; 16])).await.is_err()
}

#[tokio::test]
async fn tcp_carries_both_ways_and_the_end_on_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let links = Links::new(1);
        let (mut near, mut far, _listener) = tcp_pair(&links, ip).await;
        near.write_all(b"ping").await.unwrap();
        assert_eq!(&reads::<4>(&mut far).await, b"ping");
        far.write_all(b"pong").await.unwrap();
        assert_eq!(&reads::<4>(&mut near).await, b"pong");
        near.shutdown().await.unwrap();
        assert_eq!(within(far.read(&mut [0; 4])).await.unwrap(), 0);
        far.write_all(b"rest").await.unwrap();
        assert_eq!(&reads::<4>(&mut near).await, b"rest");
    }
}

#[tokio::test]
async fn a_cut_holds_one_direction_and_healing_lets_the_held_bytes_go() {
    let links = Links::new(1);
    let (mut near, mut far, _listener) = tcp_pair(&links, "127.0.0.1").await;
    links.cut("n1", "n2", Kinds::Only(PEER));
    assert!(links.is_cut("n1", "n2", Kind::Peer) && !links.is_cut("n2", "n1", Kind::Peer));
    near.write_all(b"held").await.unwrap();
    far.write_all(b"free").await.unwrap();
    assert_eq!(&reads::<4>(&mut near).await, b"free");
    assert!(silent(&mut far).await);
    near.shutdown().await.unwrap();
    assert!(silent(&mut far).await, "the end of the stream is held as well");
    links.heal("n1", "n2", Kinds::Only(PEER));
    assert_eq!(&reads::<4>(&mut far).await, b"held");
    assert_eq!(within(far.read(&mut [0; 4])).await.unwrap(), 0);
}

#[tokio::test]
async fn the_direction_back_is_cut_alone_as_well() {
    let links = Links::new(1);
    let (mut near, mut far, _listener) = tcp_pair(&links, "127.0.0.1").await;
    links.cut("n2", "n1", Kinds::All);
    far.write_all(b"held").await.unwrap();
    near.write_all(b"free").await.unwrap();
    assert_eq!(&reads::<4>(&mut far).await, b"free");
    assert!(silent(&mut near).await);
    links.heal("n2", "n1", Kinds::All);
    assert_eq!(&reads::<4>(&mut near).await, b"held");
}

#[tokio::test]
async fn a_new_connection_through_a_cut_hangs_until_both_lanes_are_whole() {
    let links = Links::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = links.tcp("n1", "n2", Kind::Peer, listener.local_addr().unwrap()).await.unwrap();
    links.cut_both("n1", "n2", Kinds::Only(PEER));
    let mut near = within(TcpStream::connect(front)).await.expect("never refused");
    near.write_all(b"early").await.unwrap();
    links.heal("n1", "n2", Kinds::Only(PEER));
    assert!(timeout(SILENCE, listener.accept()).await.is_err(), "one lane is not enough");
    assert!(silent(&mut near).await);
    links.heal("n2", "n1", Kinds::Only(PEER));
    let (mut far, _) = within(listener.accept()).await.unwrap();
    assert_eq!(&reads::<5>(&mut far).await, b"early");
}

#[tokio::test]
async fn a_reset_breaks_both_ends_also_of_a_cut_link() {
    let links = Links::new(1);
    let (mut near, mut far, listener) = tcp_pair(&links, "127.0.0.1").await;
    near.write_all(b"up").await.unwrap();
    assert_eq!(&reads::<2>(&mut far).await, b"up");
    links.cut_both("n1", "n2", Kinds::All);
    links.reset("n2", "n1", Kinds::Only(PEER));
    for stream in [&mut near, &mut far] {
        let error = within(stream.read(&mut [0; 4])).await.expect_err("must break");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    links.heal_everything();
    let front = links.tcp("n1", "n2", Kind::Peer, listener.local_addr().unwrap()).await.unwrap();
    let mut near = TcpStream::connect(front).await.unwrap();
    let (mut far, _) = within(listener.accept()).await.unwrap();
    near.write_all(b"anew").await.unwrap();
    assert_eq!(&reads::<4>(&mut far).await, b"anew");
}

#[tokio::test]
async fn a_target_that_refuses_breaks_the_connection() {
    let links = Links::new(1);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let front = links.tcp("n1", "n2", Kind::Peer, gone).await.unwrap();
    let mut near = TcpStream::connect(front).await.unwrap();
    assert!(within(near.read(&mut [0; 4])).await.is_err());
}

#[tokio::test]
async fn cut_all_of_a_machine_holds_for_old_and_new_links_and_for_no_others() {
    let links = Links::new(1);
    let (mut near, mut far, listener) = tcp_pair(&links, "127.0.0.1").await;
    links.cut_all_of("n2");
    near.write_all(b"held").await.unwrap();
    assert!(silent(&mut far).await);
    let target = listener.local_addr().unwrap();
    links.tcp("witness", "n2", Kind::Witness, target).await.unwrap();
    assert!(links.is_cut("witness", "n2", Kind::Witness) && links.is_cut("n2", "witness", Kind::Witness));
    assert!(!links.is_cut("n1", "witness", Kind::Witness));
    links.heal_all_of("n2");
    assert_eq!(&reads::<4>(&mut far).await, b"held");
}

#[tokio::test]
async fn healing_a_part_of_a_whole_cut_leaves_the_rest_cut() {
    let links = Links::new(1);
    let (_near, _far, listener) = tcp_pair(&links, "127.0.0.1").await;
    links.tcp("n1", "n2", Kind::Replication, listener.local_addr().unwrap()).await.unwrap();
    links.cut("n1", "n2", Kinds::All);
    links.heal("n1", "n2", Kinds::Only(PEER));
    assert!(!links.is_cut("n1", "n2", Kind::Peer));
    assert!(links.is_cut("n1", "n2", Kind::Replication));
}

async fn udp_pair(links: &Links, ip: &str, path: u8) -> (UdpSocket, UdpSocket) {
    let far = UdpSocket::bind((ip, 0)).await.unwrap();
    let front = links.udp("n1", "n2", Kind::Heartbeat(path), far.local_addr().unwrap()).await.unwrap();
    let near = UdpSocket::bind((ip, 0)).await.unwrap();
    near.connect(front).await.unwrap();
    (near, far)
}

async fn packet(socket: &UdpSocket) -> (u8, SocketAddr) {
    let mut bytes = [0; 16];
    let (length, sender) = within(socket.recv_from(&mut bytes)).await.unwrap();
    assert_eq!(length, 1);
    (bytes[0], sender)
}

#[tokio::test]
async fn udp_carries_packets_and_answers_on_both_families() {
    for ip in ["127.0.0.1", "::1"] {
        let links = Links::new(1);
        let (near, far) = udp_pair(&links, ip, 0).await;
        near.send(&[7]).await.unwrap();
        let (byte, sender) = packet(&far).await;
        assert_eq!(byte, 7);
        far.send_to(&[8], sender).await.unwrap();
        assert_eq!(packet(&near).await.0, 8);
    }
}

#[tokio::test]
async fn a_cut_udp_lane_drops_its_packets_and_no_others() {
    let links = Links::new(1);
    let (near, far) = udp_pair(&links, "127.0.0.1", 0).await;
    let (near_b, far_b) = udp_pair(&links, "127.0.0.1", 1).await;
    near.send(&[1]).await.unwrap();
    let (_, sender) = packet(&far).await;
    links.cut("n1", "n2", Kinds::Only(&[Kind::Heartbeat(0)]));
    near.send(&[2]).await.unwrap();
    near_b.send(&[3]).await.unwrap();
    assert_eq!(packet(&far_b).await.0, 3, "the other path lives");
    far.send_to(&[4], sender).await.unwrap();
    assert_eq!(packet(&near).await.0, 4, "the other direction lives");
    // The proxy takes packets in order: the answer above came after packet 2 was dropped.
    links.heal("n1", "n2", Kinds::Only(&[Kind::Heartbeat(0)]));
    near.send(&[5]).await.unwrap();
    assert_eq!(packet(&far).await.0, 5, "packet 2 is lost, not held");
}

#[tokio::test]
async fn udp_loss_follows_the_seed() {
    async fn received(seed: u64) -> Vec<u8> {
        let links = Links::new(seed);
        let (near, far) = udp_pair(&links, "127.0.0.1", 0).await;
        let lossy = Noise { loss_ppm: 500_000, ..Noise::default() };
        links.set_noise(lossy);
        for byte in 0..64 {
            near.send(&[byte]).await.unwrap();
        }
        let counted = async {
            while links.tally().carried + links.tally().lost < 64 {
                tokio::task::yield_now().await;
            }
        };
        within(counted).await;
        let tally = links.tally();
        // Markers until one gets through: what came before the first marker is the sample.
        let marker = tokio::spawn(async move {
            loop {
                near.send(&[255]).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut seen = Vec::new();
        loop {
            match packet(&far).await.0 {
                255 => {
                    marker.abort();
                    assert_eq!((seen.len() as u64, tally.cut), (tally.carried, 0), "{tally:?}");
                    return seen;
                }
                byte => seen.push(byte),
            }
        }
    }
    let (one, again, other) = (received(3).await, received(3).await, received(4).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!((16..=48).contains(&one.len()), "about half: {}", one.len());
}

#[tokio::test]
async fn a_stream_with_delay_and_jitter_keeps_its_order() {
    let links = Links::new(9);
    let (mut near, mut far, _listener) = tcp_pair(&links, "127.0.0.1").await;
    let noise =
        Noise { delay: Duration::from_millis(3), jitter: Duration::from_millis(5), ..Noise::default() };
    links.set_noise_on("n1", "n2", Kinds::Only(PEER), noise);
    let start = picket_host::clock::boottime();
    for byte in 0..20 {
        near.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let bytes = reads::<20>(&mut far).await;
    assert!(picket_host::clock::boottime() - start >= noise.delay, "delay is a lower bound");
    assert!(bytes.is_sorted());
}

#[tokio::test]
async fn more_than_all_buffers_hold_passes_through() {
    let links = Links::new(1);
    let (mut near, mut far, _listener) = tcp_pair(&links, "127.0.0.1").await;
    let sent: Vec<u8> = (0..24_u32 << 20).map(|at| at.to_le_bytes()[1]).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        near.write_all(&sent).await.unwrap();
        near.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    within(far.read_to_end(&mut received)).await.unwrap();
    within(writer).await.unwrap();
    assert!(received == expected);
}

#[tokio::test]
async fn a_unix_link_carries_is_cut_and_ends_with_the_links() {
    let dir = tempfile::tempdir().unwrap();
    let (target, front) = (dir.path().join("target"), dir.path().join("front"));
    let listener = UnixListener::bind(&target).unwrap();
    let links = Links::new(1);
    links.unix("n1", "n2", Kind::Power, &target, &front).unwrap();
    let mut near = UnixStream::connect(&front).await.unwrap();
    let (mut far, _) = within(listener.accept()).await.unwrap();
    near.write_all(b"off\n").await.unwrap();
    assert_eq!(&reads::<4>(&mut far).await, b"off\n");
    links.cut("n2", "n1", Kinds::Only(&[Kind::Power]));
    far.write_all(b"off\n").await.unwrap();
    assert!(silent(&mut near).await);
    drop(links);
    assert_eq!(within(near.read(&mut [0; 4])).await.unwrap(), 0);
    assert!(!front.exists());
}
