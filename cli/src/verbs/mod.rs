//! One file per verb.

mod adopt;
mod cert;
mod cleanup;
mod clear;
mod config_check;
mod config_drbd;
mod config_show;
mod confirm;
mod demo;
mod drill;
mod evict;
mod explain;
mod fence;
mod force_stale;
mod maintenance;
mod move_volume;
mod node;
mod override_volume;
mod policy;
mod remove;
mod restore;
mod retire;
mod site;
mod status;
mod stop;
mod unfence;
mod version;
mod watchdog;

pub use confirm::as_meatclient;

use crate::args::{Cli, ConfigVerb, Verb, WatchdogVerb};
use crate::exit::{Exit, Fault};
use crate::session::Session;

/// Does what the command line says.
///
/// # Errors
/// Why it could not be done.
pub async fn run(cli: Cli, session: &mut Session) -> Result<Exit, Fault> {
    match cli.verb {
        Verb::Demo(args) => demo::run(args, session).await,
        Verb::Status(args) => status::run(&args, session).await,
        Verb::Explain { tag } => explain::run(tag, session).await,
        Verb::Move(args) => move_volume::run(args, session).await,
        Verb::Confirm(args) => confirm::run(&args, session).await,
        Verb::Fence(args) => fence::run(args, session).await,
        Verb::Unfence { node } => unfence::run(node, session).await,
        Verb::Clear { node } => clear::run(node, session).await,
        Verb::Adopt { source } => adopt::run(source, session).await,
        Verb::Restore { tag, only } => restore::run(tag, only, session).await,
        Verb::Remove { tag } => remove::run(tag, session).await,
        Verb::Cleanup { tag } => cleanup::run(tag, session).await,
        Verb::Policy(verb) => policy::run(verb, session).await,
        Verb::Node(verb) => node::run(verb, session).await,
        Verb::Site(verb) => site::run(verb, session).await,
        Verb::Evict(args) => evict::run(args, session).await,
        Verb::ForceStale(args) => force_stale::run(args, session).await,
        Verb::Retire => retire::run(session).await,
        Verb::Override(args) => override_volume::run(args, session).await,
        Verb::Maintenance { node, length } => maintenance::run(node, length, session).await,
        Verb::Stop(args) => stop::run(&args, session).await,
        Verb::Cert(verb) => cert::run(verb, session),
        Verb::Watchdog(WatchdogVerb::Measure { config }) => watchdog::run(&config, session),
        Verb::Config(ConfigVerb::Check { file }) => config_check::run(&file, session),
        Verb::Config(ConfigVerb::Show { file }) => config_show::run(&file, session),
        Verb::Config(ConfigVerb::Drbd { resource, nine, run_dir }) => {
            config_drbd::run(&resource, nine, &run_dir, session)
        }
        Verb::Version => version::run(session).await,
    }
}
