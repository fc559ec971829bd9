//! The specification: what one step of each kind does to one volume's register, and what it answers.
//!
//! It says nothing about time. Whether an operation *may* have been refused for a reason of time (nobody heard, a
//! handover under way) is left open: such an operation changes nothing, and that is all that is checked of it.

use picket_core::ids::{BootId, NodeId, NodeSet};
use std::fmt;

/// Who holds a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// Its boot.
    pub boot: BootId,
}

/// What an answer tells of a register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View {
    /// The newest grant's epoch.
    pub epoch: u64,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// The in-sync set.
    pub isr: NodeSet,
    /// Its version.
    pub version: u64,
}

/// A register, as a sequence of steps leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register {
    /// What everybody may see.
    pub view: View,
    /// The attempt that got the present grant; unknown where a history begins.
    pub attempt: Option<u64>,
    /// Epochs up to this one may have been used elsewhere: the next grant is above it. Zero but after a recovery.
    pub floor: u64,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Grant me the volume.
    Acquire {
        /// Who asks.
        me: Holder,
        /// Under which attempt.
        attempt: u64,
        /// Boots of any node that were superseded, or were about to be, before the answer came.
        superseded: Vec<BootId>,
    },
    /// Replace the in-sync set.
    Update {
        /// Who asks.
        me: Holder,
        /// The epoch with which it believes to hold the volume.
        epoch: u64,
        /// The version that it read.
        expected: u64,
        /// The new set.
        isr: NodeSet,
    },
    /// I do not hold it any more.
    Release {
        /// Who asks.
        me: Holder,
        /// The epoch that ends.
        epoch: u64,
    },
    /// How does it stand?
    Read,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it was done at some time, or never.
    Unknown,
    /// It was not done, for a reason that says nothing about the register.
    NotDone,
    /// An acquire: granted, and this is the register now. An update: done. A read: seen.
    Told(View),
    /// A release was recorded.
    Released,
    /// An update: the version is another one.
    Conflict {
        /// The register's.
        held: u64,
    },
    /// The epoch is another one.
    OtherEpoch {
        /// The register's.
        held: u64,
    },
    /// Somebody else holds it, or nobody, or an earlier boot of the asker.
    NotHolder {
        /// Who.
        holder: Option<NodeId>,
    },
    /// An acquire: the asker is not in the in-sync set.
    NotInSync {
        /// The set.
        isr: NodeSet,
    },
}

impl Register {
    /// The register after the operation, if its answer fits here. An operation whose outcome is unknown is given
    /// what it does if it is done here.
    #[must_use]
    pub fn step(&self, call: &Call, outcome: &Outcome) -> Option<Self> {
        match (call, outcome) {
            (_, Outcome::NotDone) => Some(*self),
            (Call::Read, Outcome::Told(seen)) => (self.view == *seen).then_some(*self),
            (Call::Acquire { me, attempt, .. }, Outcome::Told(told)) if self.had_before(*me, told) => {
                Some(Self { attempt: Some(*attempt), ..*self })
            }
            (Call::Acquire { me, attempt, superseded }, Outcome::Told(told)) => {
                self.grant(*me, *attempt, superseded).filter(|next| next.view == *told)
            }
            (Call::Acquire { me, attempt, superseded }, Outcome::Unknown) => {
                self.grant(*me, *attempt, superseded)
            }
            (Call::Update { me, epoch, expected, isr }, Outcome::Told(told)) => {
                self.update(*me, *epoch, *expected, *isr).filter(|next| next.view == *told)
            }
            (Call::Update { me, epoch, expected, isr }, Outcome::Unknown) => {
                self.update(*me, *epoch, *expected, *isr)
            }
            (Call::Release { me, epoch }, Outcome::Released | Outcome::Unknown) => self.release(*me, *epoch),
            (_, refused) => self.refuses(call, refused).then_some(*self),
        }
    }

