//! What Picket's programs share towards the machine.
//!
//! The idea: everything that touches the kernel, the disk, the clock or the network's wrapping
//! lives here once, is tested here once, and says plainly what it guarantees. Nothing here knows
//! the protocol; the contract is that a caller can tell success, failure and "unknown" apart.
//!
//! | module | what it owns |
//! |---|---|
//! | [`clock`] | the two clocks, the one allowed pause, and an alarm without coarse rounding |
//! | [`sys`] | what needs the kernel directly; the only place with `unsafe` |
//! | [`process`] | running a program with a deadline, and knowing that all of it is gone |
//! | [`files`] | the file layer, with a twin in memory that tests can make fail |
//! | [`small_state`] | one small checksummed record, replaced atomically |
//! | [`config`] | TOML with every error at once, each with its place |
//! | [`cert`], [`tls`] | certificates for our roles, mutual TLS, signatures for relayed messages |
//! | [`secrets`] | secrets that wipe themselves, and the files that they come from |
//! | [`logging`] | log lines, levels and numbered operator events |
//! | [`output`] | what is said on standard output |

pub mod cert;
pub mod clock;
pub mod config;
pub mod files;
pub mod logging;
pub mod output;
pub mod process;
pub mod secrets;
pub mod small_state;
pub mod sys;
pub mod tls;
