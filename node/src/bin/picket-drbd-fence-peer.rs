//! DRBD's `fence-peer` handler; see [`picket_node::volume::drbd::handler`].

use picket_node::volume::drbd::handler::{Call, Question, STAY};
use std::process::ExitCode;

fn main() -> ExitCode {
    let call = Call::read(Question::FencePeer, std::env::args_os().skip(1), |name| std::env::var(name).ok());
    match call {
        Ok(call) => ExitCode::from(call.fence_peer()),
        Err(error) => {
            eprintln!("picket-drbd-fence-peer: {error}");
            ExitCode::from(STAY)
        }
    }
}
