//! The node machine.
pub mod config;
pub mod effect;
pub mod record;
pub use config::*;
pub use effect::*;
pub use record::*;
/// stub while the machine is written
pub struct Node;
impl Node {
    /// x
    #[must_use]
    pub fn deadline(&self) -> Option<crate::time::Instant> {
        None
    }
}
