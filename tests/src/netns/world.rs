//! A program run again in a network and in mounts of its own, so that nothing that it makes there outlives it.

use super::Rooms;
use crate::Failure;
use std::process::{Command, ExitCode};

/// Says to this program that it runs in a network and in mounts of its own.
const OWN_WORLD: &str = "PICKET_TEST_OWN_WORLD";

/// Runs this program again in a world of its own, and there does the work; `work` comes back with whether all is well.
pub fn in_own_world(name: &str, work: impl FnOnce() -> Result<bool, Failure>) -> ExitCode {
    let is_inside = std::env::var_os(OWN_WORLD).is_some();
    let done = if is_inside { Rooms::own_world().and_then(|()| work()) } else { again() };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn again() -> Result<bool, Failure> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--propagation", "private", "--"]).arg(std::env::current_exe()?);
    Ok(unshare.args(std::env::args().skip(1)).env(OWN_WORLD, "1").status()?.success())
}
