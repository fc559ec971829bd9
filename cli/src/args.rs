//! The command line.

use crate::exit::EXIT_HELP;
use clap::{Args, Parser, Subcommand, ValueEnum};
use core::time::Duration;
use picket_host::config::parse_duration;
use std::path::PathBuf;

/// Keeps replicated volumes from being active twice: what operators type.
#[derive(Debug, Parser)]
#[command(name = "picket", version, about, after_help = EXIT_HELP, max_term_width = 110)]
pub struct Cli {
    /// The daemon's control socket [default: /run/picket/picketd.sock].
    #[arg(long, global = true, value_name = "PATH", env = "PICKET_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Machine-readable output: one JSON object with `schema`, and nothing else on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Play outages on a cluster of real processes on this host, and show what Picket does.
    Demo(DemoArgs),
    /// Show everything: what is unprotected, resources, paths, members, quorum, fences.
    Status(StatusArgs),
    /// Say why a volume is, or is not, active here.
    Explain {
        /// The volume.
        tag: String,
    },
    /// Bring a volume into service on a node, from wherever it is.
    Move(MoveArgs),
    /// Attest that a machine is off, for a fence that waits for a person.
    Confirm(ConfirmArgs),
    /// Fence a node, or show what was fenced.
    Fence(FenceArgs),
    /// Switch a fenced node on again and let it back.
    Unfence {
        /// The node.
        node: String,
    },
    /// Let a node back that was fenced too often.
    Clear {
        /// The node.
        node: String,
    },
    /// End the witness's RECOVERY with what was reported so far.
    Adopt {
        /// For claims that contradict each other: the node whose data is the volume's.
        source: Option<String>,
    },
    /// Bring a resource into service on this node, with what it needs and what stands on it.
    Restore {
        /// The resource; or a volume, for everything above it.
        tag: String,
        /// Not what stands on it.
        #[arg(long)]
        only: bool,
    },
    /// Take a resource out of service on this node; what stands on it stops first.
    Remove {
        /// The resource; or a volume, for everything above it.
        tag: String,
    },
    /// Forget the failures of a resource on this node, and try it again.
    Cleanup {
        /// The resource; or a volume, for everything above it.
        tag: String,
    },
    /// What failures of resources may lead to by themselves, on every node.
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Whether a node may take volumes.
    #[command(subcommand)]
    Node(NodeVerb),
    /// Stop and start the whole site.
    #[command(subcommand)]
    Site(SiteVerb),
    /// Take a node out of a volume's in-sync set.
    Evict(ReplicaArgs),
    /// Say that a node's disk was restored or swapped: its replica counts for nothing until it is in sync again.
    ForceStale(ReplicaArgs),
    /// Retire the witness's store for ever: another witness takes its place.
    Retire,
    /// Activate a volume here without a witness. Outside the guarantee.
    Override(OverrideArgs),
    /// No fence and no takeover for a while; it ends by itself.
    Maintenance {
        /// The node.
        node: String,
        /// How long, for example 30min; `end` ends it.
        #[arg(value_parser = maintenance_length)]
        length: MaintenanceLength,
    },
    /// Stop the daemon here; its volumes are handed over first, unless they are to stay.
    Stop(StopArgs),
    /// Certificates.
    #[command(subcommand)]
    Cert(CertVerb),
    /// The machine's watchdog.
    #[command(subcommand)]
    Watchdog(WatchdogVerb),
    /// Configuration files.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Show the versions of everything.
    Version,
}

/// `picket status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Once, also on a terminal. Without it, a terminal shows a live view that follows changes.
    #[arg(short = '1', long)]
    pub once: bool,
    /// Follow changes also where there is no terminal, or with --json: one object a line.
    #[arg(short, long, conflicts_with = "once")]
    pub follow: bool,
    /// How many of the last events to show.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub events: u32,
}

/// `picket node …`.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// It takes no volume from now on, also after restarts, and hands over what it holds; what nobody can take stays.
    Standby {
        /// The node, this or another.
        node: String,
    },
    /// It may take volumes again.
    Online {
        /// The node, this or another.
        node: String,
    },
}

