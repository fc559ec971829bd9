//! The lab's directory: links to the program, a throw-away authority, the heartbeat key.
//!
//! ```text
//! bin/       picketd, picket-witness, fence_picket_process …: links to one program
//! tls/       ca.pem, <name>.pem, <name>.key; no file holds the authority's own key
//! n1/ …      one directory per machine (see MachineSpec), with its configuration
//! sockets/   the ends of power lines
//! clients/   what the clients were acknowledged
//! ```

use super::error::LabError;
use super::spec::ClusterSpec;
use super::{WITNESS, node_name};
use crate::multicall::Program;
use picket_host::cert::{Authority, Identity};
use picket_host::secrets::create_key;
use picket_host::tls::Credentials;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A lab's certificates last for a day: long enough for any run, useless afterwards.
const DAYS: u32 = 1;

/// The witness's name in its certificate.
pub(super) const WITNESS_NAME: &str = "w1";

/// The agent of lab machines.
const AGENT: &str = "fence_picket_process";

#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Removed when dropped.
    temporary: Option<TempDir>,
}

/// Where labs lie: in memory if that can be had, so that what else a host writes to its disk does not stop the
/// machines' disks for seconds.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let usable = tempfile::Builder::new().prefix("picket-probe-").tempdir_in(&memory).is_ok();
    if usable { memory } else { std::env::temp_dir() }
}

impl Files {
    pub(super) fn make(spec: &ClusterSpec) -> Result<Self, LabError> {
        let (root, temporary) = match &spec.dir {
            Some(dir) => {
                fs::create_dir_all(dir).map_err(LabError::file(dir))?;
                (fs::canonicalize(dir).map_err(LabError::file(dir))?, None)
            }
            None => {
                let place = place();
                let made = tempfile::Builder::new().prefix("picket-").tempdir_in(&place);
                let made = made.map_err(LabError::file(&place))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let files = Self { root, temporary };
        for name in ["bin", "tls", "sockets", "clients"] {
            let dir = files.root.join(name);
            fs::create_dir_all(&dir).map_err(LabError::file(&dir))?;
        }
        files.link(&spec.program)?;
        Ok(files)
    }

    fn link(&self, program: &Path) -> Result<(), LabError> {
        let program = fs::canonicalize(program).map_err(LabError::file(program))?;
        let names = Program::ALL.iter().map(|program| program.name());
        for name in names.chain([AGENT]) {
            let link = self.root.join("bin").join(name);
            symlink(&program, &link).map_err(LabError::file(&link))?;
        }
        Ok(())
    }

    /// Certificates for everybody, the heartbeat key, and the credentials of the lab's own operator.
    pub(super) fn make_secrets(&self, spec: &ClusterSpec) -> Result<Credentials, LabError> {
        let authority = Authority::create(&spec.name)?;
        let ca = self.ca();
        fs::write(&ca, authority.certificate_pem()).map_err(LabError::file(&ca))?;
        let tls = self.root.join("tls");
        authority.issue(&Identity::witness(WITNESS_NAME)?, &[], DAYS)?.write(&tls, WITNESS)?;
        for number in 1..=spec.nodes {
            let name = node_name(number);
            authority.issue(&Identity::node(&spec.name, &name)?, &[], DAYS)?.write(&tls, &name)?;
        }
        create_key(&self.heartbeat_key())?;
        let operator = authority.issue(&Identity::operator(&spec.name, "lab")?, &[], DAYS)?;
        Ok(Credentials::from_pem(authority.certificate_pem(), &operator.certificate_pem, &operator.key_pem)?)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.root.join("tls/ca.pem")
    }

    pub(super) fn cert(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(format!("{name}.pem"))
    }

    pub(super) fn key(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(format!("{name}.key"))
    }

    pub(super) fn heartbeat_key(&self) -> PathBuf {
        self.root.join("heartbeat.key")
    }

    pub(super) fn program(&self, program: Program) -> PathBuf {
        self.root.join("bin").join(program.name())
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(super) fn machine(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The end of `from`'s line to `to`'s power switch.
    pub(super) fn power_line(&self, from: &str, to: &str) -> PathBuf {
        self.root.join("sockets").join(format!("{from}-{to}"))
    }

    pub(super) fn journal(&self, volume: &str) -> PathBuf {
        self.root.join("clients").join(format!("{volume}.acks"))
    }

    /// Keeps the directory also when it is a temporary one.
    pub(super) fn keep(&mut self) {
        if let Some(dir) = self.temporary.take() {
            // Gives the path, which we have.
            let _ = dir.keep();
        }
    }

    /// Removes a temporary directory.
    pub(super) fn remove(self) -> Result<(), LabError> {
        let Self { root, temporary } = self;
        temporary.map_or(Ok(()), |dir| dir.close().map_err(LabError::file(root)))
    }
}
