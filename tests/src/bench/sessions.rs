//! What a cluster costs the witness in memory: many clusters of two nodes each, connected and registered, beside as many
//! bare TLS connections to another witness of the same configuration.
//!
//! The difference is what Picket adds: the session, its messages in flight, HTTP/2, the record. What the first connection
//! costs alone (allocators, threads) is in both and falls out.

use super::cost::resident_kib;
use crate::Failure;
use crate::rig::{LIMIT, program};
use picket_core::evidence::SelfFence;
use picket_core::ids::{BootId, ConfigDigest, RequestId};
use picket_core::message::{FromWitness, Register, Reply, Request, ToWitness};
use picket_host::cert::{Authority, Identity};
use picket_host::config::{HostPort, Source};
use picket_host::tls::{Connector, Credentials, Expect, channel};
use picket_proto::v1;
use picket_proto::v1::witness_client::WitnessClient;
use picket_proto::{from_wire, to_wire};
use picket_witness::config::{Cluster, Config};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const NODES: [&str; 2] = ["n1", "n2"];

/// Days that the certificates of a measurement are good for.
const DAYS: u32 = 1;

/// The memory of one cluster of two nodes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Of its two TLS connections alone, in KiB.
    pub tls_kib: f64,
    /// Of all that is beyond them, in KiB.
    pub beyond_kib: f64,
}

/// Measures with so many clusters.
///
/// # Errors
/// A witness cannot be started, or does not take a node's registration.
pub async fn memory(dir: &Path, clusters: usize) -> Result<Memory, Failure> {
    let dir = dir.join("sessions");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let site = Site::new(&dir, clusters)?;
    let [bare, registered] = [site.bare("bare").await?, site.registered("registered").await?];
    std::fs::remove_dir_all(&dir)?;
    #[expect(clippy::cast_precision_loss, reason = "some megabytes, counted in KiB")]
    let each = |(before, after): (u64, u64)| after.saturating_sub(before) as f64 / clusters as f64;
    Ok(Memory { tls_kib: each(bare), beyond_kib: each(registered) - each(bare) })
}

struct Site {
    dir: PathBuf,
    authority: Authority,
    text: String,
    clusters: Vec<Cluster>,
}

/// A witness's process, and where it listens.
struct Serving {
    child: Child,
    pid: i32,
    address: HostPort,
}

impl Site {
    fn new(dir: &Path, clusters: usize) -> Result<Self, Failure> {
        let authority = Authority::create("bench")?;
        std::fs::write(dir.join("ca.pem"), authority.certificate_pem())?;
        let witness = Identity::witness("w1")?;
        authority.issue(&witness, &["127.0.0.1".to_owned()], DAYS)?.write(dir, "w1")?;
        let mut text = String::new();
        for number in 0..clusters {
            write!(
                text,
                "[[cluster]]\nname = \"c{number}\"\nprofile = \"fast\"\n\
                 node = [{{ name = \"n1\", id = 1 }}, {{ name = \"n2\", id = 2 }}]\n\
                 volume = [{{ name = \"data\", id = 1 }}]\n"
            )?;
        }
        let mut site = Self { dir: dir.to_owned(), authority, text, clusters: Vec::new() };
        let parsed = Config::parse(&Source::from_text("bench", site.config("state")));
        site.clusters = parsed.map_err(|errors| format!("{errors}"))?.clusters;
        Ok(site)
    }

    fn config(&self, state: &str) -> String {
        let dir = self.dir.display();
        format!(
            "listen = \"127.0.0.1:0\"\nstate = \"{dir}/{state}\"\n\
             [tls]\nca = \"{dir}/ca.pem\"\ncert = \"{dir}/w1.pem\"\nkey = \"{dir}/w1.key\"\n{}",
            self.text
        )
    }

