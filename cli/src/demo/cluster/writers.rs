//! Who writes to a volume: one client that fails over, and one for each node that writes to that node alone.
//!
//! Idea: the client that fails over goes to the newest epoch and leaves an older one to itself, as clients should. A
//! node that wrongly goes on would acknowledge nothing then, and nobody would notice. So every node has somebody who
//! writes there whenever it takes writes: two that take them at once acknowledge at once, and a killed one has left
//! signs of how long it went on. These do it slowly: they are there to be refused.

use core::time::Duration;
use picket_ledger::client::{Ack, Appender, AppenderConfig};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// How often a node is written to that takes writes, at most: two nodes that do for much longer than this are seen.
/// Against what the client that fails over does, it is little.
const PROBE_PACE: Duration = Duration::from_millis(10);

/// The clients of one volume.
pub struct Writers {
    client: Appender,
    probes: Vec<Appender>,
}

impl Writers {
    /// Begins to write to these servers, one for each node; must be called in a runtime. `pace`: see
    /// [`ClusterSpec::client_pace`](super::ClusterSpec::client_pace). Their journals lie at `journal`, and beside it.
    ///
    /// # Errors
    /// A journal cannot be written.
    pub fn start(servers: &[SocketAddr], journal: &Path, pace: Option<Duration>) -> io::Result<Self> {
        let config = AppenderConfig::new(servers.to_vec(), journal.to_owned())?;
        let client = Appender::start(AppenderConfig { pace, ..config })?;
        let probe = |(number, server): (usize, &SocketAddr)| {
            let journal = journal.with_extension(format!("n{number}.acks"));
            let config = AppenderConfig::new(vec![*server], journal)?;
            Appender::start(AppenderConfig { pace: Some(PROBE_PACE), ..config })
        };
        let probes = (1..).zip(servers).map(probe).collect::<io::Result<_>>()?;
        Ok(Self { client, probes })
    }

    /// The one that fails over: what it gets is the service.
    #[must_use]
    pub const fn client(&self) -> &Appender {
        &self.client
    }

    /// How many acknowledgements came so far, to any of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.probes.iter().map(Appender::count).sum::<u64>() + self.client.count()
    }

    /// Stops them and gives all acknowledgements, in the order in which they came.
    ///
    /// # Errors
    /// One of them had ended before, with what ended it.
    pub async fn stop(self) -> io::Result<Vec<Ack>> {
        let mut acks = self.client.stop().await?;
        for probe in self.probes {
            acks.extend(probe.stop().await?);
        }
        acks.sort_by_key(|ack| ack.seen_ns);
        Ok(acks)
    }
}

#[cfg(test)]
mod tests;
