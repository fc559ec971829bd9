//! The targets, one file for each room.

use crate::target::Target;

pub mod agent_input;
pub mod agent_output;
pub mod config;
pub mod damage;
pub mod devices;
pub mod drbd_events;
pub mod drbd_handler;
pub mod drbd_words;
pub mod ended;
pub mod heartbeat;
pub mod hosts;
pub mod identity;
pub mod ipmi;
pub mod meatware;
pub mod node_store;
pub mod postgresql;
pub mod power;
pub mod processes;
#[path = "../../../proto/src/convert/tests/samples.rs"]
mod samples;
pub mod script;
pub mod volume_status;
pub mod wire;
pub mod witness_core;
pub mod witness_log;

/// All of them.
pub const ALL: &[Target] = &[
    wire::TARGET,
    witness_core::TARGET,
    heartbeat::TARGET,
    witness_log::TARGET,
    witness_log::RECORD,
    node_store::TARGET,
    config::WITNESS,
    config::NODE,
    agent_input::TARGET,
    agent_output::TARGET,
    volume_status::TARGET,
    drbd_events::TARGET,
    drbd_words::GENERATION,
    drbd_words::DUMP,
    drbd_handler::TARGET,
    postgresql::TARGET,
    processes::TARGET,
    ended::TARGET,
    ended::METADATA,
    meatware::TARGET,
    power::TARGET,
    devices::REDFISH,
    devices::LIBVIRT,
    hosts::VIRSH,
    hosts::XEN,
    ipmi::TARGET,
    identity::TARGET,
];
