//! A site for one run: an authority, the witness's and the nodes' files, and who is who.

use core::fmt;
use picket_core::ids::{BootId, NodeId, NodeSet, VolumeId};
use picket_host::cert::{Authority, Identity};
use picket_host::config::{HostPort, Source};
use picket_host::tls::{Credentials, Expect};
use picket_node::config::Config;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Something of the machine failed, not the witness.
#[derive(Debug)]
pub struct Failed(pub String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The nodes of the cluster.
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// Its volumes: each register is a history of its own.
pub const VOLUMES: [VolumeId; 6] =
    [VolumeId(1), VolumeId(2), VolumeId(3), VolumeId(4), VolumeId(5), VolumeId(6)];

const CLUSTER: &str = "east";

/// Certificates and configurations of a run.
pub struct Site {
    directory: PathBuf,
    authority: Authority,
    address: HostPort,
}

impl Site {
    /// Makes them below `directory`. The port is free now; a run whose port is taken meanwhile says so.
    ///
    /// # Errors
    /// Files cannot be written, or there is no port.
    pub fn new(directory: &Path) -> Result<Self, Failed> {
        fs::create_dir_all(directory.join("ca"))?;
        let authority = Authority::init(&directory.join("ca"), "linear")?;
        let issued = authority.issue(&Identity::witness("w1")?, &["127.0.0.1".to_owned()], 1)?;
        issued.write(directory, "witness")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = HostPort { host: "127.0.0.1".to_owned(), port };
        let site = Self { directory: directory.to_owned(), authority, address };
        fs::write(site.witness_config(), site.witness_text())?;
        Ok(site)
    }

    /// The witness's configuration file.
    #[must_use]
    pub fn witness_config(&self) -> PathBuf {
        self.directory.join("witness.toml")
    }

    /// Where the witness keeps its store.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// A file of the run.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn witness_text(&self) -> String {
        let at = self.directory.display();
        let nodes: String = NODES.iter().map(|id| format!("{{ name = \"n{id}\", id = {id} }}, ")).collect();
        let volumes: String =
            VOLUMES.iter().map(|id| format!("{{ name = \"v{id}\", id = {id} }}, ")).collect();
        format!(
            "listen = \"{}\"\nstate = \"{at}/state\"\n\
             tls = {{ ca = \"{at}/ca/ca.pem\", cert = \"{at}/witness.pem\", key = \"{at}/witness.key\" }}\n\
             [[cluster]]\nname = \"{CLUSTER}\"\nnode = [{nodes}]\nvolume = [{volumes}]\n",
            self.address
        )
    }

    /// A node's configuration, as its daemon would read it. It fences nobody, so that leases never prove anything
    /// and only releases and newer boots move a volume.
    ///
    /// # Errors
    /// It is not good, which the message tells.
    pub fn node_config(&self, me: NodeId) -> Result<Config, Failed> {
        let mut text = format!(
            "[node]\nname = \"n{me}\"\nstate_dir = \"/var/lib/picket\"\nrun_dir = \"/run/picket\"\n\
             [cluster]\nname = \"{CLUSTER}\"\nheartbeat_key = \"/-\"\n\
             [witness]\naddresses = [\"{}\"]\nserver_name = \"w1\"\n\
             [tls]\nca = \"/-\"\ncert = \"/-\"\nkey = \"/-\"\n",
            self.address
        );
        for id in NODES {
            text.push_str(&format!(
                "[[member]]\nname = \"n{id}\"\nid = {id}\npeer_address = \"127.0.0.1:{}\"\n",
                id.0
            ));
            if id != me {
                let paths = format!(
                    "paths = [{{ network = \"hb0\", local = \"127.0.0.1:1\", remote = \"127.0.0.1:{}\" }}]\n",
                    id.0
                );
                text.push_str(&paths);
                text.push_str(&format!("[[fence.n{id}.level]]\nkind = \"meatware\"\n"));
            }
        }
        for id in VOLUMES {
            text.push_str(&format!(
                "[[volume]]\nname = \"v{id}\"\nid = {id}\ndriver = \"ledger\"\nledger.socket = \"/-\"\n"
            ));
        }
        Config::parse(&Source::from_text("picketd.toml", text)).map_err(|errors| Failed(errors.to_string()))
    }

    /// A node's certificate.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn node_credentials(&self, me: NodeId) -> Result<Credentials, Failed> {
        self.credentials(&Identity::node(CLUSTER, &format!("n{me}"))?)
    }

    /// An operator's certificate.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn operator_credentials(&self) -> Result<Credentials, Failed> {
        self.credentials(&Identity::operator(CLUSTER, "ann")?)
    }

    fn credentials(&self, identity: &Identity) -> Result<Credentials, Failed> {
        let issued = self.authority.issue(identity, &["127.0.0.1".to_owned()], 1)?;
        let authority = self.authority.certificate_pem();
        Ok(Credentials::from_pem(authority, &issued.certificate_pem, &issued.key_pem)?)
    }

    /// Where the witness listens, and as whom it has to show itself.
    ///
    /// # Errors
    /// Never; the name is a good one.
    pub fn witness(&self) -> Result<(HostPort, Expect), Failed> {
        Ok((self.address.clone(), Expect::Identity(Identity::witness("w1")?)))
    }
}

/// The node of that name.
#[must_use]
pub fn node_named(name: &str) -> Option<NodeId> {
    NODES.into_iter().find(|node| name == format!("n{node}"))
}

/// The nodes of these names.
#[must_use]
pub fn nodes_named(names: &[String]) -> NodeSet {
    names.iter().filter_map(|name| node_named(name)).collect()
}

/// The boot that a status tells of.
#[must_use]
pub fn boot_named(text: &str) -> Option<BootId> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).ok().map(BootId)
}

/// Copies a directory of plain files.
///
/// # Errors
/// As the system has them.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
