//! `picket-fence`: all fence agents in one program, chosen by the name that it is called under.

use picket_fence::command;
use std::process::ExitCode;

fn main() -> ExitCode {
    picket_host::sys::end_on_panic();
    command::main().into()
}
