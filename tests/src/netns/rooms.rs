//! The namespaces, the networks between them, and how they are cut.

use crate::Failure;
use picket::demo::cluster::Place;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};

/// The networks that connect machines.
pub(super) const NETWORKS: u8 = 2;

/// The number of the desk among the networks: for the observer and clients only.
const DESK: u8 = 9;

/// The number of the network between the machines and the gateway.
const LAN: u8 = 5;

/// The room of what machines may ping.
const GATEWAY: &str = "gateway";

/// The host number of the gateway.
const GATEWAY_HOST: u8 = 250;

/// The host number of whoever sits at the desk.
const OBSERVER: u8 = 254;

/// Which addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn address(self, network: u8, host: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 77, network, host).into(),
            Self::V6 => Ipv6Addr::new(0xfd77, u16::from(network), 0, 0, 0, 0, 0, u16::from(host)).into(),
        }
    }

    const fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

/// One namespace a machine.
#[derive(Debug)]
pub struct Rooms {
    family: Family,
    /// The machines and their host numbers.
    machines: BTreeMap<String, u8>,
}

impl Rooms {
    /// Makes them. This process must have network and mounts of its own: see [`Rooms::own_world`].
    ///
    /// # Errors
    /// Something cannot be made.
    pub fn make(machines: &[&str], family: Family) -> Result<Self, Failure> {
        let machines: BTreeMap<String, u8> =
            machines.iter().map(|name| (*name).to_owned()).zip(1..).collect();
        let rooms = Self { family, machines };
        for network in (0..NETWORKS).chain([DESK, LAN]) {
            let bridge = bridge(network);
            ip(&["link", "add", "name", &bridge, "type", "bridge", "mcast_snooping", "0"])?;
            ip(&["link", "set", "dev", &bridge, "up"])?;
        }
        rooms.address(None, &bridge(DESK), DESK, OBSERVER)?;
        for (name, host) in &rooms.machines {
            rooms.room(name, *host, (0..NETWORKS).chain([DESK, LAN]))?;
        }
        rooms.room(GATEWAY, GATEWAY_HOST, [LAN])?;
        Ok(rooms)
    }

    fn room(&self, name: &str, host: u8, networks: impl IntoIterator<Item = u8>) -> Result<(), Failure> {
        ip(&["netns", "add", name])?;
        ip(&["-netns", name, "link", "set", "dev", "lo", "up"])?;
        for network in networks {
            let (port, inside) = (port(name, network), inside(network));
            ip(&["link", "add", "name", &port, "type", "veth", "peer", "name", &inside, "netns", name])?;
            ip(&["link", "set", "dev", &port, "master", &bridge(network), "up"])?;
            ip(&["-netns", name, "link", "set", "dev", &inside, "up"])?;
            self.address(Some(name), &inside, network, host)?;
        }
        Ok(())
    }

