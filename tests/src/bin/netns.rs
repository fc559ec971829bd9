//! `netns`: rows of the failure matrix on machines in network namespaces, with IPv4 and with IPv6. Needs root.

use clap::Parser;
use core::time::Duration;
use picket::demo::cluster::{ClusterSpec, LossAction, WITNESS};
use picket_host::clock::boottime;
use picket_tests::Failure;
use picket_tests::netns::{Family, Rooms, Row, in_own_world, play};
use picket_tests::rig::{Rig, program};
use std::process::ExitCode;

/// Rows on real networks.
#[derive(Clone, Debug, Parser)]
#[command(name = "netns")]
struct Words {
    /// Only rows whose name contains this.
    #[arg(default_value = "")]
    only: String,
    /// Not the rows whose nodes ping.
    #[arg(long)]
    without_ping: bool,
}

fn main() -> ExitCode {
    let words = Words::parse();
    in_own_world("netns", || both(&words))
}

fn both(words: &Words) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut good = true;
    for family in [Family::V4, Family::V6] {
        good &= runtime.block_on(all(words, family))?;
    }
    Ok(good)
}

async fn all(words: &Words, family: Family) -> Result<bool, Failure> {
    let rooms = Rooms::make(&["n1", "n2", WITNESS], family)?;
    let mut good = true;
    let mut rig: Option<Rig> = None;
    let wanted = |row: &Row| format!("{row:?}").contains(&words.only) && !(row.pings() && words.without_ping);
    for row in Row::EVERY.into_iter().filter(wanted) {
        let from = boottime();
        let mut playing = match rig.take() {
            Some(rig) if rig.cluster.spec().more.is_empty() != row.pings() => rig,
            other => {
                if let Some(rig) = other {
                    rig.end().await?;
                }
                Rig::start(spec(&rooms, row)?).await?
            }
        };
        let played = play(&mut playing, &rooms, row).await;
        let seconds = boottime().saturating_sub(from).as_secs_f32();
        match played {
            Ok(()) => {
                println!(
                    "ok {family:?} {row:?} {seconds:.1} s, {} acknowledgements judged",
                    playing.judged()
                );
                rig = Some(playing);
            }
            Err(why) => {
                good = false;
                let kept = playing.keep().await?;
                rooms.heal()?;
                println!(
                    "FAILED {family:?} {row:?}: {why}\n  rerun: ./tests/run netns {row:?}\n  files: {}",
                    kept.display()
                );
            }
        }
    }
    if let Some(rig) = rig {
        rig.end().await?;
    }
    rooms.remove()?;
    Ok(good)
}

/// Two nodes with all protections; the loss action leaves the machines up, so that the barrier alone must hold.
fn spec(rooms: &Rooms, row: Row) -> Result<ClusterSpec, Failure> {
    let ping = format!(
        "[[condition]]\ntag = \"gateway\"\ncommand = [\"/usr/bin/ping\", \"-n\", \"-c\", \"1\", \"-W\", \"1\", \"{}\"]\n\
         interval = \"200ms\"\ntimeout = \"2s\"\nthreshold = 2\n",
        rooms.gateway()
    );
    Ok(ClusterSpec {
        more: if row.pings() { ping } else { String::new() },
        loss_action: LossAction::Osu,
        client_pace: Some(Duration::from_millis(2)),
        places: rooms.places(),
        ..ClusterSpec::new(2, program()?)
    })
}