    /// A grant: the holder is nobody, the asker, or a boot that is proven over.
    fn grant(&self, me: Holder, attempt: u64, superseded: &[BootId]) -> Option<Self> {
        let View { epoch, holder, isr, version } = self.view;
        if !isr.contains(me.node) {
            return None;
        }
        // The attempt of the present grant gets the same again.
        if holder == Some(me) && self.attempt == Some(attempt) {
            return Some(*self);
        }
        let left = match holder {
            None => isr,
            Some(old) if old.node == me.node => isr,
            Some(old) if superseded.contains(&old.boot) => isr.without(old.node),
            Some(_) => return None,
        };
        let version = version + u64::from(left != isr);
        let epoch = epoch.max(self.floor) + 1;
        let view = View { epoch, holder: Some(me), isr: left, version };
        Some(Self { view, attempt: Some(attempt), ..*self })
    }

    /// Whether the holder is told the grant that it had where the history begins: it asked again under that attempt.
    fn had_before(&self, me: Holder, told: &View) -> bool {
        self.attempt.is_none() && self.view.holder == Some(me) && self.view == *told
    }

    fn is_held(&self, me: Holder, epoch: u64) -> bool {
        self.view.holder == Some(me) && self.view.epoch == epoch
    }

    fn update(&self, me: Holder, epoch: u64, expected: u64, isr: NodeSet) -> Option<Self> {
        let fits = self.is_held(me, epoch) && self.view.version == expected && isr.contains(me.node);
        fits.then(|| Self { view: View { isr, version: expected + 1, ..self.view }, ..*self })
    }

    /// A release that was recorded before is answered the same again.
    fn release(&self, me: Holder, epoch: u64) -> Option<Self> {
        let is_released = self.view.holder.is_none() && self.view.epoch == epoch;
        let released = || Self { view: View { holder: None, ..self.view }, attempt: None, ..*self };
        (is_released || self.is_held(me, epoch)).then(released)
    }

    /// Whether the register is as a refusal says, and the operation has to be refused for that.
    fn refuses(&self, call: &Call, refused: &Outcome) -> bool {
        let View { epoch, holder, isr, version } = self.view;
        match (call, refused) {
            (Call::Update { me, epoch: asked, expected, .. }, Outcome::Conflict { held }) => {
                self.is_held(*me, *asked) && version == *held && held != expected
            }
            (
                Call::Update { me, epoch: asked, .. } | Call::Release { me, epoch: asked },
                Outcome::OtherEpoch { held },
            ) => holder == Some(*me) && epoch == *held && held != asked,
            (Call::Update { me, .. } | Call::Release { me, .. }, Outcome::NotHolder { holder: told }) => {
                holder != Some(*me) && holder.map(|holder| holder.node) == *told
            }
            (Call::Acquire { me, .. }, Outcome::NotInSync { isr: told }) => {
                isr == *told && !isr.contains(me.node)
            }
            _ => false,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} ", self.epoch)?;
        match self.holder {
            Some(Holder { node, boot }) => write!(f, "held by n{node} (boot {})", boot.0)?,
            None => f.write_str("held by nobody")?,
        }
        write!(f, ", in sync {}, version {}", set(self.isr), self.version)
    }
}

/// A set of nodes, for people.
fn set(nodes: NodeSet) -> String {
    let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
    format!("{{{}}}", names.join(" "))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { me, attempt, .. } => {
                write!(f, "n{} (boot {}) acquires, attempt {attempt}", me.node, me.boot.0)
            }
            Self::Update { me, epoch, expected, isr } => write!(
                f,
                "n{} (boot {}) updates with epoch {epoch}, version {expected} to {}",
                me.node,
                me.boot.0,
                set(*isr)
            ),
            Self::Release { me, epoch } => {
                write!(f, "n{} (boot {}) releases epoch {epoch}", me.node, me.boot.0)
            }
            Self::Read => f.write_str("a read"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no answer"),
            Self::NotDone => f.write_str("not done"),
            Self::Told(view) => write!(f, "{view}"),
            Self::Released => f.write_str("released"),
            Self::Conflict { held } => write!(f, "refused: the version is {held}"),
            Self::OtherEpoch { held } => write!(f, "refused: the epoch is {held}"),
            Self::NotHolder { holder: Some(node) } => write!(f, "refused: n{node} holds it"),
            Self::NotHolder { holder: None } => f.write_str("refused: nobody holds it"),
            Self::NotInSync { isr } => write!(f, "refused: in sync are {}", set(*isr)),
        }
    }
}
