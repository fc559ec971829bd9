//! Who may come in, as whom, and how often.

use crate::config::Config;
use crate::driver::{ClusterIndex, Command, Handle, LinkId};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use picket_core::ids::NodeId;
use picket_core::message::SignedRelease;
use picket_host::cert::Role;
use picket_host::tls::{Trust, peer_identity};
use picket_proto::relay;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Request, Status};

/// How many sessions one node may have open at a time. One counts; a second is the reconnect before the first is
/// seen to be dead; more than that is a fault of the node.
const SESSIONS_MAX: usize = 4;

/// A caller that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whose.
    pub(super) cluster: ClusterIndex,
    /// Which member; nothing: an operator.
    pub(super) node: Option<NodeId>,
    /// The name in the certificate.
    pub(super) name: String,
    /// Where it comes from.
    pub(super) address: SocketAddr,
}

/// The door: knows the clusters and their members.
#[derive(Clone, Debug)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    trust: Trust,
    driver: Handle,
    links: AtomicU64,
    open: Mutex<BTreeMap<(ClusterIndex, NodeId), usize>>,
}

impl core::fmt::Debug for Inner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Door").field("clusters", &self.config.clusters.len()).finish_non_exhaustive()
    }
}

/// A place among a node's open sessions; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Door,
    key: (ClusterIndex, NodeId),
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.door.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count = count.saturating_sub(1);
        }
    }
}

impl Door {
    /// A door to these clusters.
    #[must_use]
    pub fn new(config: Config, trust: Trust, driver: Handle) -> Self {
        let (links, open) = (AtomicU64::new(1), Mutex::default());
        Self { inner: Arc::new(Inner { config, trust, driver, links, open }) }
    }

    pub(super) fn driver(&self) -> &Handle {
        &self.inner.driver
    }

    /// A number for a new connection.
    pub(super) fn next_link(&self) -> LinkId {
        LinkId(self.inner.links.fetch_add(1, Ordering::Relaxed))
    }

    /// Who calls. Whoever has no business here is turned away, counted and logged.
    pub(super) async fn let_in<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let Some(address) = request.remote_addr() else {
            return Err(Status::unauthenticated("the connection has no address"));
        };
        let identity = match peer_identity(request) {
            Ok(identity) => identity,
            Err(error) => return Err(self.turn_away(None, format!("{address}: {error}")).await),
        };
        let clusters = &self.inner.config.clusters;
        let found = identity.cluster().and_then(|name| clusters.iter().position(|c| c.name == name));
        let Some(place) = found else {
            return Err(self
                .turn_away(None, format!("{identity} from {address}: no cluster served here"))
                .await);
        };
        let (cluster, name) = (ClusterIndex(place), identity.name().to_owned());
        match identity.role() {
            Role::Operator => Ok(Caller { cluster, node: None, name, address }),
            Role::Node => match clusters.get(place).and_then(|cluster| cluster.node_named(&name)) {
                Some(node) => Ok(Caller { cluster, node: Some(node), name, address }),
                None => {
                    let what = format!("{identity} from {address}: no node of this cluster");
                    Err(self.turn_away(Some(cluster), what).await)
                }
            },
            Role::Witness => {
                let what = format!("{identity} from {address}: a witness has no business here");
                Err(self.turn_away(Some(cluster), what).await)
            }
        }
    }

    /// Counts and logs a refusal.
    pub(super) async fn turn_away(&self, cluster: Option<ClusterIndex>, what: String) -> Status {
        let status = Status::permission_denied(what.clone());
        // Without the loop there is nobody left to count.
        let _ = self.inner.driver.tell(Command::TurnedAway { cluster, what }).await;
        status
    }

    /// A place for another session of the node.
    pub(super) fn place(&self, cluster: ClusterIndex, node: NodeId) -> Option<Place> {
        let mut open = self.inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry((cluster, node)).or_insert(0);
        if *count >= SESSIONS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { door: self.clone(), key: (cluster, node) })
    }

    /// Whether the holder itself signed the release that another node relays.
    pub(super) fn check_release(
        &self,
        index: ClusterIndex,
        holder: NodeId,
        release: &SignedRelease,
    ) -> Result<(), String> {
        let clusters = &self.inner.config.clusters;
        let cluster = clusters.get(index.0).ok_or("no cluster served here")?;
        let (signature, chain) = relay::unpack(&release.signature).ok_or("the release has no signature")?;
        let bytes = relay::signed_bytes(&cluster.name, holder, release);
        let signer = self.inner.trust.verify(relay::PURPOSE, &bytes, &signature, &chain);
        let signer = signer.map_err(|error| format!("the release's signature: {error}"))?;
        let is_holder = signer.role() == Role::Node
            && signer.cluster() == Some(cluster.name.as_str())
            && cluster.node_named(signer.name()) == Some(holder);
        if is_holder { Ok(()) } else { Err(format!("the release of node {holder} is signed by {signer}")) }
    }
}
