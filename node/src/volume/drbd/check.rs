//! DRBD's own configuration of every volume, looked at before anything runs.

use super::conf::problems;
use crate::config::{Config, DrbdConfig, Volume, VolumeDriver};
use crate::volume::one_line;
use std::io;
use std::process::Command;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What would undo the guarantee, a line each.
    pub problems: Vec<String>,
    /// What could not be looked at: DRBD's programs are not on this machine.
    pub unseen: Vec<String>,
}

/// Asks `drbdadm dump` about each DRBD volume of the configuration.
#[must_use]
pub fn all(config: &Config) -> Found {
    let mut found = Found::default();
    for (_, volume) in config.own_volumes() {
        if let VolumeDriver::Drbd(drbd) = &volume.driver {
            one(config, volume, drbd, &mut found);
        }
    }
    found
}

fn one(config: &Config, volume: &Volume, drbd: &DrbdConfig, found: &mut Found) {
    let named = |text: String| format!("volume {}, DRBD resource {}: {text}", volume.name, drbd.resource);
    let dumped = Command::new(&drbd.drbdadm).arg("dump").arg(&drbd.resource).env("LC_ALL", "C").output();
    let output = match dumped {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.unseen.push(named(format!("not looked at: {} is not here", drbd.drbdadm.display())));
            return;
        }
        Err(error) => {
            found.problems.push(named(format!("{}: {error}", drbd.drbdadm.display())));
            return;
        }
    };
    if !output.status.success() {
        let said = one_line(&String::from_utf8_lossy(&output.stderr));
        found.problems.push(named(format!("drbdadm dump: {}: {said}", output.status)));
        return;
    }
    let members: Vec<&str> = volume
        .members
        .iter()
        .filter_map(|id| config.members.get(id))
        .map(|member| member.name.as_str())
        .collect();
    match problems(&String::from_utf8_lossy(&output.stdout), &drbd.resource, &members, &drbd.run_dir) {
        Ok(wrong) => found.problems.extend(wrong.into_iter().map(named)),
        Err(error) => found.problems.push(named(error)),
    }
}
