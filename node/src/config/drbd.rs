//! `volume.drbd`: a DRBD resource and DRBD's own programs. What the resource must be set to stands in its own
//! configuration, which the driver reads and checks when it starts.

use super::VolumeDriver;
use crate::volume::drbd::handler::RUN_DIR;
use picket_host::config::{Table, name, path};
use std::path::PathBuf;

/// A DRBD resource and DRBD's own programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrbdConfig {
    /// The resource's name.
    pub resource: String,
    /// Where the handlers' socket is made.
    pub run_dir: PathBuf,
    /// `drbdadm`.
    pub drbdadm: PathBuf,
    /// `drbdsetup`.
    pub drbdsetup: PathBuf,
}

/// Reads the table.
pub(super) fn read(table: &Table<'_, '_>) -> Option<VolumeDriver> {
    let resource = table.required("resource", name());
    let run_dir = table.or("run_dir", path(), PathBuf::from(RUN_DIR));
    let drbdadm = table.or("drbdadm", path(), PathBuf::from("/usr/sbin/drbdadm"));
    let drbdsetup = table.or("drbdsetup", path(), PathBuf::from("/usr/sbin/drbdsetup"));
    Some(VolumeDriver::Drbd(Box::new(DrbdConfig { resource: resource?, run_dir, drbdadm, drbdsetup })))
}
