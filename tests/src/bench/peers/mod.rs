//! Others' products on the same machine in the same run, so that there are ratios and not only numbers.
//!
//! None of them does the same: each module says what its product does in that time, and what not.

mod address;
mod etcd;
mod pacemaker;
mod vrrp;

pub use address::echo;
pub use etcd::etcd;
pub use pacemaker::pacemaker;
pub use vrrp::vrrp;
