//! DRBD's `unfence-peer`, `before-resync-target` and `after-resync-target` handlers: the question is the argument; see
//! [`picket_node::volume::drbd::handler`].

use picket_node::volume::drbd::handler::{Call, Question};
use std::process::ExitCode;

fn main() -> ExitCode {
    let call =
        Call::read(Question::UnfencePeer, std::env::args_os().skip(1), |name| std::env::var(name).ok());
    match call {
        Ok(call) => ExitCode::from(call.unfence()),
        Err(error) => {
            eprintln!("picket-drbd-unfence: {error}");
            ExitCode::from(1)
        }
    }
}
