//! Keeping a replica a replica: whom it follows, and what is done when it cannot.
//!
//! Contract: data is discarded only of a replica that is none of a granted server, only for the data of the holder
//! that the witness names on a session that counts, only after that server was seen to be writable and of the same
//! origin, and only if this replica cannot follow it. Every acknowledged write is on that holder, so what goes was
//! never acknowledged. Whose data begins elsewhere is left alone, for a person.

use super::server::{Server, Written, blocking, slot};
use super::timeline::{self, Lsn, Place, can_follow};
use crate::config::Rejoin;
use crate::time::now;
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_core::node::Recorded;
use picket_host::secrets::parse_hex;
use std::sync::Arc;
use tokio::sync::watch;

/// How long another server may take to say what it is.
const ASK_MAX: Duration = Duration::from_secs(5);

/// How long a replica may take to stop before it is rebuilt.
const STOP_MAX: Duration = Duration::from_secs(30);

/// The longest copy of a whole server. One that takes longer is not helped by waiting.
const REBUILD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The name of connections of ours that are no replica's.
const TOOL: &str = "picketd";

/// Asked of the holder's server: what it is, where its log ends and begins, and how it came there.
const SOURCE: &str = "select s.system_identifier, pg_current_wal_flush_lsn(), \
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), c.timeline_id, \
  (select min(substr(name, 9)) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'), \
  pg_size_bytes(current_setting('wal_segment_size')), \
  encode(case when pg_walfile_name(pg_current_wal_lsn()) ~ '^00000001' then '' else \
    pg_read_binary_file('pg_wal/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history') end, 'hex') \
  from pg_control_system() s, pg_control_checkpoint() c";

/// What a holder's server says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Its system identifier.
    pub system: u64,
    /// The end of its log.
    pub end: Place,
    /// What its control file knows; behind until the first checkpoint after a promotion.
    pub control_timeline: u32,
    /// Where the log begins that it still has.
    pub oldest: Lsn,
    /// Where it left its former timelines.
    pub history: Vec<Place>,
}

/// Whether a replica can follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can, and will.
    Follows,
    /// It must be made anew from this node's server.
    Rebuild {
        /// Whose data it gets.
        from: NodeId,
        /// By a rewind, if that does; else by a copy.
        rewind: bool,
    },
    /// A person must decide.
    Stuck(String),
}

impl Source {
    /// Reads the one line of a source's account, which has its end: one that is cut off could name another place.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.strip_suffix('\n')?.split('|').collect();
        let [system, end, timeline, control, oldest, segment_bytes, history] = fields.as_slice() else {
            return None;
        };
        let (high, low) = oldest.split_at_checked(8).filter(|_| oldest.len() == 16)?;
        let low = u64::from(timeline::hex(low)?).checked_mul(timeline::decimal(segment_bytes)?)?;
        let text = parse_hex(history)?;
        Some(Self {
            system: timeline::decimal(system)?,
            end: Place {
                lsn: timeline::lsn(end)?,
                timeline: timeline::hex(timeline).filter(|_| timeline.len() == 8)?,
            },
            control_timeline: timeline::decimal(control)?.try_into().ok()?,
            oldest: (u64::from(timeline::hex(high)?) << 32).checked_add(low)?,
            history: timeline::history(core::str::from_utf8(&text).ok()?)?,
        })
    }

    /// What is to be done with a replica that ends at `mine`.
    #[must_use]
    pub fn judge(&self, from: NodeId, system: u64, mine: Place, rejoin: Rejoin) -> Verdict {
        let stuck = |why: &str, cure: &str| Verdict::Stuck(format!("{why}; {cure}"));
        if system != self.system {
            let why = format!(
                "its system identifier is {system}, the holder's is {}: this is not a copy of it",
                self.system
            );
            return stuck(&why, "empty the data directory to have it copied");
        }
        let follows = can_follow(mine, self.end, &self.history);
        match (follows, rejoin) {
            (true, _) if mine.lsn >= self.oldest => Verdict::Follows,
            (true, Rejoin::Clone) => Verdict::Rebuild { from, rewind: false },
            (true, Rejoin::Rewind | Rejoin::Manual) => {
                stuck("the holder no longer has the log that is missing here", "copy it with pg_basebackup")
            }
            (false, Rejoin::Clone | Rejoin::Rewind) if self.control_timeline < self.end.timeline => {
                // Until the holder's first checkpoint a rewind would not find where the two parted.
                Verdict::Follows
            }
            (false, Rejoin::Clone | Rejoin::Rewind) => Verdict::Rebuild { from, rewind: true },
            (false, Rejoin::Manual) => stuck(
                "it holds writes that the holder does not have, and that were never acknowledged",
                "rewind it with pg_rewind",
            ),
        }
    }
}

