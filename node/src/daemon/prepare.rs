//! What is checked, read and bound before anything runs.

use super::{Runtimes, StartError, io};
use crate::config::Config;
use crate::control;
use crate::heartbeat::Heartbeats;
use crate::store::{Found, NodeStore};
use picket_core::ids::BootId;
use picket_core::node::Orphan;
use picket_host::cert::Identity;
use picket_host::files::RealFiles;
use picket_host::secrets::read_key;
use picket_host::sys::{self, Permitted, realtime_priority};
use picket_host::tls::Credentials;
use picket_proto::beat::BeatKey;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// The connections: below the loop, above ordinary work.
const NET_PRIORITY: u8 = 10;

/// What is checked and bound before anything runs.
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) heartbeats: Heartbeats,
    pub(super) control: control::Listening,
    pub(super) store: NodeStore,
    pub(super) found: Found,
    pub(super) boot: BootId,
    pub(super) runtimes: Runtimes,
}

/// Checks what a start needs beyond the configuration: certificates, keys. Binds nothing.
///
/// # Errors
/// What does not fit.
pub fn check(config: &Config) -> Result<(Credentials, BeatKey), StartError> {
    let credentials = Credentials::read(&config.tls.ca, &config.tls.cert, &config.tls.key)?;
    let expected = Identity::node(&config.cluster, &config.name)?;
    if *credentials.identity() != expected {
        return Err(StartError::OtherIdentity { found: credentials.identity().clone(), expected });
    }
    let key = read_key(&config.heartbeat_key)?;
    Ok((credentials, BeatKey::new(key.expose())))
}

pub(super) fn prepare(config: Config) -> Result<Prepared, StartError> {
    let (credentials, key) = check(&config)?;
    let boot = boot_id(&config)?;
    let files = Arc::new(RealFiles);
    // First of all: a second daemon must not touch anything.
    let (store, found) = NodeStore::open(files, &config.state_dir, &config.run_dir, boot)?;
    // Nor may one that would leave to itself what is held: the watchdog stays as it is.
    let orphans =
        found.run.as_ref().map(|run| Orphan::find(&config.core(false), run, boot)).unwrap_or_default();
    if !orphans.is_empty() {
        return Err(StartError::Held(orphans));
    }
    let runtimes = Runtimes {
        net: Some(net_runtime().map_err(io("threads"))?),
        rooms: Some(room_runtime().map_err(io("threads"))?),
        answering: None,
    };
    let heartbeats = Heartbeats::bind(&config, key).map_err(io("heartbeats"))?;
    let control = {
        let _inside = runtimes.rooms.as_ref().map(Runtime::enter);
        control::listen(&config.control).map_err(io("control"))?
    };
    let (config, credentials) = (Arc::new(config), Arc::new(credentials));
    Ok(Prepared { config, credentials, heartbeats, control, store, found, boot, runtimes })
}

fn net_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("picket-net")
        .on_thread_start(|| {
            if let Permitted::No { reason } = realtime_priority(NET_PRIORITY) {
                tracing::debug!(%reason, "the connections");
            }
        })
        .enable_all()
        .build()
}

fn room_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("picket-rooms").enable_all().build()
}

fn boot_id(config: &Config) -> Result<BootId, StartError> {
    let bytes = match &config.lab {
        None => sys::boot_id().map_err(io("boot id"))?,
        Some(lab) => {
            let path = lab.boot_id_file.clone();
            let wrong = |why: String| StartError::BootId { path: path.clone(), why };
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
            sys::parse_uuid(text.trim()).ok_or_else(|| wrong(format!("not a UUID: {:?}", text.trim())))?
        }
    };
    Ok(BootId(u128::from_be_bytes(bytes)))
}
