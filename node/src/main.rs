//! The node daemon's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    picket_host::sys::end_on_panic();
    picket_node::run(std::env::args_os())
}