/// `picket site …`.
#[derive(Debug, Subcommand)]
pub enum SiteVerb {
    /// Every volume goes out of service on every node, and stays so, also after boots; refused, with nothing changed,
    /// while a node is missing, a replica is not in sync, or something is not at rest.
    Stop {
        /// Also while not every replica is in sync: afterwards only the nodes that are can be the first.
        #[arg(long)]
        degraded: bool,
    },
    /// Every node may take volumes again; each comes up where every acknowledged write is.
    Start,
}

/// `picket policy …`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Show it.
    Get {
        /// A resource, or its volume: a policy is that of the whole tree.
        tag: String,
    },
    /// Change it on every node.
    Set {
        /// A resource, or its volume: a policy is that of the whole tree.
        tag: String,
        /// The volume moves when its resources cannot run where it is.
        #[arg(long, value_name = "on|off", value_parser = on_or_off, required_unless_present = "local_recovery")]
        failover: Option<bool>,
        /// A failed resource is restarted where it failed.
        #[arg(long, value_name = "on|off", value_parser = on_or_off)]
        local_recovery: Option<bool>,
    },
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// `picket move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The volume.
    pub tag: String,
    /// Where to.
    pub node: String,
    /// How long to wait for the end [default: the daemon's].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// `picket confirm`.
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    /// The machine, exactly as the request names it.
    pub node: String,
    /// Deny instead: it is not off. Ends the request.
    #[arg(long)]
    pub deny: bool,
}

/// `picket fence`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct FenceArgs {
    /// The node.
    #[arg(required = true)]
    pub node: Option<String>,
    /// off or reboot [default: as configured].
    #[arg(long)]
    pub action: Option<FenceAction>,
    /// Why, for the audit log.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Something else about fences.
    #[command(subcommand)]
    pub verb: Option<FenceVerb>,
}

/// What a fence does.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FenceAction {
    /// Off, and stay off.
    Off,
    /// Off, seen off, then on.
    Reboot,
}

/// `picket fence …`.
#[derive(Debug, Subcommand)]
pub enum FenceVerb {
    /// What was fenced, when, by whom, and how it ended.
    History {
        /// Only of this node.
        node: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 0)]
        max: u32,
    },
    /// Test the devices that fence a node from here, without harm: login, power state, right machine.
    Test {
        /// The node.
        node: String,
        /// Only this one: LEVEL, LEVEL.DEVICE, or the agent's name.
        #[arg(long, value_name = "DEVICE")]
        device: Option<String>,
    },
    /// Power a standby off and on again, after asking: shows that it can be fenced and comes back.
    Drill(DrillArgs),
}

/// `picket fence drill`.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// The node; it must be alive and hold nothing, and this node must hold something.
    pub node: String,
    /// How long it may take to come back and be in sync.
    #[arg(long, value_name = "DURATION", default_value = "10min", value_parser = duration)]
    pub wait: Duration,
}

/// A replica.
#[derive(Debug, Args)]
pub struct ReplicaArgs {
    /// The node.
    pub node: String,
    /// The volume.
    pub tag: String,
}

/// `picket override`.
#[derive(Debug, Args)]
pub struct OverrideArgs {
    /// The volume.
    pub tag: String,
    /// The other in-sync members: each is off, and kept off until a witness has recorded it.
    #[arg(long, value_name = "NODE", num_args = 1.., required = true)]
    pub dead: Vec<String>,
    /// How long the volume may stay active without a witness.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub length: Duration,
    /// Why, for the audit log.
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// How long a maintenance lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceLength {
    /// So long.
    For(Duration),
    /// It ends now.
    End,
}

/// `picket stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Leave the volumes in service, under a maintenance that ends by itself.
    #[arg(long, conflicts_with_all = ["stay", "switch_over"])]
    pub keep_running: bool,
    /// Take the volumes out of service; no other node takes them, and this one does when it is back. Refused while a peer
    /// is not reached. Without this and the next one, as node.on_stop says.
    #[arg(long, conflicts_with = "switch_over")]
    pub stay: bool,
    /// Hand the volumes over to other nodes, whatever node.on_stop says.
    #[arg(long)]
    pub switch_over: bool,
    /// How long that maintenance lasts [default: the daemon's].
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, requires = "keep_running")]
    pub length: Option<Duration>,
}

