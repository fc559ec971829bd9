//! What the supervisor writes down. Its standard error is the machine's `supervisor.log`.

use crate::demo::machine::spec::MachineSpec;
use picket_host::clock;
use std::io::{self, Write};

/// One line. A log that cannot be written stops no machine.
pub(super) fn note(spec: &MachineSpec, text: &str) {
    let _ = writeln!(io::stderr(), "{} {}: {text}", clock::rfc3339(clock::wall()), spec.name);
}
