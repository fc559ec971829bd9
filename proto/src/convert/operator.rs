//! What operators ask of the witness.

use super::shape::{choice, fields, list};
use picket_core::ids::NodeSet;
use picket_core::message::{OperatorAnswer, OperatorRequest, Override, PendingConfirmation};

choice!(OperatorRequest => OperatorRequest in operator_request {
    units { Retire }
    inners {}
    fields {
        Adopt { source },
        Evict { node, volume },
        Clear { node },
        ForceStale { node, volume },
        ConfirmMeatware { node, challenge },
        DenyMeatware { node },
        Maintenance { node, length },
    }
});

choice!(OperatorAnswer => OperatorAnswer in operator_answer {
    units { Done }
    inners { Refused }
    fields { Confirmed { permit, effective_in } }
});

fields!(PendingConfirmation => PendingConfirmation { target, permit, challenge, heard_by, effective_in });
fields!(Override => Override { volume, epoch, isr, isr_version });

// One per node at most: only the target of a permit can be confirmed, and a target has one permit.
list!(PendingConfirmation => PendingConfirmation, at most NodeSet::MAX_NODES as usize);
