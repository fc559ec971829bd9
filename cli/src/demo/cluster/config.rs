//! The configurations of the lab's programs, written as their files.

use super::addresses::Net;
use super::error::LabError;
use super::files::{Files, WITNESS_NAME};
use super::spec::{ClusterSpec, FenceLevel, Watchdog};
use super::{WITNESS, node_name};
use crate::demo::links::{Kind, Links};
use crate::demo::machine::MachineSpec;
use picket_ledger::ids::NodeId as LedgerNode;
use picket_ledger::{Config as LedgerConfig, PeerConfig};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What is written, and where.
pub(super) struct Writer<'a> {
    pub(super) spec: &'a ClusterSpec,
    pub(super) files: &'a Files,
    pub(super) net: &'a Net,
    pub(super) links: &'a Links,
}

/// A text as TOML and JSON write it.
fn quoted(text: impl AsRef<str>) -> String {
    toml::Value::from(text.as_ref()).to_string()
}

fn path(path: impl AsRef<Path>) -> String {
    quoted(path.as_ref().to_string_lossy())
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($to:expr, $($text:tt)*) => {{ let _ = writeln!($to, $($text)*); }};
}

impl Writer<'_> {
    fn write(&self, machine: &str, name: &str, text: &str) -> Result<PathBuf, LabError> {
        let dir = self.files.machine(machine);
        fs::create_dir_all(&dir).map_err(LabError::file(&dir))?;
        let file = dir.join(name);
        fs::write(&file, text).map_err(LabError::file(&file))?;
        Ok(file)
    }

    fn detail(&self) -> &'static str {
        if self.spec.debug { "debug" } else { "normal" }
    }

    fn timing(&self) -> String {
        self.spec.timing.iter().fold(String::new(), |mut text, (name, value)| {
            line!(text, "timing.{name} = {value}");
            text
        })
    }

    fn tls(&self, text: &mut String, name: &str) {
        line!(text, "[tls]\nca = {}", path(self.files.ca()));
        line!(text, "cert = {}\nkey = {}", path(self.files.cert(name)), path(self.files.key(name)));
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.spec.node_names().map(quoted).collect();
        format!("[{}]", names.join(", "))
    }

    /// The witness's file.
    pub(super) fn witness(&self) -> Result<PathBuf, LabError> {
        let machine = MachineSpec::new(WITNESS, self.files.machine(WITNESS));
        let mut text = String::new();
        line!(text, "listen = {}", quoted(self.net.witness_listens().to_string()));
        line!(text, "state = {}", path(machine.state_dir().join("store")));
        self.tls(&mut text, WITNESS);
        line!(text, "[log]\ndetail = {}", quoted(self.detail()));
        line!(text, "[lab]");
        line!(text, "[[cluster]]\nname = {}", quoted(&self.spec.name));
        line!(text, "profile = {}\n{}", quoted(self.spec.profile.name()), self.timing());
        for (number, name) in (1..).zip(self.spec.node_names()) {
            line!(text, "[[cluster.node]]\nname = {}\nid = {number}", quoted(name));
        }
        for (number, name) in (1..).zip(&self.spec.volumes) {
            line!(
                text,
                "[[cluster.volume]]\nname = {}\nid = {number}\nmembers = {}",
                quoted(name),
                self.names()
            );
        }
        self.write(WITNESS, "witness.toml", &text)
    }

    /// A node's file; lays its cables.
    pub(super) async fn node(&self, number: usize) -> Result<PathBuf, LabError> {
        let name = node_name(number);
        let machine = MachineSpec::new(&name, self.files.machine(&name));
        let mut witness = Vec::new();
        for target in self.net.witness_networks() {
            witness.push(quoted(self.tcp(&name, WITNESS, Kind::Witness, target).await?.to_string()));
        }
        let mut text = String::new();
        line!(text, "agent_dirs = [{}]", path(self.files.bin()));
        line!(text, "[node]\nname = {}", quoted(&name));
        line!(text, "state_dir = {}", path(machine.state_dir()));
        line!(text, "run_dir = {}", path(machine.run_dir()));
        line!(text, "control_socket = {}", path(control_socket(&machine)));
        if let Some(interval) = self.spec.fence_test_interval {
            line!(text, "fence_test_interval = \"{}ms\"", interval.as_millis());
        }
        line!(text, "on_stop = {}", quoted(self.spec.on_stop.word()));
        line!(text, "[cluster]\nname = {}", quoted(&self.spec.name));
        line!(text, "profile = {}\n{}", quoted(self.spec.profile.name()), self.timing());
        line!(text, "heartbeat_key = {}", path(self.files.heartbeat_key()));
        line!(text, "cold_start_timeout = \"{}ms\"", self.spec.cold_start.as_millis());
        line!(text, "[witness]\naddresses = [{}]", witness.join(", "));
        line!(text, "server_name = {}", quoted(WITNESS_NAME));
        self.tls(&mut text, &name);
        line!(text, "[log]\ndetail = {}", quoted(self.detail()));
        line!(text, "[lab]\nboot_id_file = {}", path(machine.boot_id_file()));
        line!(text, "power_socket = {}", path(machine.power_socket()));
        self.watchdog(&mut text, &machine);
        self.volumes(&mut text, &machine, number);
        for peer in 1..=self.spec.nodes {
            self.member(&mut text, number, peer).await?;
        }
        text.push_str(&self.spec.more.replace("NODE", &name));
        self.write(&name, "picketd.toml", &text)
    }

    fn watchdog(&self, text: &mut String, machine: &MachineSpec) {
        let counts = match self.spec.watchdog {
            Watchdog::Counts => true,
            Watchdog::CountsNot => false,
            Watchdog::None => return line!(text, "[watchdog]\nkind = \"none\""),
        };
        line!(text, "[watchdog]\nkind = \"lab\"\ndevice = {}", path(machine.watchdog_socket()));
        line!(text, "counts = {counts}");
    }

    fn volumes(&self, text: &mut String, machine: &MachineSpec, node: usize) {
        for (number, name) in (1..).zip(&self.spec.volumes) {
            line!(text, "[[volume]]\nname = {}\nid = {number}\nmembers = {}", quoted(name), self.names());
            line!(text, "loss_action = {}", quoted(self.spec.loss_action.word()));
            match self.spec.drivers.get(name).and_then(|lines| lines.get(node - 1)) {
                Some(lines) => line!(text, "{lines}"),
                None => {
                    line!(
                        text,
                        "driver = \"ledger\"\nledger.socket = {}",
                        path(ledger_socket(machine, name))
                    );
                }
            }
        }
    }

    async fn member(&self, text: &mut String, own: usize, peer: usize) -> Result<(), LabError> {
        let (from, to) = (node_name(own), node_name(peer));
        line!(text, "[[member]]\nname = {}\nid = {peer}", quoted(&to));
        if own == peer {
            line!(text, "peer_address = {}", quoted(self.net.peer(own).to_string()));
            return Ok(());
        }
        let front = self.tcp(&from, &to, Kind::Peer, self.net.peer(peer)).await?;
        line!(text, "peer_address = {}", quoted(front.to_string()));
        for path in 0..self.spec.paths {
            let target = self.net.heartbeat(peer, path);
            let front = match self.net {
                Net::Placed(_) => target,
                Net::Loopback { .. } => {
                    let laid = self.links.udp(&from, &to, Kind::Heartbeat(path), target).await;
                    laid.map_err(LabError::net(format!("lay the heartbeat cable from {from} to {to}")))?
                }
            };
            let local = self.net.heartbeat(own, path);
            line!(text, "[[member.paths]]\nnetwork = \"hb{path}\"\nprio = {}", path + 1);
            line!(text, "local = {}\nremote = {}", quoted(local.to_string()), quoted(front.to_string()));
        }
        self.fence(text, &from, &to)
    }

    /// Where `from` reaches what listens at `target`: at the end of a cable that is laid, or right there.
    async fn tcp(
        &self,
        from: &str,
        to: &str,
        kind: Kind,
        target: SocketAddr,
    ) -> Result<SocketAddr, LabError> {
        match self.net {
            Net::Placed(_) => Ok(target),
            Net::Loopback { .. } => {
                let laid = self.links.tcp(from, to, kind, target).await;
                laid.map_err(LabError::net(format!("lay the {kind:?} cable from {from} to {to}")))
            }
        }
    }

    fn fence(&self, text: &mut String, from: &str, to: &str) -> Result<(), LabError> {
        let line_end = self.files.power_line(from, to);
        let switch = MachineSpec::new(to, self.files.machine(to)).power_socket();
        self.links
            .unix(from, to, Kind::Power, &switch, &line_end)
            .map_err(LabError::net(format!("lay the power line from {from} to {to}")))?;
        for level in &self.spec.fence {
            line!(text, "[[fence.{to}.level]]");
            match level {
                FenceLevel::Process { timeout } => {
                    line!(text, "agent = \"fence_picket_process\"\ntimeout = \"{}ms\"", timeout.as_millis());
                    line!(text, "options = {{ socket_path = {} }}", path(&line_end));
                }
                FenceLevel::Meatware => line!(text, "kind = \"meatware\""),
                FenceLevel::Lines(lines) => {
                    let lines = lines.get(to).map(String::as_str).unwrap_or_default();
                    line!(text, "{}", lines.replace("SWITCH", &line_end.display().to_string()));
                }
            }
        }
        Ok(())
    }

    /// The file of a volume's server; lays the cables of its replication. `volume` counts from 0.
    pub(super) async fn ledger(&self, number: usize, volume: usize) -> Result<PathBuf, LabError> {
        let (name, tag) = (node_name(number), &self.spec.volumes[volume]);
        let machine = MachineSpec::new(&name, self.files.machine(&name));
        let mut peers = Vec::new();
        for peer in (1..=self.spec.nodes).filter(|peer| *peer != number) {
            let to = node_name(peer);
            let addr = self.tcp(&name, &to, Kind::Replication, self.net.replication(peer, volume)).await?;
            peers.push(PeerConfig { node: ledger_node(peer), addr });
        }
        let config = LedgerConfig {
            node: ledger_node(number),
            data_dir: machine.state_dir().join(tag),
            listen_clients: self.net.clients(number, volume),
            listen_peers: self.net.replication(number, volume),
            peers,
            control_socket: ledger_socket(&machine, tag),
            sync: false,
            peer_timeout_ms: self.spec.peer_timeout_ms,
            log_bytes_max: 1 << 30,
        };
        let text = toml::to_string(&config).map_err(|error| LabError::Spec(error.to_string()))?;
        self.write(&name, &format!("{tag}.toml"), &text)
    }
}

/// Where the node's daemon listens.
pub(super) fn control_socket(machine: &MachineSpec) -> PathBuf {
    machine.run_dir().join("picketd.sock")
}

fn ledger_socket(machine: &MachineSpec, volume: &str) -> PathBuf {
    machine.run_dir().join(format!("{volume}.sock"))
}

/// The number of a node, in the volume's words. The spec allows 16.
pub(super) fn ledger_node(number: usize) -> LedgerNode {
    LedgerNode(u8::try_from(number).unwrap_or(u8::MAX))
}
