//! Who is let in.

use crate::site::{Site, client, credentials, in_time};
use picket_host::cert::{Authority, Identity};
use picket_host::files::FaultyFiles;
use picket_proto::v1;
use picket_witness::server::Running;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

async fn turned_away(site: &Site, witness: &Running) -> u64 {
    let operator = Identity::operator("east", "ann").expect("a name");
    let status = site.client(witness, &operator).status(v1::WitnessStatusRequest {}).await;
    status.expect("a status").into_inner().turned_away
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_members_and_operators_of_served_clusters_come_in() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let nothing = || tokio_stream::empty::<v1::ToWitness>();
    for (stranger, counted) in [
        (Identity::node("north", "n1"), 0),
        (Identity::node("east", "n3"), 1),
        (Identity::operator("east", "ann"), 1),
    ] {
        let stranger = stranger.expect("a name");
        let before = turned_away(&site, &witness).await;
        let refused = site.client(&witness, &stranger).session(nothing()).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{stranger}: {refused:?}");
        assert_eq!(turned_away(&site, &witness).await, before + counted, "{stranger}");
    }
    let node = Identity::node("east", "n1").expect("a name");
    let refused = site.client(&witness, &node).admin(v1::AdminRequest::default()).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    // Another witness's certificate is none for a client.
    let other = Identity::witness("w2").expect("a name");
    site.client(&witness, &other).session(nothing()).await.expect_err("refused by TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_sees_only_itself() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let west = Identity::node("west", "n1").expect("a name");
    let status = site.client(&witness, &west).status(v1::WitnessStatusRequest {}).await;
    assert_eq!(status.expect("a status").into_inner().cluster, "west");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_is_not_believed() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let other = Authority::create("other").expect("an authority");
    let forged = Identity::node("east", "n1").expect("a name");
    let issued = other.issue(&forged, &[], 1).expect("issued");
    // It trusts the right authority, so that only its own certificate is wrong.
    let forged = picket_host::tls::Credentials::from_pem(
        site.authority.certificate_pem(),
        &issued.certificate_pem,
        &issued.key_pem,
    )
    .expect("it fits together");
    let refused = client(&forged, &witness).status(v1::WitnessStatusRequest {}).await.expect_err("refused");
    assert!(std::error::Error::source(&refused).is_some(), "no connection at all: {refused}");
    let good = credentials(&site.authority, &Identity::node("east", "n1").expect("a name"));
    client(&good, &witness).status(v1::WitnessStatusRequest {}).await.expect("served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_harms_nobody() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let mut seed = 1_u64;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(witness.address()).await.expect("connected");
        let garbage: Vec<u8> = (0..300)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect();
        // The witness may hang up at any byte.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = in_time("the witness to hang up", stream.read_to_end(&mut rest)).await;
    }
    let good = Identity::node("east", "n1").expect("a name");
    site.client(&witness, &good).status(v1::WitnessStatusRequest {}).await.expect("served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_witness_serves() {
    let site = Site::new();
    let node = site.credentials(&Identity::node("east", "n1").expect("a name"));
    let refused =
        picket_witness::server::start(site.config.clone(), &node, Arc::new(FaultyFiles::new())).await;
    let refused = refused.expect_err("a node's certificate").to_string();
    assert!(refused.contains("picket://east/node/n1"), "{refused}");
}
