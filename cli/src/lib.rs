//! What operators type, and the demonstration that runs everything on one host.
//!
//! ```text
//!  main ─ multicall ─▶ another program under its name
//!     └── args ─▶ verbs/<verb> ─ client ─▶ the local daemon's socket
//!                    └─ render/{status,tree,table,json}
//!  demo/{acts,report,display} ─▶ demo/cluster ─▶ demo/{machine,links}
//! ```

pub mod args;
pub mod client;
pub mod demo;
pub mod exit;
pub mod multicall;
pub mod render;
pub mod run;
pub mod session;
pub mod verbs;
