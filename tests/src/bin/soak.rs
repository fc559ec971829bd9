//! `soak`: hours under full load on a bad network, with faults now and then. No takeover may be a false one.

use clap::Parser;
use core::time::Duration;
use picket::demo::StallWatch;
use picket::demo::links::Noise;
use picket_core::params::Profile;
use picket_host::clock::boottime;
use picket_host::sys::{Permitted, realtime_priority};
use picket_tests::Failure;
use picket_tests::chaos::spec;
use picket_tests::rig::Rig;
use picket_tests::soak::{Burners, Kind, Report, Takeover, burn, quiet, takeover};
use std::process::ExitCode;

/// The word that makes this program a burner.
const BURN: &str = "burn-a-processor";

/// The cables are played by this process: they must not be slowed by the load, as real ones are not. Above the
/// daemons' own priorities.
const CABLES_PRIORITY: u8 = 40;

/// A cluster is used for so many faults: all that it was acknowledged is compared each time it is judged.
const FAULTS_EACH_MAX: usize = 60;

/// After so many findings a run ends: they have one cause by then.
const FINDINGS_MAX: usize = 10;

/// The loss that was counted may be off by one in so many from what was asked for: some hundred heartbeats, which
/// the shortest run has, are off by less. What differs more was not applied.
const LOSS_OFF_BY: u64 = 2;

/// How long, how bad.
#[derive(Clone, Debug, Parser)]
#[command(name = "soak")]
struct Words {
    /// How long, in minutes; 0.5 is half of one.
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// How long, in hours; 0.5 is half of one.
    #[arg(long)]
    hours: Option<f64>,
    /// Seconds without a fault before each fault.
    #[arg(long, default_value_t = 10)]
    quiet: u64,
    /// Lost heartbeats, in percent.
    #[arg(long, default_value_t = 10)]
    loss: u32,
    /// Jitter on every cable and direction, in milliseconds.
    #[arg(long, default_value_t = 50)]
    jitter: u64,
    /// Leave the processors alone.
    #[arg(long)]
    no_burners: bool,
    /// The seed of loss and jitter.
    #[arg(long, env = "PICKET_SEED", default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(BURN) {
        return if burn().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let words = Words::parse();
    match start(&words) {
        Ok(report) => {
            print!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(words: &Words) -> Result<Report, Failure> {
    let prioritised = || drop(realtime_priority(CABLES_PRIORITY));
    if let Permitted::No { reason } = realtime_priority(CABLES_PRIORITY) {
        println!("NOT AS IT SHOULD BE: {reason}; neither the cables nor the daemons are kept from the load");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).on_thread_start(prioritised).enable_all();
    let burners = if words.no_burners { None } else { Some(Burners::start(BURN)?) };
    println!(
        "{} burners, {} % loss, {} ms jitter, seed {}",
        burners.as_ref().map_or(0, Burners::count),
        words.loss,
        words.jitter,
        words.seed
    );
    runtime.build()?.block_on(run(words))
}

async fn run(words: &Words) -> Result<Report, Failure> {
    let seconds = words.hours.map_or(words.minutes * 60.0, |hours| hours * 3600.0);
    let length = Duration::try_from_secs_f64(seconds).map_err(|error| format!("{seconds} s: {error}"))?;
    let until = boottime() + length;
    let mut report = Report::default();
    while boottime() < until && report.findings.len() < FINDINGS_MAX {
        let mut rig = Rig::start(spec()?).await?;
        let jitter = Duration::from_millis(words.jitter);
        rig.cluster.links().set_noise(Noise { loss_ppm: words.loss * 10_000, delay: Duration::ZERO, jitter });
        let done = use_up(words, &mut rig, until, &mut report).await;
        report.judged += rig.judged();
        report.count(rig.cluster.links().tally());
        match done {
            Ok(()) => rig.end().await?,
            Err(why) => {
                let kept = rig.keep().await?;
                report.findings.push(format!("{why}\n  files: {}", kept.display()));
            }
        }
    }
    let asked_ppm = u64::from(words.loss) * 10_000;
    if report.lost_ppm().abs_diff(asked_ppm) > asked_ppm / LOSS_OFF_BY {
        let lost = report.lost_ppm();
        report
            .findings
            .push(format!("{lost} of a million heartbeats were lost, {asked_ppm} should have been"));
    }
    Ok(report)
}

/// Quiet times and faults on one cluster, until it has served long enough.
async fn use_up(words: &Words, rig: &mut Rig, until: Duration, report: &mut Report) -> Result<(), Failure> {
    let params = Profile::Fast.params();
    // There and back.
    let round_trip = Duration::from_millis(2 * words.jitter);
    let stall = StallWatch::start();
    for number in 0..FAULTS_EACH_MAX {
        if boottime() >= until {
            break;
        }
        // What came while all was healed and judged is over.
        let _ = stall.take();
        let seen = quiet(rig, Duration::from_secs(words.quiet)).await?;
        report.quiet_s += words.quiet;
        if let Some(stalled) = stall.take() {
            report.stalls += 1;
            println!("the host stood still for {} ms", stalled.as_millis());
        }
        println!("quiet: {seen}");
        seen.moves.iter().for_each(|text| println!("  FALSE {text}"));
        report.quiet.add(seen);
        let kind = if number % 2 == 0 { Kind::Fence } else { Kind::Lease };
        let mut takeover = takeover(rig, kind, &params, round_trip).await?;
        takeover.stalled = stall.take();
        tell(&takeover);
        if !takeover.is_as_it_should_be() {
            report.findings.push(format!("{kind:?} was proven by {:?}", takeover.proof));
        }
        report.takeovers.push(takeover);
        rig.heal().await?;
        rig.judge().await?;
    }
    Ok(())
}

fn tell(takeover: &Takeover) {
    let Takeover { kind, detection_ms, outage_ms, promised_ms, promotion_ms, proof, stalled } = takeover;
    print!("{kind:?}: detected {detection_ms} ms, outage {outage_ms} ms, promised {promised_ms} ms, ");
    print!("promoted within {promotion_ms} ms, proof {proof}");
    match stalled {
        Some(stalled) => println!(", but the host stood still for {} ms", stalled.as_millis()),
        None => println!(),
    }
}
