//! What a node and the witness say to each other.

use super::shape::{choice, enumeration, fields, list, optional};
use super::{Message, Wire, WireError};
use crate::{VOLUMES_MAX, v1};
use picket_core::error::Refusal;
use picket_core::ids::{NodeSet, VolumeId};
use picket_core::message::{
    Acquire, Check, CheckAnswer, Granted, Heartbeat, Permit, PermitView, QuorumVerdict, Register,
    RegisterView, ReplicaReport, Reply, ReportFence, Request, RequestFence, Subject, UpdateInSync, View,
    WitnessVerdict,
};

choice!(Request => Request in request {
    units { DeclareFailed }
    inners { Register, Heartbeat, Acquire, UpdateInSync, RequestFence, ReportFence, Check }
    fields {
        Withdraw { attempt },
        Release { volume, epoch, successor },
        RelayRelease { holder, release },
        AskOperator { permit },
        Operator { ticket, request },
    }
});

fields!(Register => Register { nonce, boot, config, self_fence, replicas });
fields!(ReplicaReport => ReplicaReport {
    volume, max_epoch, isr, isr_version, recorded, generation, complete, held, barrier_suffices, overridden,
});
fields!(Heartbeat => Heartbeat { hears, holds, clock });
fields!(Acquire => Acquire { volume, attempt, generation, complete });
fields!(UpdateInSync => UpdateInSync { volume, epoch, expected, isr, generation });
fields!(RequestFence => RequestFence { target, attempt, reason, levels });
fields!(ReportFence => ReportFence { permit, target, target_boot, outcome, acquire });

choice!(Check => Check in check {
    units { Quorum }
    inners {}
    fields { Witness { peer } }
});

choice!(Reply => Reply in reply {
    units {}
    inners { Granted, Permit, OperatorAsked, View, Checked }
    fields {
        Challenge { nonce },
        Registered { registers, recovering },
        Refused { subject, refusal },
        Pending { subject, refusal },
        Renewed { volumes, refused, hears },
        InSync { register },
        Released { volume, epoch },
        FenceRecorded { permit },
        Operator { ticket, answer },
    }
});

choice!(Subject => Subject in subject {
    units { Session }
    inners {}
    fields {
        Acquire { volume, attempt },
        InSync { volume },
        Release { volume },
        Fence { target, attempt },
        Permit { permit },
    }
});

fields!(Granted => Granted { attempt, register, proof });
fields!(Permit => Permit { permit, attempt, target, target_boot, keep_off });
fields!(RegisterView => RegisterView { volume, epoch, holder, isr, isr_version, generation, successor });
fields!(View => View { registers, hears, permits, pending, maintenance, held_off, failed, recovering });
fields!(PermitView => PermitView { permit, target, fencer });

choice!(CheckAnswer => CheckAnswer in check_answer {
    units {}
    inners { Quorum }
    fields { Witness { peer, verdict } }
});

choice!(WitnessVerdict => WitnessVerdict in witness_verdict {
    units { AliveIdle, Expired, Unknown, Diverged }
    inners {}
    fields { AliveHolds { lease_left }, Fenced { permit } }
});

enumeration!(QuorumVerdict => QuorumVerdict { Quorate, NoQuorum, StaleConfig, Quarantined });

impl Message for QuorumVerdict {
    type Wire = v1::QuorumAnswer;
    fn to_wire(&self) -> v1::QuorumAnswer {
        v1::QuorumAnswer { verdict: self.put() }
    }
    fn from_wire(wire: v1::QuorumAnswer) -> Result<Self, WireError> {
        <Self as Wire<Option<i32>>>::take(wire.verdict).map_err(|error| error.within("verdict"))
    }
}
optional!(QuorumVerdict => QuorumAnswer);

/// A volume whose lease was not renewed, and why.
impl Message for (VolumeId, Refusal) {
    type Wire = v1::NotRenewed;
    fn to_wire(&self) -> v1::NotRenewed {
        v1::NotRenewed { volume: self.0.put(), refusal: self.1.put() }
    }
    fn from_wire(wire: v1::NotRenewed) -> Result<Self, WireError> {
        let volume = VolumeId::take(wire.volume).map_err(|error| error.within("volume"))?;
        let refusal = Refusal::take(wire.refusal).map_err(|error| error.within("refusal"))?;
        Ok((volume, refusal))
    }
}

list!(ReplicaReport => ReplicaReport, at most VOLUMES_MAX);
list!(Acquire => Acquire, at most VOLUMES_MAX);
list!(RegisterView => RegisterView, at most VOLUMES_MAX);
list!((VolumeId, Refusal) => NotRenewed, at most VOLUMES_MAX);
// One per target.
list!(PermitView => PermitView, at most NodeSet::MAX_NODES as usize);
