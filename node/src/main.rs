//! The node daemon's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    picket_node::run(std::env::args_os())
}
