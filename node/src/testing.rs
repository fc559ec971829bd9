//! Configurations for tests.

use crate::config::Config;
use picket_host::config::Source;

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
