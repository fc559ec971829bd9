//! What reaches the driver's loop.

use core::fmt;
use core::net::SocketAddr;
use picket_core::ids::NodeId;
use picket_core::message::{OperatorAnswer, OperatorRequest, ToWitness};
use picket_proto::v1;
use tokio::sync::{mpsc, oneshot};

/// How many commands may wait for the loop. A sync of 10 ms lets 100 clusters of four nodes with a heartbeat of
/// 100 ms queue 40; the rest is for a disk that is a hundred times slower. Whoever comes after that waits, and
/// TCP slows the node down.
pub const WAITING_MAX: usize = 4096;

/// How many messages may wait for one node to read them. A node gets a few per heartbeat; one that leaves
/// hundreds unread does not read, and is better off with a new connection.
pub const UNREAD_MAX: usize = 256;

/// The place of a cluster in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterIndex(pub usize);

/// One connection of one node, numbered by the service; never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What the driver sends on a connection.
pub type Outgoing = Result<v1::FromWitness, tonic::Status>;

/// A connection of a node that was let in.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub link: LinkId,
    /// The node's cluster.
    pub cluster: ClusterIndex,
    /// The node, by its certificate.
    pub node: NodeId,
    /// Where it comes from; for people.
    pub address: SocketAddr,
    /// The version of its software, as it says; for people.
    pub version: String,
    /// Where messages for it go.
    pub outbox: mpsc::Sender<Outgoing>,
    /// Dropped by the driver when the connection is to end.
    pub alive: oneshot::Sender<()>,
}

/// Who asks as an operator; for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name in the certificate.
    pub name: String,
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Why, in the person's words.
    pub reason: String,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.name, self.address)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " because: {:?}", self.reason) }
    }
}

/// One thing that happened outside.
#[derive(Debug)]
pub enum Command {
    /// A node connected.
    Connect(Connection),
    /// A node said something.
    Message {
        /// On which connection.
        link: LinkId,
        /// The node's cluster.
        cluster: ClusterIndex,
        /// The node.
        node: NodeId,
        /// What it said.
        message: Box<ToWitness>,
    },
    /// A connection ended.
    Gone {
        /// Which.
        link: LinkId,
        /// The node's cluster.
        cluster: ClusterIndex,
        /// The node.
        node: NodeId,
        /// Why, for people.
        why: String,
    },
    /// An operator asks.
    Operator {
        /// Of which cluster.
        cluster: ClusterIndex,
        /// Who.
        person: Person,
        /// What.
        request: OperatorRequest,
        /// Where the answer goes.
        answer: oneshot::Sender<OperatorAnswer>,
    },
    /// Somebody wants to look.
    Status {
        /// At which cluster.
        cluster: ClusterIndex,
        /// Where the answer goes.
        answer: oneshot::Sender<v1::WitnessStatus>,
    },
    /// Somebody was refused before a machine heard of it.
    TurnedAway {
        /// Whose cluster, if it is one of ours.
        cluster: Option<ClusterIndex>,
        /// Who and why.
        what: String,
    },
    /// End, after what waits before this.
    Stop,
}