/// Asks the server of `from`, and judges.
pub(super) async fn examine(
    server: &Arc<Server>,
    from: NodeId,
    system: u64,
    mine: Place,
) -> Result<Verdict, String> {
    let source = ask(server, from).await?;
    Ok(source.judge(from, system, mine, server.conf.rejoin))
}

async fn ask(server: &Server, from: NodeId) -> Result<Source, String> {
    let conninfo =
        server.conninfo(from, TOOL, Some("postgres")).ok_or("no address of the holder's server")?;
    let words = ["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", &conninfo, "-c", SOURCE];
    let said = server.tool("psql", &words, now() + ASK_MAX).await?;
    Source::parse(&said).ok_or_else(|| format!("psql: not understood: {said:?}"))
}

/// Has the replica follow another server, without a restart.
pub(super) async fn follow(server: &Arc<Server>, source: Option<NodeId>) -> Result<(), String> {
    let this = server.clone();
    let write = move || this.write(|written: &mut Written| written.source = source);
    blocking("write the settings", write).await?;
    server.connect().await?.text("select pg_reload_conf()::text").await.map(drop)
}

/// Gives up what a holder kept for others: as a replica it would keep it for ever.
pub(super) async fn drop_slots(server: &Server) -> Result<(), String> {
    let text = "select pg_drop_replication_slot(slot_name)::text from pg_replication_slots \
                where slot_type = 'physical' and not active and slot_name ~ '^picket_[0-9]+$'";
    server.connect().await?.rows(text).await.map(drop)
}

/// Brings the control file to where the replay is. The second one finds nothing to be done but that.
pub(super) async fn checkpoint_replica(server: &Server) -> Result<(), String> {
    let session = server.connect().await?;
    session.run("checkpoint").await?;
    session.run("checkpoint").await
}

/// Whether the holder is still the one whose data counts.
fn is_holder(recorded: &watch::Receiver<Recorded>, from: NodeId, me: NodeId) -> bool {
    let recorded = *recorded.borrow();
    recorded.current && recorded.holder == Some(from) && from != me
}

/// Makes the replica anew from the holder's data: by a rewind where that was found to do, else by a copy.
pub(super) async fn rebuild(
    server: &Arc<Server>,
    recorded: &watch::Receiver<Recorded>,
    from: NodeId,
    rewind: bool,
) -> Result<(), String> {
    // Also that it can be written there is seen: no replica answers this.
    ask(server, from).await?;
    let allowed = || {
        if is_holder(recorded, from, server.me) {
            Ok(())
        } else {
            Err("the holder has changed: nothing was discarded".to_owned())
        }
    };
    allowed()?;
    if !server.stop(now() + STOP_MAX).await? {
        return Err("the replica does not stop".to_owned());
    }
    allowed()?;
    let this = server.clone();
    blocking("mark the replica", move || this.directory.set_mark()).await?;
    let rewound = match rewind {
        true => rewind_from(server, from).await,
        false => Err("it fell behind, or was never copied".to_owned()),
    };
    if let Err(why) = rewound {
        if server.conf.rejoin != Rejoin::Clone {
            return Err(why);
        }
        allowed()?;
        tracing::warn!(volume = %server.conf.data_directory.display(), %why, "the replica is copied anew");
        copy_from(server, from).await?;
    }
    let this = server.clone();
    blocking("unmark the replica", move || this.directory.clear_mark()).await
}

async fn rewind_from(server: &Server, from: NodeId) -> Result<(), String> {
    let conninfo =
        server.conninfo(from, TOOL, Some("postgres")).ok_or("no address of the holder's server")?;
    let data = server.conf.data_directory.display().to_string();
    let source = format!("--source-server={conninfo}");
    // The replica was stopped cleanly; a recovery of its own would refuse a replica, or make it writable.
    let words = ["-D", &data, &source, "--no-ensure-shutdown"];
    server.tool("pg_rewind", &words, now() + REBUILD_MAX).await.map(drop)
}

async fn copy_from(server: &Arc<Server>, from: NodeId) -> Result<(), String> {
    let this = server.clone();
    blocking("empty the data directory", move || this.directory.empty()).await?;
    let conninfo = server.conninfo(from, TOOL, None).ok_or("no address of the holder's server")?;
    let data = server.conf.data_directory.display().to_string();
    let slot = slot(server.me);
    let words = ["-D", &data, "-X", "stream", "-c", "fast", "-w", "-S", &slot, "-d", &conninfo];
    server.tool("pg_basebackup", &words, now() + REBUILD_MAX).await.map(drop)
}
