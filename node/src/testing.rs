//! Configurations, certificates and waiting, for tests.

use crate::config::Config;
use core::time::Duration;
use picket_core::evidence::Generation;
use picket_core::ids::{GenerationId, NodeSet};
use picket_core::node::{Role, VolumeReport};
use picket_host::cert::{Authority, Identity};
use picket_host::config::Source;
use picket_host::secrets::create_key;
use picket_host::tls::Credentials;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A cluster of three lab machines, as node `name` has it.
pub(crate) const TEXT: &str = r#"
[node]
name = "NAME"
state_dir = "/lab/NAME/state"
run_dir = "/lab/NAME/run"

[cluster]
name = "east"
heartbeat_key = "/lab/heartbeat.key"

[[member]]
name = "n1"
id = 1
peer_address = "127.0.0.1:7421"
PATHS1

[[member]]
name = "n2"
id = 2
peer_address = "127.0.0.1:7422"
PATHS2

[[member]]
name = "n3"
id = 3
peer_address = "127.0.0.1:7423"
PATHS3

[witness]
addresses = ["127.0.0.1:7443"]
server_name = "w1"

[tls]
ca = "/lab/ca.pem"
cert = "/lab/NAME.pem"
key = "/lab/NAME.key"

[[volume]]
name = "data"
id = 1
driver = "ledger"
ledger.socket = "/lab/NAME/ledger.sock"

[lab]
boot_id_file = "/lab/NAME/run/boot_id"
"#;

/// The text for one node.
pub(crate) fn text(name: &str) -> String {
    let mut text = TEXT.replace("NAME", name);
    for id in 1..=3 {
        let paths = format!(
            r#"paths = [
  {{ network = "hb0", local = "127.0.0.1:{}", remote = "127.0.0.1:{}" }},
  {{ network = "hb1", local = "127.0.0.1:{}", remote = "127.0.0.1:{}" }},
]"#,
            7100 + id,
            7200 + id,
            7300 + id,
            7400 + id
        );
        let paths = if name == format!("n{id}") { String::new() } else { paths };
        text = text.replace(&format!("PATHS{id}"), &paths);
    }
    text
}

/// The configuration of one node, without heartbeat paths: each test makes those that it needs.
pub(crate) fn config(name: &str) -> Config {
    let mut config = Config::parse(&Source::from_text("picketd.toml", text(name))).unwrap();
    config.members.values_mut().for_each(|member| member.paths.clear());
    config
}

/// Certificates, a key, and a directory for everything; gone when dropped.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::init(dir.path(), "lab").unwrap();
        create_key(&dir.path().join("heartbeat.key")).unwrap();
        Self { dir, authority }
    }

    /// Credentials of an identity, written as `<name>.pem` and `<name>.key`.
    pub(crate) fn credentials(&self, identity: &Identity) -> Credentials {
        let issued = self.authority.issue(identity, &["127.0.0.1".to_owned()], 1).unwrap();
        let name = identity.name();
        let (cert, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        if !cert.exists() {
            issued.write(self.dir.path(), name).unwrap();
        }
        Credentials::read(&self.path("ca.pem"), &cert, &key).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// An address that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits for what comes by itself, looking again and again; the limit only ends a test that has failed.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

/// What a replica in this role says that has everything, and no peers.
pub(crate) fn complete(role: Role) -> VolumeReport {
    VolumeReport {
        role,
        frozen: false,
        complete: true,
        generation: Generation::first(GenerationId(1)),
        connected: NodeSet::EMPTY,
        complete_peers: NodeSet::EMPTY,
        required: NodeSet::EMPTY,
        lost: NodeSet::EMPTY,
    }
}
