//! The order of the resource tree: what stands above first, what it needs below it, indented.

use picket_proto::v1::Status;
use std::collections::BTreeSet;

/// One line of the tree: a volume, or a resource above one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'s> {
    /// The node whose view this is.
    pub local: &'s str,
    /// Its name.
    pub tag: &'s str,
    /// What it is.
    pub id: String,
    /// ISP, OSU, OSF or UNKNOWN.
    pub state: &'s str,
    /// The local node's priority.
    pub prio: u32,
    /// Where it is in service.
    pub primary: &'s str,
    needs: &'s [String],
}

/// Everything in the tree's order, each with its depth. Each is there once, below the first of those that stand on
/// it, also when what is needed goes in a circle or is not there.
#[must_use]
pub fn order(status: &Status) -> Vec<(usize, Node<'_>)> {
    let resources = status.resources.iter().map(|resource| Node {
        local: &resource.local,
        tag: &resource.tag,
        id: resource.id.clone(),
        state: &resource.state,
        prio: resource.prio,
        primary: &resource.primary,
        needs: &resource.needs,
    });
    let volumes = status.volumes.iter().map(|volume| Node {
        local: &volume.local,
        tag: &volume.tag,
        id: volume.id.to_string(),
        state: &volume.state,
        prio: volume.prio,
        primary: &volume.primary,
        needs: &[],
    });
    // What stands highest comes last in the list, and first on the screen.
    let nodes: Vec<Node<'_>> = resources.rev().chain(volumes).collect();
    let needed = |tag: &str| nodes.iter().any(|node| node.needs.iter().any(|needed| needed == tag));
    let (mut done, mut ordered) = (BTreeSet::new(), Vec::new());
    for node in nodes.iter().filter(|node| !needed(node.tag)) {
        place(&nodes, node, 0, &mut done, &mut ordered);
    }
    // What only a circle leads to.
    for node in &nodes {
        place(&nodes, node, 0, &mut done, &mut ordered);
    }
    ordered
}

/// Goes no deeper than there are nodes, because each is placed once.
fn place<'s>(
    nodes: &[Node<'s>],
    node: &Node<'s>,
    depth: usize,
    done: &mut BTreeSet<&'s str>,
    ordered: &mut Vec<(usize, Node<'s>)>,
) {
    if !done.insert(node.tag) {
        return;
    }
    ordered.push((depth, node.clone()));
    for needed in node.needs {
        if let Some(below) = nodes.iter().find(|other| other.tag == needed) {
            place(nodes, below, depth + 1, done, ordered);
        }
    }
}
