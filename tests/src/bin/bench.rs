//! `bench [failover] [--rounds N]`: how long clients of a lab cluster wait, from the fault to the first
//! acknowledged write on the survivor. It reports medians and 95th percentiles, and asserts nothing.
//!
//! Each round is a real fault on real processes; between rounds everything is healed and in sync again.

use core::time::Duration;
use picket::demo::cluster::{Cluster, ClusterSpec, LabError, View};
use picket::demo::{Fault, LIMIT, Scene, VOLUME};
use picket_core::params::Profile;
use picket_ledger::client::Appender;
use picket_proto::v1::MoveRequest;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The active machine loses its power; a device proves it.
    Fence,
    /// The active machine is cut from everything; its lease proves it.
    Lease,
    /// An operator moves the volume.
    Switch,
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(30);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(all(rounds)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn all(rounds: usize) -> Result<(), Failure> {
    println!(
        "client outage in ms, from the fault to the first acknowledged write on the survivor; {rounds} rounds each"
    );
    println!("{:16} {:8} {:>8} {:>8} {:>8}", "profile", "act", "median", "p95", "longest");
    let acts = [
        (Profile::Fast, Act::Fence),
        (Profile::Fast, Act::Lease),
        (Profile::Fast, Act::Switch),
        (Profile::LanAggressive, Act::Fence),
        (Profile::LanAggressive, Act::Switch),
    ];
    for (profile, act) in acts {
        let mut outages = measure(profile, act, rounds).await?;
        outages.sort_unstable();
        let at = |percent: usize| {
            outages.get((outages.len() * percent / 100).min(outages.len().saturating_sub(1)))
        };
        let shown = |value: Option<&u64>| value.map_or_else(|| "-".to_owned(), u64::to_string);
        let name = format!("{act:?}").to_lowercase();
        println!(
            "{:16} {name:8} {:>8} {:>8} {:>8}",
            profile.name(),
            shown(at(50)),
            shown(at(95)),
            shown(outages.last())
        );
    }
    Ok(())
}

async fn measure(profile: Profile, act: Act, rounds: usize) -> Result<Vec<u64>, Failure> {
    let pace = Some(Duration::from_millis(1));
    let spec = ClusterSpec { profile, client_pace: pace, ..ClusterSpec::new(2, program()?) };
    let cluster = Cluster::start(spec).await?;
    let client = cluster.appender(VOLUME)?;
    let mut outages = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        cluster.wait_healthy(LIMIT).await?;
        outages.push(round(&cluster, &client, act).await?);
        heal(&cluster).await?;
    }
    client.stop().await?;
    cluster.end().await?.remove()?;
    Ok(outages)
}

async fn round(cluster: &Cluster, client: &Appender, act: Act) -> Result<u64, Failure> {
    let scene = Scene { cluster, client };
    let holder = cluster.wait_in_service(VOLUME, LIMIT).await?;
    let other = cluster.spec().node_names().find(|name| *name != holder).unwrap_or_default();
    if matches!(act, Act::Switch) {
        able(cluster, &other).await?;
    }
    scene.writes_go_on("before the fault", 20).await?;
    let fault = Fault::now();
    match act {
        Act::Fence => cluster.machine(&holder)?.power_off().await?,
        Act::Lease => cluster.links().cut_all_of(&holder),
        Act::Switch => {
            let mut daemon = cluster.daemon(&holder).await.map_err(|fault| format!("{fault:?}"))?;
            let request = MoveRequest { tag: VOLUME.to_owned(), node: other.clone(), wait_ms: 0 };
            daemon.calls().r#move(request).await?;
        }
    }
    Ok(scene.takeover(&other, fault).await?.outage_ms.unwrap_or_default())
}

/// A node that has just come back waits out its quarantine before it takes anything over.
async fn able(cluster: &Cluster, node: &str) -> Result<(), LabError> {
    let able = |view: &View| view.volume(node, VOLUME).is_some_and(|volume| volume.why_word != "QUARANTINED");
    cluster.wait_for("the quarantine over", LIMIT, able).await.map(drop)
}

async fn heal(cluster: &Cluster) -> Result<(), LabError> {
    cluster.links().heal_everything();
    for name in cluster.spec().node_names() {
        cluster.machine(&name)?.power_on().await?;
    }
    Ok(())
}

fn program() -> Result<PathBuf, Failure> {
    let exe = std::env::current_exe()?;
    let path = exe.with_file_name("picket");
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("{}: build it with `cargo build --release`", path.display()).into())
    }
}