    async fn start(&self, state: &str) -> Result<Serving, Failure> {
        let config = self.dir.join(format!("{state}.toml"));
        std::fs::write(&config, self.config(state))?;
        let mut command = Command::new(program()?.with_file_name("picket-witness"));
        command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let said = child.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(said).lines();
        let started = tokio::time::timeout(LIMIT, async {
            while let Some(line) = lines.next_line().await? {
                let port =
                    line.split_once("listening on 127.0.0.1:").and_then(|(_, rest)| rest.split_once(' '));
                if let Some((port, _)) = port {
                    return Ok::<u16, Failure>(port.parse()?);
                }
            }
            Err("the witness ended before it listened".into())
        });
        let port = started.await.map_err(|_| "the witness does not start")??;
        // Whatever it says later is read, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).ok_or("the witness has ended")?;
        Ok(Serving { child, pid, address: HostPort { host: "127.0.0.1".to_owned(), port } })
    }

    fn credentials(&self, cluster: &str, node: &str) -> Result<Credentials, Failure> {
        let issued = self.authority.issue(&Identity::node(cluster, node)?, &[], DAYS)?;
        Ok(Credentials::from_pem(self.authority.certificate_pem(), &issued.certificate_pem, &issued.key_pem)?)
    }

    /// Resident memory before and after, with TLS connections over which nothing is said.
    async fn bare(&self, state: &str) -> Result<(u64, u64), Failure> {
        let serving = self.start(state).await?;
        let before = resident_kib(serving.pid)?;
        let mut open = Vec::new();
        for (cluster, node) in self.nodes() {
            let expect = Expect::Identity(Identity::witness("w1")?);
            let connector =
                Connector::new(&self.credentials(&cluster.name, node)?, serving.address.clone(), expect)?;
            open.push(connector.connect().await?);
        }
        let after = resident_kib(serving.pid)?;
        serving.end().await?;
        Ok((before, after))
    }

    /// The same with nodes that have registered.
    async fn registered(&self, state: &str) -> Result<(u64, u64), Failure> {
        let serving = self.start(state).await?;
        let before = resident_kib(serving.pid)?;
        let mut open = Vec::new();
        for (cluster, node) in self.nodes() {
            let credentials = self.credentials(&cluster.name, node)?;
            open.push(session(&credentials, &serving.address, cluster.digest()).await?);
        }
        let after = resident_kib(serving.pid)?;
        serving.end().await?;
        Ok((before, after))
    }

    fn nodes(&self) -> impl Iterator<Item = (&Cluster, &'static str)> {
        self.clusters.iter().flat_map(|cluster| NODES.map(|node| (cluster, node)))
    }
}

impl Serving {
    async fn end(mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }
}

/// A node's session, registered; it lasts as long as what is given back.
type Session = (mpsc::Sender<v1::ToWitness>, tonic::Streaming<v1::FromWitness>);

async fn session(
    credentials: &Credentials,
    address: &HostPort,
    config: ConfigDigest,
) -> Result<Session, Failure> {
    let expect = Expect::Identity(Identity::witness("w1")?);
    let mut client = WitnessClient::new(channel(credentials, address, expect, LIMIT)?);
    let (out, outgoing) = mpsc::channel(4);
    let mut incoming = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
    loop {
        let message = tokio::time::timeout(LIMIT, incoming.message()).await.map_err(|_| "no answer")??;
        let message = message.ok_or("the witness ended a session")?;
        let message: FromWitness = from_wire(message).map_err(|error| format!("{error:?}"))?;
        match message.body {
            Reply::Challenge { nonce } => {
                let self_fence = SelfFence { watchdog_counts: true, pause_visible: true };
                let register = Register { nonce, boot: BootId(1), config, self_fence, replicas: Vec::new() };
                let (session, seen, body) = (message.session, message.seen, Request::Register(register));
                let message = ToWitness { session, request: RequestId(1), seen, body };
                out.send(to_wire(&message)).await?;
            }
            Reply::Registered { .. } => return Ok((out, incoming)),
            Reply::Refused { refusal, .. } => return Err(format!("refused: {refusal}").into()),
            _ => {}
        }
    }
}
