//! `picket-ledger`: a server (`--config`), or one of the tools around it.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use picket_ledger::checker::{self, Report};
use picket_ledger::client::{Appender, AppenderConfig, load_acks};
use picket_ledger::control::{Client, Notice};
use picket_ledger::ids::NodeId;
use picket_ledger::{Config, serve};

/// Picket's small replicated test volume.
#[derive(Parser)]
#[command(name = "picket-ledger", version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Run a server with this configuration.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    tool: Option<Tool>,
}

#[derive(Subcommand)]
enum Tool {
    /// Append numbered records to whichever server takes them.
    Append(AppendArgs),
    /// Look for lost acknowledged records, duplicates, damage, and two nodes active at once.
    Check(CheckArgs),
    /// Show what a server is.
    Status {
        /// The server's control socket.
        #[arg(long, value_name = "PATH")]
        control: PathBuf,
    },
}

#[derive(Args)]
struct AppendArgs {
    /// Client port of a server; once per server.
    #[arg(long = "server", value_name = "ADDR", required = true)]
    servers: Vec<SocketAddr>,
    /// Gets one line per acknowledgement.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// Stop after so many records; without, when interrupted.
    #[arg(long)]
    count: Option<u64>,
    /// Size of a record, in bytes.
    #[arg(long, default_value_t = 64)]
    payload_bytes: usize,
    /// Appends under way at a time.
    #[arg(long, default_value_t = 1)]
    window: usize,
}

#[derive(Args)]
struct CheckArgs {
    /// The current or last primary.
    #[arg(long, value_name = "NODE")]
    primary: u8,
    /// A server's data directory; once per server.
    #[arg(long = "data", value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// A client's journal; once per client.
    #[arg(long = "acks", value_name = "FILE")]
    journals: Vec<PathBuf>,
    /// Print the whole result as JSON.
    #[arg(long)]
    json: bool,
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    picket_host::sys::end_on_panic();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "ended");
            ExitCode::from(2)
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> Outcome {
    match (cli.tool, cli.config) {
        (Some(Tool::Append(args)), _) => append(args).await,
        (Some(Tool::Check(args)), _) => check(&args),
        (Some(Tool::Status { control }), _) => status(control).await,
        (None, Some(path)) => {
            serve(Config::load(&path)?).await?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => Err("expected --config FILE or a subcommand".into()),
    }
}

async fn append(args: AppendArgs) -> Outcome {
    let mut config = AppenderConfig::new(args.servers, args.journal)?;
    config.limit = args.count;
    config.payload_bytes = args.payload_bytes;
    config.window = args.window;
    let mut appender = Appender::start(config)?;
    tokio::select! {
        done = appender.done() => done?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let acks = appender.acks();
    let nodes: BTreeSet<NodeId> = acks.iter().map(|a| a.node).collect();
    let outage = appender.outage_since(0);
    let gap_ms = outage.longest_gap_ns as f64 / 1e6;
    let mut trips: Vec<u64> = acks.iter().map(|a| a.seen_ns - a.sent_ns).collect();
    trips.sort_unstable();
    let median_us = trips.get(trips.len() / 2).map_or(0.0, |ns| *ns as f64 / 1e3);
    writeln!(
        std::io::stdout(),
        "{} acknowledged by nodes {nodes:?}, median {median_us:.0} us, longest gap {gap_ms:.1} ms",
        acks.len(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &CheckArgs) -> Outcome {
    let mut acks = Vec::new();
    for journal in &args.journals {
        acks.extend(load_acks(journal)?);
    }
    let report = checker::check(&args.dirs, NodeId(args.primary), &acks)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print_report(&mut out, &report)?;
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_report(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    for node in &report.nodes {
        writeln!(
            out,
            "node {}: {} records, {} acknowledged, epoch {}, {}",
            node.node,
            node.records,
            node.acknowledged,
            node.max_epoch,
            if node.complete { "complete" } else { "incomplete" },
        )?;
    }
    writeln!(out, "acknowledged writes: {}", report.acknowledged)?;
    let kinds = [
        ("lost", report.lost.count),
        ("not in a replica that has everything", report.holes.count),
        ("duplicates", report.duplicates.count),
        ("damage", report.damage.count),
        ("two nodes active at once", report.dual_active.count),
        ("two nodes writable at once", report.both_writable.count),
        ("acknowledged and not logged", report.unlogged.count),
    ];
    for (kind, count) in kinds {
        writeln!(out, "{kind}: {count}")?;
    }
    for lost in &report.lost.first {
        writeln!(out, "  lost: {lost:?}")?;
    }
    for hole in &report.holes.first {
        writeln!(out, "  not there: {hole:?}")?;
    }
    for damage in &report.damage.first {
        writeln!(out, "  damage: {damage:?}")?;
    }
    for dual in &report.dual_active.first {
        writeln!(out, "  active at once: {dual:?}")?;
    }
    for both in &report.both_writable.first {
        writeln!(out, "  writable at once: {both:?}")?;
    }
    Ok(())
}

async fn status(control: PathBuf) -> Outcome {
    let (client, mut notices) = Client::open(control);
    // A server that is there answers at once; connecting again and again is not what a person wants.
    let wait = std::time::Duration::from_secs(2);
    let notice = tokio::time::timeout(wait, notices.next()).await.map_err(|_| "no answer from the server")?;
    drop(client);
    match notice {
        Some(Notice::Connected(status) | Notice::Changed(status)) => {
            serde_json::to_writer_pretty(std::io::stdout(), &status)?;
            writeln!(std::io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Notice::Lost) | None => Err("the server went away".into()),
    }
}
