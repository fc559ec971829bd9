//! Carrying out what the core orders. Each job is a future that may be dropped at any point: what it left half done
//! is seen by the next look and put right, and never leaves a barrier that is narrower than was allowed.

use super::barrier::enforce;
use super::names::Names;
use super::server::{Server, blocking, slot};
use super::sql::Session;
use crate::time::now;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::{CommandOutcome, Promotion, VolumeAction};
use picket_core::time::Instant;
use std::sync::Arc;
use tokio::time::{sleep, timeout};

/// How long a freeze, thaw or change of the barrier may take; the core waits for five seconds.
const SHORT: Duration = Duration::from_millis(4500);

/// Why a freeze or a thaw did nothing.
const OVERTAKEN: &str = "a newer order came";

/// The longest promotion. The core gives up by its own time, and freezes or stops what may still be promoted.
const PROMOTE_MAX: Duration = Duration::from_secs(3600);

/// How often a promotion that is under way is looked at; PostgreSQL tells nobody when it is through.
const PROMOTE_LOOK: Duration = Duration::from_millis(5);

/// Carries one order out.
pub(super) async fn carry_out(server: Arc<Server>, action: VolumeAction) -> CommandOutcome {
    match action {
        VolumeAction::Promote(promotion) => match timeout(PROMOTE_MAX, promote(&server, promotion)).await {
            Ok(Ok(())) => CommandOutcome::Done,
            Ok(Err(ended)) => ended,
            Err(_) => CommandOutcome::Unknown("the promotion took too long".to_owned()),
        },
        VolumeAction::Demote { deadline } => match server.stop(deadline).await {
            Ok(true) => CommandOutcome::Done,
            Ok(false) => CommandOutcome::Unknown("processes of the server are left".to_owned()),
            Err(error) => CommandOutcome::Unknown(error),
        },
        VolumeAction::Freeze => freeze(&server).await,
        VolumeAction::Thaw { valid_until } => thaw(&server, valid_until).await,
        VolumeAction::DropPeer { peer } => change(&server, |required| required.without(peer), None).await,
        VolumeAction::RequirePeer { peer } => {
            change(&server, |required| required.with(peer), Some(peer)).await
        }
    }
}

async fn freeze(server: &Arc<Server>) -> CommandOutcome {
    let (this, deadline, turn) = (server.clone(), now() + SHORT, server.turns.begin());
    let frozen = blocking("freeze the server", move || {
        this.turns.work(turn, || this.processes.freeze(deadline)).transpose()
    });
    match frozen.await {
        // One that does not run acknowledges nothing either.
        Ok(Some(_)) => CommandOutcome::Done,
        Ok(None) => CommandOutcome::Unknown(OVERTAKEN.to_owned()),
        Err(error) => CommandOutcome::Unknown(error),
    }
}

async fn thaw(server: &Arc<Server>, valid_until: Instant) -> CommandOutcome {
    let (this, turn) = (server.clone(), server.turns.begin());
    let thawed = blocking("thaw the server", move || {
        let thaw = || (now() < valid_until).then(|| this.processes.thaw()).transpose();
        this.turns.work(turn, thaw).transpose()
    });
    match thawed.await {
        Ok(Some(Some(()))) => CommandOutcome::Done,
        Ok(Some(None)) => {
            CommandOutcome::Failed(format!("the thaw was valid until {valid_until:?}, it is later"))
        }
        Ok(None) => CommandOutcome::Failed(OVERTAKEN.to_owned()),
        Err(error) => CommandOutcome::Unknown(error),
    }
}

/// The barrier of a server that this node holds; `joins` counts only when it has everything.
async fn change(
    server: &Arc<Server>,
    to: impl FnOnce(NodeSet) -> NodeSet,
    joins: Option<NodeId>,
) -> CommandOutcome {
    let Some(former) = server.barrier(|barrier| barrier.allowed) else {
        return CommandOutcome::Failed("this server is not held here".to_owned());
    };
    let required = to(former);
    let joins = joins.filter(|peer| !former.contains(*peer));
    server.barrier(|barrier| (barrier.allowed, barrier.joining) = (Some(required), joins));
    let work = async {
        let probe = enforce(server, required).await?;
        match probe.filter(|_| joins.is_some()) {
            Some(probe) => probe.acknowledged().await,
            None => Ok(()),
        }
    };
    let done = timeout(SHORT, work).await.unwrap_or_else(|_| Err("it took too long".to_owned()));
    server.barrier(|barrier| match (&done, joins) {
        (Ok(()), _) => {
            barrier.joining = None;
            barrier.synced = joins.map_or(barrier.synced, |peer| barrier.synced.with(peer));
        }
        // Nobody was told that it is required, so nobody counts on it: it must not hold others back.
        (Err(_), Some(_)) => {
            (barrier.allowed, barrier.joining, barrier.in_force) = (Some(former), None, None)
        }
        (Err(_), None) => {}
    });
    match done {
        Ok(()) => CommandOutcome::Done,
        Err(error) => CommandOutcome::Failed(error),
    }
}

async fn promote(server: &Arc<Server>, promotion: Promotion) -> Result<(), CommandOutcome> {
    let failed = CommandOutcome::Failed;
    let session = server.connect().await.map_err(failed)?;
    let view = session.view().await.map_err(failed)?;
    if !view.recovery {
        return Err(CommandOutcome::Failed("the server is no replica".to_owned()));
    }
    // The flag by which commits wait is set since the server started with this setting. So the first commit waits.
    if view.names != Names::BLOCKED.text(&server.names) {
        return Err(CommandOutcome::Failed("the server was not started for this".to_owned()));
    }
    let required = match promotion.redeem(now()) {
        Ok((_, _, required)) => required,
        Err(late) => {
            let text = format!("the promotion was valid until {:?}, it is {:?}", late.valid_until, late.now);
            return Err(CommandOutcome::Failed(text));
        }
    };
    promote_now(server, &session, required).await.map_err(CommandOutcome::Unknown)
}

/// Promotes, and returns when each commit waits for these replicas.
pub(super) async fn promote_now(
    server: &Arc<Server>,
    session: &Session,
    required: NodeSet,
) -> Result<(), String> {
    session.text("select pg_promote(false)::text").await?;
    server.barrier(|barrier| {
        (barrier.allowed, barrier.synced) = (Some(required), required);
    });
    let (mut put, mut primary) = (false, false);
    while !primary {
        sleep(PROMOTE_LOOK).await;
        put |= put_back(server).await?;
        primary = session.text("select pg_is_in_recovery()::text").await? == "false";
    }
    if !put {
        put_back(server).await?;
    }
    keep_log_for_others(server, session).await?;
    enforce(server, required).await.map(drop)
}

/// Puts the promoted server's `standby.signal` back, as soon as the promotion has taken it away.
async fn put_back(server: &Arc<Server>) -> Result<bool, String> {
    if server.directory.has_signal() {
        return Ok(false);
    }
    let this = server.clone();
    blocking("put standby.signal back", move || this.directory.put_signal()).await.map(|()| true)
}

/// A slot for each other member: what it has not received yet is kept for it.
pub(super) async fn keep_log_for_others(server: &Server, session: &Session) -> Result<(), String> {
    for node in server.conf.addresses.keys().filter(|node| **node != server.me) {
        let slot = slot(*node);
        let text = format!(
            "select pg_create_physical_replication_slot('{slot}', true)::text \
             where not exists (select from pg_replication_slots where slot_name = '{slot}')"
        );
        session.rows(&text).await?;
    }
    Ok(())
}