    /// What machines ping; nothing else goes there.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.family.address(LAN, GATEWAY_HOST)
    }

    /// Pulls or plugs the machine's cable to the gateway.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn reaches_gateway(&self, machine: &str, reaches: bool) -> Result<(), Failure> {
        let state = if reaches { "up" } else { "down" };
        ip(&["link", "set", "dev", &port(machine, LAN), state])
    }

    /// Makes a place for the namespaces' names in this process's own mounts.
    ///
    /// # Errors
    /// It cannot be mounted, for example because the mounts are shared with the host.
    pub fn own_world() -> Result<(), Failure> {
        let names = Path::new("/run/netns");
        fs::create_dir_all(names)?;
        run("mount", &["-t", "tmpfs", "picket-test", "/run/netns"])?;
        ip(&["link", "set", "dev", "lo", "up"])
    }

    fn address(&self, room: Option<&str>, device: &str, network: u8, host: u8) -> Result<(), Failure> {
        let address = format!("{}/{}", self.family.address(network, host), self.family.prefix());
        let mut words = Vec::new();
        if let Some(room) = room {
            words.extend(["-netns", room]);
        }
        words.extend(["address", "add", &address, "dev", device]);
        // Nobody else can have the address, so nobody is asked whether he has it.
        if self.family == Family::V6 {
            words.push("nodad");
        }
        ip(&words)
    }

    /// Where the machines run.
    #[must_use]
    pub fn places(&self) -> BTreeMap<String, Place> {
        let place = |(name, host): (&String, &u8)| {
            let enter = vec!["nsenter".to_owned(), format!("--net=/run/netns/{name}"), "--".to_owned()];
            let networks = (0..NETWORKS).map(|network| self.family.address(network, *host)).collect();
            (name.clone(), Place { enter, networks, desk: self.family.address(DESK, *host) })
        };
        self.machines.iter().map(place).collect()
    }

    /// Pulls the machine's cable to this network: nothing goes in or out, and the machine sees that.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn unplug(&self, machine: &str, network: u8) -> Result<(), Failure> {
        ip(&["link", "set", "dev", &port(machine, network), "down"])
    }

    /// Swallows what the machine sends into this network; it goes on to hear, and notices nothing.
    ///
    /// # Errors
    /// `tc` failed.
    pub fn mute(&self, machine: &str, network: u8) -> Result<(), Failure> {
        let words = ["-netns", machine, "qdisc", "replace", "dev", &inside(network), "root", "blackhole"];
        run("tc", &words)
    }

    /// Drops what `from` sends to `to`, in all networks, where it arrives. The other direction lives.
    ///
    /// # Errors
    /// `nft` failed, or there is no such machine.
    pub fn deafen(&self, to: &str, from: &str) -> Result<(), Failure> {
        let host = *self.machines.get(from).ok_or_else(|| format!("no machine {from}"))?;
        let sources: Vec<String> =
            (0..NETWORKS).map(|network| self.family.address(network, host).to_string()).collect();
        let rules = format!(
            "table inet cut {{\n chain arriving {{\n  type filter hook input priority 0\n  {} saddr {{ {} }} counter drop\n }}\n}}\n",
            self.family.word(),
            sources.join(", ")
        );
        feed_nft(to, &rules)
    }

    /// Drops what comes to this machine for a port, in all networks.
    ///
    /// # Errors
    /// `nft` failed.
    pub fn close_port(&self, machine: &str, port: u16) -> Result<(), Failure> {
        let rules = format!(
            "table inet cut {{\n chain arriving {{\n  type filter hook input priority 0\n  iifname {{ \"eth0\", \"eth1\" }} tcp dport {port} counter drop\n }}\n}}\n"
        );
        feed_nft(machine, &rules)
    }

    /// How many packets [`Rooms::deafen`] has dropped on this machine so far.
    ///
    /// # Errors
    /// `nft` failed.
    pub fn dropped(&self, machine: &str) -> Result<u64, Failure> {
        let listed = in_room(machine, "nft", &["list", "ruleset"]).output()?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let counts = text.split("counter packets ").skip(1);
        Ok(counts.filter_map(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).sum())
    }

    /// Undoes every cut.
    ///
    /// # Errors
    /// Something cannot be undone.
    pub fn heal(&self) -> Result<(), Failure> {
        for name in self.machines.keys() {
            self.reaches_gateway(name, true)?;
            for network in 0..NETWORKS {
                ip(&["link", "set", "dev", &port(name, network), "up"])?;
                let device = inside(network);
                run("tc", &["-netns", name, "qdisc", "replace", "dev", &device, "root", "pfifo"])?;
            }
            run("nsenter", &[&format!("--net=/run/netns/{name}"), "--", "nft", "flush", "ruleset"])?;
        }
        Ok(())
    }

    /// Takes the networks and namespaces away; processes in them must have ended.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn remove(self) -> Result<(), Failure> {
        // The devices go with the namespace, and their other ends with them.
        let names = self.machines.keys().map(String::as_str).chain([GATEWAY]);
        names.into_iter().try_for_each(|name| ip(&["netns", "delete", name]))?;
        (0..NETWORKS)
            .chain([DESK, LAN])
            .try_for_each(|network| ip(&["link", "delete", "dev", &bridge(network)]))
    }
}

fn feed_nft(machine: &str, rules: &str) -> Result<(), Failure> {
    let mut nft = in_room(machine, "nft", &["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = nft.stdin.take() {
        input.write_all(rules.as_bytes())?;
    }
    if nft.wait()?.success() { Ok(()) } else { Err(format!("nft refused: {rules}").into()) }
}

fn bridge(network: u8) -> String {
    match network {
        DESK => "desk".to_owned(),
        LAN => "lan".to_owned(),
        network => format!("net{network}"),
    }
}

/// The end of a machine's cable at the bridge.
fn port(machine: &str, network: u8) -> String {
    format!("{machine}-{network}")
}

/// The end of a machine's cable at the machine.
fn inside(network: u8) -> String {
    format!("eth{network}")
}

fn in_room(room: &str, program: &str, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{room}")).arg("--").arg(program).args(words);
    command
}

fn ip(words: &[&str]) -> Result<(), Failure> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> Result<(), Failure> {
    let ended = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(format!("{program} {}: {said}", words.join(" ")).into())
}
