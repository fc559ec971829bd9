//! The outermost messages. Each states the version of the protocol that it is written in; another version is
//! refused before anything else in the message is looked at.

use super::{Fault, Message, Wire, WireError};
use crate::{PROTOCOL, v1};
use picket_core::message::{FromWitness, PeerMessage, ToWitness};

/// Whether a message that claims this version can be read here.
///
/// # Errors
/// The version is missing or another one.
pub fn check_protocol(claimed: Option<u32>) -> Result<(), WireError> {
    let fault = match claimed {
        Some(PROTOCOL) => return Ok(()),
        Some(came) => Fault::OtherProtocol { came, ours: PROTOCOL },
        None => Fault::Missing,
    };
    Err(WireError::new(fault).within("protocol"))
}

macro_rules! envelope {
    ($core:ident => $wire:ident { $($field:ident),* }) => {
        impl Message for $core {
            type Wire = v1::$wire;
            fn to_wire(&self) -> v1::$wire {
                v1::$wire { protocol: Some(PROTOCOL), $($field: self.$field.put()),* }
            }
            fn from_wire(wire: v1::$wire) -> Result<Self, WireError> {
                check_protocol(wire.protocol)?;
                Ok(Self {
                    $($field: Wire::take(wire.$field).map_err(|error| error.within(stringify!($field)))?),*
                })
            }
        }
    };
}

envelope!(ToWitness => ToWitness { session, request, seen, body });
envelope!(FromWitness => FromWitness { session, processed, seen, body });
envelope!(PeerMessage => PeerEnvelope { boot, run, body });