/// `picket cert …`.
#[derive(Debug, Subcommand)]
pub enum CertVerb {
    /// Make the authority of an installation: ca.pem and ca.key in a directory.
    Init {
        /// The directory; made if it is not there.
        dir: PathBuf,
        /// The installation's name, for people.
        #[arg(long, default_value = "Picket")]
        name: String,
    },
    /// Issue a certificate: NAME.pem and NAME.key.
    Issue(IssueArgs),
    /// Make the key that a cluster's heartbeats are signed with; the same file goes to every node.
    HeartbeatKey {
        /// The file; never overwritten.
        file: PathBuf,
    },
}

/// `picket cert issue`.
#[derive(Debug, Args)]
pub struct IssueArgs {
    /// Whose.
    pub role: IssueRole,
    /// The name of the witness, node or operator.
    pub name: String,
    /// The cluster; a witness has none.
    #[arg(long)]
    pub cluster: Option<String>,
    /// A DNS name or address under which a server is reached; may be given several times.
    #[arg(long = "reached-as", value_name = "NAME")]
    pub reached_as: Vec<String>,
    /// The authority's directory.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub ca: PathBuf,
    /// Where the two files go.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// For how many days.
    #[arg(long, default_value_t = picket_host::cert::CERTIFICATE_DAYS)]
    pub days: u32,
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IssueRole {
    /// The third-site server.
    Witness,
    /// A member of a cluster.
    Node,
    /// A person who types commands.
    Operator,
}

/// `picket watchdog …`.
#[derive(Debug, Subcommand)]
pub enum WatchdogVerb {
    /// Say what the machine's watchdog really does with a timeout, without arming it.
    Measure {
        /// The node's configuration file.
        #[arg(long, value_name = "FILE", default_value = "/etc/picket/picketd.toml")]
        config: PathBuf,
    },
}

/// `picket config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Report every error of a file of picketd or picket-witness, each with its place.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Show the effective configuration of a node; marks what the file does not say.
    Show {
        /// The file.
        #[arg(default_value = "/etc/picket/picketd.toml")]
        file: PathBuf,
    },
    /// Print the lines that a DRBD resource needs; hosts, disks and addresses are yours to add.
    Drbd {
        /// The resource's name.
        resource: String,
        /// For DRBD 9; without it for 8.4.
        #[arg(long)]
        nine: bool,
        /// The daemon's run-time directory.
        #[arg(long, value_name = "DIR", default_value = "/run/picket")]
        run_dir: PathBuf,
    },
}

/// `picket demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Only this act; may be given several times.
    #[arg(long = "act", value_name = "ID")]
    pub acts: Vec<String>,
    /// Plain lines, also on a terminal.
    #[arg(long)]
    pub plain: bool,
    /// Ask at the terminal where the demonstration would answer by itself.
    #[arg(long)]
    pub interactive: bool,
    /// Leave the cluster running at the end, with commands to type, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Where everything lies, logs included; must be new or empty, and is kept [default: a directory that is removed].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Show the acts.
    #[arg(long)]
    pub list: bool,
    /// Play fate for a machine of a demonstration that was kept running: its control socket, and what is done:
    /// on, off, reboot, status, pause, resume, switch alive|dead, or kill, stop, start, freeze, thaw and a program.
    #[arg(long, num_args = 2..=3, value_names = ["SOCKET", "WHAT", "PROGRAM"], conflicts_with_all = ["acts", "keep", "list", "dir"])]
    pub machine: Vec<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text).filter(|length| !length.is_zero());
    length.ok_or_else(|| "expected a number with a unit, for example 500ms, 30s, 10min or 2h".to_owned())
}

fn maintenance_length(text: &str) -> Result<MaintenanceLength, String> {
    if text == "end" {
        return Ok(MaintenanceLength::End);
    }
    duration(text).map(MaintenanceLength::For).map_err(|error| format!("{error}; or `end`"))
}

/// Whole milliseconds; a length is bounded by what a `u64` of nanoseconds holds.
#[must_use]
pub fn to_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
