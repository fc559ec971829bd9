//! What several messages are made of.

use super::shape::{choice, enumeration, fields, list};
use super::{Message, Wire, WireError};
use crate::{VOLUMES_MAX, v1};
use picket_core::error::Refusal;
use picket_core::evidence::{FenceOutcome, Generation, Proof, SelfFence};
use picket_core::ids::{Epoch, VolumeId};
use picket_core::message::{FenceReason, Holder, Seen};

fields!(Seen => Seen { store, commit });
fields!(Generation => Generation { current, history });
fields!(SelfFence => SelfFence { watchdog_counts, pause_visible });
fields!(Holder => Holder { node, boot });

enumeration!(FenceOutcome => FenceOutcome { ConfirmedOff, Unknown, NotStarted });
enumeration!(FenceReason => FenceReason { Silent, Operator, Drill });

choice!(Proof => Proof in proof {
    units { Released, SameHolder, LeaseExpired }
    inners {}
    fields { NewerBoot { boot }, Fenced { permit }, Attested { permit } }
});

choice!(Refusal => Refusal in refusal {
    units {
        NotRegistered, WrongNonce, NotMember, Incomplete, HeldOff, DeclaredFailed, NothingAtStake, NothingPending,
        WrongChallenge, Quarantined, FenceUnresolved, NotConnected, AlreadyThere, Standby,
    }
    inners {}
    fields {
        OutOfSequence { expected, came },
        StaleBoot { boot },
        StaleConfig { ours, theirs },
        NoSuchVolume { volume },
        Recovering { missing },
        NotInSync { isr },
        DataMismatch { recorded, offered },
        TargetOfPermit { permit },
        NeedsProof { holder, alive, lease_will_prove },
        Maintenance { node },
        EpochMismatch { held, asked },
        NotHolder { holder },
        VersionConflict { held, asked },
        NotAnInSyncSet { asked },
        SeenAlive { by },
        SoloElsewhere { volume },
        PermitLive { fencer, permit },
        NoSuchPermit { permit },
        OtherStore { running },
        Promised { to },
        WrongState { expected },
    }
});

/// A volume and the epoch that it is held with.
impl Message for (VolumeId, Epoch) {
    type Wire = v1::Held;
    fn to_wire(&self) -> v1::Held {
        v1::Held { volume: self.0.put(), epoch: self.1.put() }
    }
    fn from_wire(wire: v1::Held) -> Result<Self, WireError> {
        let volume = VolumeId::take(wire.volume).map_err(|error| error.within("volume"))?;
        let epoch = Epoch::take(wire.epoch).map_err(|error| error.within("epoch"))?;
        Ok((volume, epoch))
    }
}

list!((VolumeId, Epoch) => Held, at most VOLUMES_MAX);

/// Done, or why not.
impl Wire<Option<v1::Verdict>> for Result<(), Refusal> {
    fn put(&self) -> Option<v1::Verdict> {
        use v1::verdict::Kind;
        let kind = match self {
            Ok(()) => Kind::Ok(v1::Unit {}),
            Err(refusal) => Kind::Refused(refusal.to_wire()),
        };
        Some(v1::Verdict { kind: Some(kind) })
    }
    fn take(wire: Option<v1::Verdict>) -> Result<Self, WireError> {
        use v1::verdict::Kind;
        match wire.and_then(|verdict| verdict.kind) {
            Some(Kind::Ok(v1::Unit {})) => Ok(Ok(())),
            Some(Kind::Refused(refusal)) => {
                Refusal::from_wire(refusal).map(Err).map_err(|error| error.within("refused"))
            }
            None => Err(WireError::new(super::Fault::Missing)),
        }
    }
}
