//! The demonstration, and the lab that it is played in: whole sites on one host, made of real processes and
//! real sockets.

pub mod acts;
pub mod cluster;
mod display;
mod error;
pub mod links;
pub mod machine;
mod play;
pub mod report;
mod stage;
mod stall;

pub use display::Display;
pub use error::DemoError;
pub use play::Demo;
pub use stage::{Fault, LIMIT, Scene, Stage, VOLUME};
pub use stall::StallWatch;

/// What a person does to a machine of a demonstration that was kept running: `what` is a control command, `socket`
/// the machine's control socket. Returns what the machine has to say.
///
/// # Errors
/// There is no such command, nobody answers at the socket, or the machine refuses.
pub async fn play_fate(socket: &std::path::Path, what: &str) -> Result<String, String> {
    let name = socket.parent().and_then(std::path::Path::file_name).unwrap_or_default().to_string_lossy();
    let command = what.parse()?;
    machine::play_fate(socket, &name, &command).await.map_err(|error| error.to_string())
}
