//! Clients that insert numbers, and what they were acknowledged.

use super::servers::PORT;
use crate::Failure;
use core::time::Duration;
use picket_host::clock::boottime;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

/// One insert after the other, this far apart.
const PACE: Duration = Duration::from_millis(2);

/// Who is refused comes again after this time.
const AGAIN: Duration = Duration::from_millis(20);

/// A server that says nothing for so long is left, and asked anew.
const PATIENCE: Duration = Duration::from_secs(2);

/// Inserts a number and says on which timeline.
const INSERT: &str =
    "insert into writes values ($1) returning substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

/// An acknowledgement.
#[derive(Clone, Debug)]
pub struct Ack {
    /// The number.
    pub number: i64,
    /// Which node's server.
    pub node: String,
    /// The timeline that it was written on.
    pub timeline: String,
    /// When it came, on the boot clock.
    pub at: Duration,
}

/// A client for each node, that inserts whenever its server lets it.
#[derive(Debug)]
pub struct Clients {
    acks: Arc<Mutex<Vec<Ack>>>,
    count: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Clients {
    /// Starts them.
    #[must_use]
    pub fn start(servers: &[(String, IpAddr)]) -> Self {
        let (acks, next) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(1)));
        let (counts, count) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for (node, address) in servers {
            let (node, address, next, acks, counts) =
                (node.clone(), *address, next.clone(), acks.clone(), counts.clone());
            tasks.spawn(async move {
                loop {
                    if let Ok(Ok(client)) = timeout(PATIENCE, connect(address)).await {
                        insert_on(&client, &node, &next, &acks, &counts).await;
                    }
                    sleep(AGAIN).await;
                }
            });
        }
        Self { acks, count, _tasks: tasks }
    }

    /// Waits until so many more were acknowledged than now.
    ///
    /// # Errors
    /// They were not within `limit`.
    pub async fn go_on(&self, more: u64, limit: Duration) -> Result<(), Failure> {
        let mut count = self.count.clone();
        let until = *count.borrow() + more;
        let waited = timeout(limit, count.wait_for(|count| *count >= until)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                Err(format!("no {more} writes within {limit:?}; {} in all", *self.count.borrow()).into())
            }
        }
    }

    /// All that was acknowledged so far.
    #[must_use]
    pub fn acks(&self) -> Vec<Ack> {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest time without an acknowledgement since `from`.
    #[must_use]
    pub fn outage(&self, from: Duration) -> Duration {
        let (mut last, mut longest) = (from, Duration::ZERO);
        for at in self.acks().into_iter().map(|ack| ack.at).filter(|at| *at >= from) {
            longest = longest.max(at.saturating_sub(last));
            last = last.max(at);
        }
        longest
    }
}

async fn connect(address: IpAddr) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.to_string()).port(PORT).user("client").dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Until a number is not acknowledged. Nobody knows what became of that one, so no number is used twice.
async fn insert_on(
    client: &Client,
    node: &str,
    next: &AtomicU64,
    acks: &Mutex<Vec<Ack>>,
    counts: &watch::Sender<u64>,
) {
    let Ok(Ok(insert)) = timeout(PATIENCE, client.prepare(INSERT)).await else { return };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed).cast_signed();
        let Ok(Ok(row)) = timeout(PATIENCE, client.query_one(&insert, &[&number])).await else { return };
        let ack = Ack { number, node: node.to_owned(), timeline: row.get(0), at: boottime() };
        acks.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
        counts.send_modify(|count| *count += 1);
        sleep(PACE).await;
    }
}

/// Everything that was acknowledged must be there.
///
/// # Errors
/// What is missing.
pub(super) async fn nothing_is_lost(acks: &[Ack], node: &str, address: IpAddr) -> Result<(), Failure> {
    let client = connect(address).await?;
    let rows = client.query("select n from writes", &[]).await?;
    let there: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let lost: Vec<_> = acks.iter().filter(|ack| !there.contains(&ack.number)).collect();
    match lost.first() {
        None => Ok(()),
        Some(first) => {
            Err(format!("VIOLATION: {} acknowledged writes are not on {node}, first {first:?}", lost.len())
                .into())
        }
    }
}

/// Each timeline was written by one node, and no two at once.
///
/// # Errors
/// What contradicts that.
pub(super) fn never_two(acks: &[Ack]) -> Result<(), Failure> {
    let mut spans: BTreeMap<&str, (&str, Duration, Duration)> = BTreeMap::new();
    for ack in acks {
        let span = spans.entry(&ack.timeline).or_insert((&ack.node, ack.at, ack.at));
        if span.0 != ack.node {
            return Err(format!("VIOLATION: two nodes wrote timeline {}: {ack:?}", ack.timeline).into());
        }
        (span.1, span.2) = (span.1.min(ack.at), span.2.max(ack.at));
    }
    let ordered: Vec<_> = spans.into_iter().collect();
    for pair in ordered.windows(2) {
        // An acknowledgement is noted a moment after it was sent; a takeover takes longer than that moment.
        if pair[0].1.2 >= pair[1].1.1 {
            return Err(format!("VIOLATION: two servers acknowledged at once: {pair:?}").into());
        }
    }
    Ok(())
}
