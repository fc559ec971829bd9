//! What nodes say to each other.

use super::shape::{choice, fields};
use picket_core::message::{PeerBody, SignedRelease};

choice!(PeerBody => PeerBody in peer_body {
    units {}
    inners {}
    fields {
        FailsafeLease { request, volume, epoch, lease },
        FailsafeAnswer { request, run, volume, epoch, promise },
        HandoverOffer { request, volume, epoch },
        HandoverAnswer { request, volume, ready },
        MoveRequest { volume, to },
        MoveRefused { volume, to, refusal },
        RelayRelease { release },
    }
});

fields!(SignedRelease => SignedRelease { volume, epoch, boot, signature });
