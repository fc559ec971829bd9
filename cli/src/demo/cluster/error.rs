//! What can go wrong with a lab cluster.

use crate::demo::machine::MachineError;
use core::time::Duration;
use std::io;
use std::path::PathBuf;

/// Why a lab cluster cannot be started, steered or judged.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The description cannot be used.
    #[error("lab cluster: {0}")]
    Spec(String),
    /// A file or directory of the lab failed.
    #[error("{}: {source}", path.display())]
    File {
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No addresses or sockets are to be had.
    #[error("cannot {what}: {source}")]
    Net {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The throw-away certificates could not be made.
    #[error("certificates: {0}")]
    Cert(#[from] picket_host::cert::Error),
    /// A name could not stand in a certificate.
    #[error("certificates: {0}")]
    Name(#[from] picket_host::cert::NotAnIdentity),
    /// The throw-away certificates are not accepted.
    #[error("TLS: {0}")]
    Tls(#[from] picket_host::tls::Error),
    /// No key could be made.
    #[error("heartbeat key: {0}")]
    Key(#[from] picket_host::secrets::Error),
    /// A machine failed.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// No such machine, node or volume.
    #[error("the lab has no {0}")]
    Nothing(String),
    /// What was waited for did not come.
    #[error("waited {limit:?} for {what}; this is how things were:\n{seen}")]
    NotSeen {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// What was seen last.
        seen: String,
    },
    /// The volumes' files could not be judged.
    #[error("checker: {0}")]
    Check(#[from] picket_ledger::checker::CheckError),
    /// The client failed.
    #[error("client: {0}")]
    Client(io::Error),
}

impl LabError {
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    pub(super) fn net(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Net { what, source }
    }
}
