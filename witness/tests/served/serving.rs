//! Sessions, grants, renewals, restarts, deadlines, and a store that fails.

use crate::site::{Node, Site, in_time};
use picket_core::ids::*;
use picket_core::message::*;
use picket_host::cert::Identity;
use picket_host::files::{Fault, FaultyFiles, RealFiles, Unsynced};
use picket_proto::v1;
use picket_witness::driver::Fatal;
use picket_witness::server::{Running, StartError};
use std::sync::Arc;
use tonic::Code;

const VOLUME: VolumeId = VolumeId(1);

async fn both(site: &Site, witness: &Running) -> (Node, Node) {
    let mut n1 = site.node(witness, "n1").await;
    let mut n2 = site.node(witness, "n2").await;
    n1.register(11).await;
    n2.register(22).await;
    (n1, n2)
}

async fn stop(mut witness: Running) {
    witness.stop().await;
    in_time("the end", witness.wait()).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_survives_the_witness() {
    let (site, files) = (Site::new(), FaultyFiles::new());
    let witness = site.start(Arc::new(files.clone())).await.expect("started");
    let (mut n1, _n2) = both(&site, &witness).await;
    n1.acquire(1).await;
    let granted = n1.granted().await;
    assert_eq!(granted.register.holder, Some(Holder { node: NodeId(1), boot: BootId(11) }));
    let epoch = granted.register.epoch;
    n1.beat(&[(VOLUME, epoch)]).await;
    let renewed = n1
        .until(|reply| match reply {
            Reply::Renewed { volumes, .. } if !volumes.is_empty() => Some(volumes),
            _ => None,
        })
        .await;
    assert_eq!(renewed, [(VOLUME, epoch)]);

    // The machine of the witness loses its power: only what was synced is there again.
    files.crash(Unsynced::Lost);
    drop(witness);
    files.power_on();
    let witness = site.start(Arc::new(files)).await.expect("started again");
    let mut n1 = site.node(&witness, "n1").await;
    let registers = n1.register(11).await;
    assert_eq!(registers[0].epoch, epoch);
    assert_eq!(registers[0].holder, Some(Holder { node: NodeId(1), boot: BootId(11) }));
    n1.beat(&[(VOLUME, epoch)]).await;
    let renewed = n1
        .until(|reply| match reply {
            Reply::Renewed { volumes, .. } => Some(volumes),
            _ => None,
        })
        .await;
    assert_eq!(renewed, [(VOLUME, epoch)]);
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_connection_takes_the_nodes_place() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let mut first = site.node(&witness, "n1").await;
    let mut second = site.node(&witness, "n1").await;
    assert_eq!(first.try_next().await, Err(Code::Ok), "the first stream ends");
    second.register(11).await;
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_speaks_nonsense_is_told_and_cut() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let mut n1 = site.node(&witness, "n1").await;
    n1.say(Request::RelayRelease {
        holder: NodeId(2),
        release: SignedRelease {
            volume: VOLUME,
            epoch: Epoch(1),
            boot: BootId(22),
            signature: b"made up".to_vec(),
        },
    })
    .await;
    assert_eq!(n1.try_next().await, Err(Code::InvalidArgument));
    stop(witness).await;
}

/// Nobody speaks after the registrations, so that both pushes come from deadlines; n2 spoke last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_pushed_in_the_order_of_the_deadlines() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let (_n1, mut n2) = both(&site, &witness).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&NodeSet::EMPTY) {
        if let Reply::View(view) = n2.next().await
            && heard.last() != Some(&view.hears)
        {
            heard.push(view.hears);
        }
    }
    let both = NodeSet::only(NodeId(1)).with(NodeId(2));
    // Both may fall silent within one look at the clock, never n2 first.
    let in_order = [vec![both, NodeSet::only(NodeId(2)), NodeSet::EMPTY], vec![both, NodeSet::EMPTY]];
    assert!(in_order.contains(&heard), "{heard:?}");
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_store_ends_the_witness_before_it_speaks() {
    for fault in [Fault::Full, Fault::Broken, Fault::Crash(Unsynced::Lost)] {
        let (site, files) = (Site::new(), FaultyFiles::new());
        let mut witness = site.start(Arc::new(files.clone())).await.expect("started");
        let (mut n1, _n2) = both(&site, &witness).await;
        for ahead in 1..=64 {
            files.fail_at(files.operations() + ahead, fault);
        }
        n1.acquire(1).await;
        let ended = in_time("the end of the loop", witness.wait()).await;
        assert!(matches!(ended, Err(Fatal::Store(_))), "{ended:?}");
        // The stream ends; no grant was said.
        while let Ok(reply) = n1.try_next().await {
            assert!(!matches!(reply, Reply::Granted(_)), "{fault:?}: said before it was durable");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut site = Site::new();
    site.config.state = directory.path().join("state");
    let witness = site.start(Arc::new(RealFiles)).await.expect("started");
    let second = site.start(Arc::new(RealFiles)).await.expect_err("in use");
    assert!(matches!(second, StartError::Store(_)));
    assert!(second.to_string().contains("in use by another instance"), "{second}");
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_watch_show_the_cluster() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let operator = Identity::operator("east", "ann").expect("a name");
    let mut client = site.client(&witness, &operator);
    let first = client.status(v1::WitnessStatusRequest {}).await.expect("a status").into_inner();
    assert!(first.recovering);
    assert_eq!(first.missing, ["n1", "n2"]);
    assert_eq!(first.schema, picket_proto::SCHEMA);
    let mut watch = client.watch(v1::WitnessStatusRequest {}).await.expect("a watch").into_inner();
    let (_n1, _n2) = both(&site, &witness).await;
    let recovered = in_time("the end of the recovery", async {
        loop {
            let view = watch.message().await.expect("goes on").expect("goes on");
            if !view.recovering {
                return view;
            }
        }
    })
    .await;
    assert!(recovered.nodes.iter().all(|node| node.registered && node.connected), "{recovered:?}");
    assert_eq!(recovered.volumes[0].isr, ["n1", "n2"]);
    assert!(recovered.events.iter().any(|event| event.name == "witness-recovery-ended"));
    stop(witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_asks_at_the_witness() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let operator = Identity::operator("east", "ann").expect("a name");
    let mut client = site.client(&witness, &operator);
    let request = OperatorRequest::Clear { node: NodeId(1) };
    let asked = v1::AdminRequest {
        protocol: Some(picket_proto::PROTOCOL),
        request: Some(picket_proto::to_wire(&request)),
        reason: "because".to_owned(),
    };
    let answer = client.admin(asked.clone()).await.expect("an answer").into_inner().answer.expect("one");
    picket_proto::from_wire::<OperatorAnswer>(answer).expect("a good answer");
    let status = client.status(v1::WitnessStatusRequest {}).await.expect("a status").into_inner();
    let audited =
        status.events.iter().find(|event| event.name == "witness-operator-request").expect("audited");
    assert!(
        audited.text.starts_with("ann from 127.0.0.1:") && audited.text.contains("because"),
        "{audited:?}"
    );
    let other = v1::AdminRequest { protocol: Some(2), ..asked };
    assert_eq!(client.admin(other).await.expect_err("version 2").code(), Code::InvalidArgument);
    stop(witness).await;
}

/// n1 relays a release of n2: signed by n2 it reaches the machine, signed by n1 itself it ends the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_release_counts_only_with_the_holders_signature() {
    use picket_proto::relay;
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let (mut n1, _n2) = both(&site, &witness).await;
    let holder = NodeId(2);
    let signed_by = |name: &str| {
        let signer = site.credentials(&Identity::node("east", name).expect("a name"));
        let mut release =
            SignedRelease { volume: VOLUME, epoch: Epoch(1), boot: BootId(22), signature: Vec::new() };
        let bytes = relay::signed_bytes("east", holder, &release);
        let signature = signer.sign(relay::PURPOSE, &bytes).expect("signed");
        release.signature = relay::pack(signature, signer.chain());
        Request::RelayRelease { holder, release }
    };
    n1.say(signed_by("n2")).await;
    // The machine looks at it: n2 holds nothing, so that it is refused or recorded there, not at the door.
    n1.until(|reply| match reply {
        Reply::Refused { subject: Subject::Release { volume }, .. } | Reply::Released { volume, .. } => {
            Some(volume)
        }
        _ => None,
    })
    .await;
    n1.say(signed_by("n1")).await;
    let ended = loop {
        if let Err(code) = n1.try_next().await {
            break code;
        }
    };
    assert_eq!(ended, Code::InvalidArgument);
    stop(witness).await;
}
