//! What must hold of a grant, by the witness's record before and after: the model checker and the simulator ask the same.

use picket_core::evidence::Proof;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::witness::{NodeRecord, Record, Register};

/// Who is to be fenced, has declared itself failed, or is held off gets nothing. A permit that was given after the
/// grant, in the same change, has revoked it.
pub(crate) fn barred(known: &NodeRecord, granted: &Register) -> Option<&'static str> {
    if known.permit.is_some() && !granted.revoked {
        Some("is to be fenced")
    } else if known.failed.is_some() && known.failed == known.boot {
        Some("has declared itself failed")
    } else if known.held_off {
        Some("is held off")
    } else {
        None
    }
}

/// A takeover takes the old holder and fenced nodes out of the set, any other grant nobody, and none puts anybody in.
/// What was proven off in the same change may have been taken out before.
pub(crate) fn wrong_set(
    node: NodeId,
    [was, now]: [&Register; 2],
    [before, after]: [&Record; 2],
) -> Option<String> {
    let old = was.holder.map_or(NodeSet::EMPTY, |holder| NodeSet::only(holder.node));
    let off = fenced(after).without(node);
    let gone = match now.proof {
        Some(Proof::Released | Proof::SameHolder) | None => NodeSet::EMPTY,
        Some(_) => off.union(old).without(node),
    };
    let may_go = gone.union(off.minus(fenced(before)));
    let (added, stripped) = (now.isr.minus(was.isr), was.isr.minus(may_go).minus(now.isr));
    let kept = now.isr.intersection(gone);
    let wrong = [(added, "puts in"), (stripped, "strips"), (kept, "keeps")];
    let (nodes, what) = wrong.into_iter().find(|(nodes, _)| !nodes.is_empty())?;
    Some(format!("{what} nodes {nodes} of its in-sync set"))
}

/// Nodes whose present boot was confirmed off.
fn fenced(record: &Record) -> NodeSet {
    let off = |known: &NodeRecord| known.boot.is_some_and(|boot| known.is_fenced(boot));
    record.nodes.iter().filter(|(_, known)| off(known)).map(|(id, _)| *id).collect()
}
