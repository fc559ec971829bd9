//! The configuration of a server: one TOML file, read whole before a port is bound.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// Holds records, acceptance log and durable facts; created if absent.
    pub data_dir: PathBuf,
    /// Where clients come.
    pub listen_clients: SocketAddr,
    /// Where peers come.
    pub listen_peers: SocketAddr,
    /// The other replicas.
    #[serde(default)]
    pub peers: Vec<PeerConfig>,
    /// Where the node daemon comes; replaced if a dead server left it.
    pub control_socket: PathBuf,
    /// Whether a record is synced to the device before it counts as durable. Without, an acknowledged
    /// record survives the process but, on a power failure of all replicas at once, not the machine.
    #[serde(default)]
    pub sync: bool,
    /// A peer that is silent for so long is lost, in milliseconds.
    #[serde(default = "default_peer_timeout_ms")]
    pub peer_timeout_ms: u64,
    /// The largest size of the record log, in bytes.
    #[serde(default = "default_log_bytes_max")]
    pub log_bytes_max: u64,
}

/// Another replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Which node.
    pub node: NodeId,
    /// Where its peer port is reached (possibly through a link proxy).
    pub addr: SocketAddr,
}

fn default_peer_timeout_ms() -> u64 {
    300
}

/// A volume for tests: the log is read into memory once at the start.
fn default_log_bytes_max() -> u64 {
    1 << 30
}

/// Pings are a third of the timeout apart, and a timer has 1 ms of resolution.
const PEER_TIMEOUT_MS_MIN: u64 = 20;
/// A frame of a peer plus what a start needs.
const LOG_BYTES_MIN: u64 = 1 << 20;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The text is no configuration; the message names line and field.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What was expected where.
        source: Box<toml::de::Error>,
    },
    /// Values that cannot work, all of them.
    #[error("{}", problems.join("; "))]
    Unusable {
        /// One sentence each.
        problems: Vec<String>,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file is unreadable, is no configuration, or holds values that cannot work.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let config: Config = toml::from_str(&text)
            .map_err(|e| ConfigError::Parse { path: path.to_path_buf(), source: Box::new(e) })?;
        config.check()?;
        Ok(config)
    }

    /// Checks the values; all problems are reported together.
    ///
    /// # Errors
    /// Values that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::from([self.node]);
        for peer in &self.peers {
            if !seen.insert(peer.node) {
                problems.push(format!("peers: expected each node once, found node {} again", peer.node));
            }
        }
        if self.peer_timeout_ms < PEER_TIMEOUT_MS_MIN {
            problems.push(format!(
                "peer_timeout_ms: expected at least {PEER_TIMEOUT_MS_MIN}, found {}",
                self.peer_timeout_ms
            ));
        }
        if self.log_bytes_max < LOG_BYTES_MIN {
            problems.push(format!(
                "log_bytes_max: expected at least {LOG_BYTES_MIN}, found {}",
                self.log_bytes_max
            ));
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Unusable { problems }) }
    }

    /// The same as a duration.
    #[must_use]
    pub fn peer_timeout(&self) -> Duration {
        Duration::from_millis(self.peer_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        node = 1
        data_dir = "/var/lib/ledger"
        listen_clients = "127.0.0.1:7001"
        listen_peers = "127.0.0.1:7002"
        control_socket = "/run/ledger.sock"
        [[peers]]
        node = 2
        addr = "127.0.0.1:7012"
    "#;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    #[test]
    fn defaults_fill_the_rest() {
        let config = load(GOOD).unwrap();
        assert_eq!((config.peer_timeout_ms, config.sync), (300, false));
        assert_eq!(config.peers[0].node, NodeId(2));
    }

    #[test]
    fn all_problems_are_reported_together() {
        let text =
            format!("peer_timeout_ms = 1\nlog_bytes_max = 5\n{}", GOOD.replace("node = 2", "node = 1"));
        let error = load(&text).unwrap_err().to_string();
        for part in ["node 1 again", "at least 20, found 1", "found 5"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = load(&format!("speed = 9\n{GOOD}")).unwrap_err().to_string();
        assert!(error.contains("speed"), "{error}");
    }
}
