//! `postgresql`: real PostgreSQL servers under real daemons, through faults. Needs root, and PostgreSQL.

use clap::Parser;
use picket::demo::cluster::WITNESS;
use picket_host::clock::boottime;
use picket_tests::Failure;
use picket_tests::netns::{Family, Rooms, in_own_world};
use picket_tests::postgresql::{PgRig, PgRow, play};
use std::process::ExitCode;

/// PostgreSQL through faults.
#[derive(Clone, Debug, Parser)]
#[command(name = "postgresql")]
struct Words {
    /// Only what contains this.
    #[arg(default_value = "")]
    only: String,
    /// Only a few of them.
    #[arg(long)]
    short: bool,
    /// So often, one after the other.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

fn main() -> ExitCode {
    let words = Words::parse();
    in_own_world("postgresql", || run(&words))
}

fn run(words: &Words) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(all(words))
}

async fn all(words: &Words) -> Result<bool, Failure> {
    let rooms = Rooms::make(&["n1", "n2", WITNESS], Family::V4)?;
    let rows: &[PgRow] = if words.short { &PgRow::SHORT } else { &PgRow::EVERY };
    let rig = PgRig::start(&rooms).await?;
    let wanted = |row: &&PgRow| format!("{row:?}").contains(&words.only);
    for row in (0..words.rounds).flat_map(|_| rows.iter().filter(wanted)) {
        let from = boottime();
        let played = play(&rig, &rooms, *row).await;
        let seconds = boottime().saturating_sub(from).as_secs_f32();
        match played {
            Ok(played) => println!(
                "ok {row:?} {seconds:.1} s: clients without service for {:.2} s, {} acknowledgements judged",
                played.outage.as_secs_f32(),
                played.judged
            ),
            Err(why) => {
                let (lab, database) = rig.keep().await?;
                println!(
                    "FAILED {row:?}: {why}\n  rerun: ./tests/run postgresql {row:?}\n  files: {} {}",
                    lab.display(),
                    database.display()
                );
                return Ok(false);
            }
        }
    }
    rig.end().await?;
    rooms.remove()?;
    Ok(true)
}
