//! `picket config drbd`: the lines that a DRBD resource needs.

use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_node::volume::drbd::conf::{Version, lines};
use std::path::Path;

pub(super) fn run(resource: &str, nine: bool, run_dir: &Path, session: &mut Session) -> Result<Exit, Fault> {
    let version = if nine { Version::Nine } else { Version::Eight };
    write!(session.out, "{}", lines(resource, run_dir, version))?;
    Ok(Exit::Done)
}
