//! The daemon as a whole, in this process: against a real witness, a real ledger, and a lab machine's watchdog.

use super::{Daemon, StartError};
use crate::config::Config;
use crate::driver::Ended;
use crate::reset::Way;
use crate::store::Found;
use crate::testing::{Lab, free, until};
use crate::time::now;
use core::time::Duration;
use hyper_util::rt::TokioIo;
use picket_core::ids::{BootId, Epoch, Nonce, VolumeId};
use picket_core::node::{Disk, Run, RunHeld, SCHEMA};
use picket_host::cert::Identity;
use picket_host::config::Source;
use picket_host::files::RealFiles;
use picket_ledger::control::Client;
use picket_ledger::control::wire::Role;
use picket_ledger::ids::{Epoch as LedgerEpoch, NodeId as LedgerNode};
use picket_ledger::server::{Ports, Server};
use picket_proto::v1::control_client::ControlClient;
use picket_proto::v1::{self, stop_request::Mode};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::{Channel, Endpoint};

/// One lab machine with its witness.
struct Site {
    lab: Lab,
    witness: SocketAddr,
    text: String,
}

const BOOT: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8\n";

impl Site {
    async fn new() -> Self {
        let lab = Lab::new();
        let witness = witness(&lab).await;
        lab.credentials(&Identity::node("east", "n1").unwrap());
        std::fs::create_dir(lab.path("run")).unwrap();
        std::fs::write(lab.path("run/boot_id"), BOOT).unwrap();
        let text = format!(
            r#"
[node]
name = "n1"
state_dir = "DIR/state"
run_dir = "DIR/run"
[cluster]
name = "east"
heartbeat_key = "DIR/heartbeat.key"
[[member]]
name = "n1"
id = 1
peer_address = "{}"
[witness]
addresses = ["127.0.0.1:1", "{witness}"]
server_name = "w1"
[tls]
ca = "DIR/ca.pem"
cert = "DIR/n1.pem"
key = "DIR/n1.key"
[watchdog]
kind = "lab"
device = "DIR/watchdog.sock"
[[volume]]
name = "data"
id = 1
driver = "ledger"
ledger.socket = "DIR/ledger.sock"
[lab]
boot_id_file = "DIR/run/boot_id"
"#,
            free()
        );
        let text = text.replace("DIR", lab.dir.path().to_str().unwrap());
        Self { lab, witness, text }
    }

    fn config(&self) -> Config {
        Config::parse(&Source::from_text("picketd.toml", self.text.clone())).unwrap()
    }

    fn start(&self) -> (Daemon, Receiver<(bool, String)>) {
        let (tell, resets) = sync_channel(8);
        (Daemon::start_with(self.config(), Some(Way::Tell(tell))).unwrap(), resets)
    }

    async fn control(&self) -> ControlClient<Channel> {
        let path = self.lab.path("run/picketd.sock");
        let connector = tower::service_fn(move |_| {
            let path: PathBuf = path.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        });
        let endpoint = Endpoint::from_static("http://local");
        ControlClient::new(endpoint.connect_with_connector(connector).await.unwrap())
    }

    /// The status, once the volume has come to this phase.
    async fn phase(&self, phase: &str) -> v1::Status {
        let mut control = self.control().await;
        until(phase, async || {
            let status = control.status(v1::StatusRequest { events_max: 100 }).await.unwrap().into_inner();
            (status.volumes[0].phase == phase).then_some(status)
        })
        .await
    }
}

async fn witness(lab: &Lab) -> SocketAddr {
    let identity = Identity::witness("w1").unwrap();
    let credentials = lab.credentials(&identity);
    let text = format!(
        "listen = \"{}\"\nstate = \"DIR/w\"\n[tls]\nca = \"DIR/ca.pem\"\ncert = \"DIR/w1.pem\"\nkey = \"DIR/w1.key\"\n\
         [[cluster]]\nname = \"east\"\nnode = [{{ name = \"n1\", id = 1 }}]\nvolume = [{{ name = \"data\", id = 1 }}]\n",
        free()
    );
    let text = text.replace("DIR", lab.dir.path().to_str().unwrap());
    let config = picket_witness::config::Config::parse(&Source::from_text("witness.toml", text)).unwrap();
    let mut running = picket_witness::server::start(config, &credentials, Arc::new(RealFiles)).await.unwrap();
    let address = running.address();
    tokio::spawn(async move { running.wait().await });
    address
}

async fn ledger(dir: &Path) -> Server {
    let config = picket_ledger::Config {
        node: LedgerNode(1),
        data_dir: dir.join("data"),
        listen_clients: free(),
        listen_peers: free(),
        peers: Vec::new(),
        control_socket: dir.join("ledger.sock"),
        sync: false,
        peer_timeout_ms: 2000,
        log_bytes_max: 1 << 24,
    };
    let ports = Ports::bind(config.listen_clients, config.listen_peers).await.unwrap();
    Server::start(config, ports).unwrap()
}

async fn role(dir: &Path) -> Role {
    let (client, mut notices) = Client::open(dir.join("ledger.sock"));
    notices.next().await.unwrap();
    client.status().await.unwrap().role
}

/// Waits until the watchdog has read that it is closed.
async fn closed(last: &tokio::sync::watch::Receiver<String>) {
    until("the watchdog closed", async || (last.borrow().as_str() == "V").then_some(())).await;
}

/// The machine's watchdog: answers, and tells the last line that came.
fn watchdog(dir: &Path) -> tokio::sync::watch::Receiver<String> {
    let listener = UnixListener::bind(dir.join("watchdog.sock")).unwrap();
    let (tell, last) = tokio::sync::watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let word = if line.starts_with("measure") { "effective" } else { "ok" };
                let value = line.split_whitespace().nth(1).unwrap_or("0");
                let answer = format!("{word} {value}\n");
                tell.send_replace(line);
                // A daemon that ends waits for no answer.
                if write.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_comes_up_serves_restarts_and_stops() {
    let site = Site::new().await;
    let dir = site.lab.dir.path();
    let last_pet = watchdog(dir);
    let _ledger = ledger(dir).await;
    let (daemon, resets) = site.start();

    let status = site.phase("HOLDER").await;
    let epoch = status.volumes[0].epoch;
    assert_eq!(
        (status.lab, status.volumes[0].state.as_str(), status.volumes[0].primary.as_str()),
        (true, "ISP", "n1")
    );
    assert_eq!(role(dir).await, Role::Primary { epoch: LedgerEpoch(epoch) });
    assert!(status.volumes[0].solo, "the only member is alone in the in-sync set");
    assert!(status.witness.as_ref().unwrap().registered);
    assert_eq!(status.witness.unwrap().address, site.witness.to_string());
    assert!(status.watchdog.unwrap().petted);
    assert!(status.events.iter().any(|event| event.name == "promoted"), "{:?}", status.events);
    assert_eq!(last_pet.borrow().as_str(), "pet 1000");
    assert!(status.unprotected.iter().any(|line| line.word == "LAB"));

    let second = Daemon::start(site.config()).unwrap_err();
    assert!(matches!(second, StartError::Store(_)), "{second}");

    // The volume keeps running, a new daemon adopts it with the same epoch, and the watchdog is closed meanwhile.
    let mut control = site.control().await;
    let keep = v1::StopRequest { mode: Mode::KeepRunning.into(), length_ms: 60_000 };
    let outcome = control.stop(keep).await.unwrap().into_inner();
    assert!(matches!(outcome.result, Some(v1::outcome::Result::Done(_))), "{outcome:?}");
    assert!(matches!(daemon.end().await, Some(Ended::Told { idle: false, kept: true })));
    closed(&last_pet).await;
    assert_eq!(role(dir).await, Role::Primary { epoch: LedgerEpoch(epoch) });

    let (daemon, _) = site.start();
    let status = site.phase("HOLDER").await;
    assert_eq!(status.volumes[0].epoch, epoch, "adopted, not granted again");
    let explained =
        site.control().await.explain(v1::ExplainRequest { tag: "data".to_owned() }).await.unwrap();
    assert!(explained.get_ref().summary.starts_with("in service here"), "{}", explained.get_ref().summary);

    let mut control = site.control().await;
    until("the witness's record", async || {
        let status = control.status(v1::StatusRequest { events_max: 0 }).await.unwrap().into_inner();
        (status.volumes[0].holder == "n1").then_some(())
    })
    .await;
    let unknown =
        control.r#move(v1::MoveRequest { tag: "data".to_owned(), node: "n9".to_owned(), wait_ms: 0 }).await;
    let unknown = unknown.unwrap().into_inner().result;
    assert!(
        matches!(&unknown, Some(v1::outcome::Result::Refused(refused)) if refused.word == "NO_SUCH_NODE")
    );
    let here = v1::MoveRequest { tag: "data".to_owned(), node: "n1".to_owned(), wait_ms: 0 };
    let here = control.r#move(here).await.unwrap().into_inner().result;
    assert!(
        matches!(&here, Some(v1::outcome::Result::Refused(refused)) if refused.word == "ALREADY_THERE"),
        "{here:?}"
    );

    let stop = v1::StopRequest { mode: Mode::Handover.into(), length_ms: 0 };
    let outcome = control.stop(stop).await.unwrap().into_inner();
    assert!(matches!(outcome.result, Some(v1::outcome::Result::Done(_))), "{outcome:?}");
    assert!(matches!(daemon.end().await, Some(Ended::Told { idle: true, .. })));
    assert_eq!(role(dir).await, Role::Secondary);
    closed(&last_pet).await;
    assert!(resets.try_recv().is_err(), "nothing had to be reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_leaves_nothing_to_itself_that_its_boot_holds() {
    let site = Site::new().await;
    let dir = site.lab.dir.path();
    let last_pet = watchdog(dir);
    let _ledger = ledger(dir).await;
    let (daemon, _) = site.start();
    let epoch = site.phase("HOLDER").await.volumes[0].epoch;
    let keep = v1::StopRequest { mode: Mode::KeepRunning.into(), length_ms: 60_000 };
    site.control().await.stop(keep).await.unwrap();
    daemon.end().await;
    closed(&last_pet).await;

    let refused = |from: &str, to: &str| {
        let text = site.text.replace(from, to);
        let config = Config::parse(&Source::from_text("picketd.toml", text)).unwrap();
        Daemon::start(config).unwrap_err().to_string()
    };
    let gone = refused("id = 1\ndriver", "id = 2\ndriver");
    let holds = format!("this boot holds volume 1 with epoch {epoch}, and the configuration");
    assert!(gone.starts_with(&format!("{holds} does not have it; put it back")), "{gone}");
    let other = refused("ledger.sock\"", "another.sock\"");
    assert!(other.starts_with(&format!("{holds} drives something else for it; ")), "{other}");
    assert_eq!(last_pet.borrow().as_str(), "V", "the watchdog is as it was");
    assert_eq!(role(dir).await, Role::Primary { epoch: LedgerEpoch(epoch) });

    let (_daemon, _) = site.start();
    assert_eq!(site.phase("HOLDER").await.volumes[0].epoch, epoch, "as it was, it is taken up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_may_pet_as_long_as_what_its_boot_holds_allows_it() {
    let config = Site::new().await.config();
    let boot = BootId(7);
    let may_pet = |run: Option<Run>| {
        let disk = Disk { schema: SCHEMA, ..Disk::default() };
        let found = Found { disk: Some(disk), run };
        super::start::may_pet(&config, &found, (boot, Nonce(1))).unwrap()
    };
    let holds = |lease_until, keeps_running| {
        let held = RunHeld { epoch: Epoch(9), lease_until, refused: false, driver: None };
        let held = [(VolumeId(1), held)].into();
        Some(Run { schema: SCHEMA, boot, held, keeps_running, ..Run::default() })
    };
    let (long, short) = (now() + Duration::from_secs(3600), now() + Duration::from_secs(1));
    assert!(may_pet(None), "the first start of a boot");
    assert!(may_pet(holds(long, false)));
    assert!(!may_pet(holds(short, false)), "the watchdog could bite after the lease");
    assert!(may_pet(holds(short, true)), "the maintenance answers for it, and the watchdog is not armed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_cannot_be_stopped_resets_the_machine() {
    let site = Site::new().await;
    let dir = site.lab.dir.path();
    let last_pet = watchdog(dir);
    let server = ledger(dir).await;
    let (daemon, resets) = site.start();
    site.phase("HOLDER").await;
    // The server is gone, so nobody can see the volume inactive.
    server.kill().await;
    let stop = v1::StopRequest { mode: Mode::Handover.into(), length_ms: 0 };
    let mut control = site.control().await;
    let asked = tokio::spawn(async move { control.stop(stop).await });
    let why = until("the reset", async || resets.try_recv().ok()).await;
    assert_eq!(why, (false, "this machine resets itself: data could not be stopped".to_owned()));
    let mut last_pet = last_pet;
    last_pet.wait_for(|line| line == "pet 1").await.unwrap();
    asked.abort();
    assert!(matches!(daemon.end().await, Some(Ended::Told { idle: false, .. })));
    assert_eq!(last_pet.borrow().as_str(), "pet 1", "it stays armed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_keeps_the_daemon_from_starting() {
    let site = Site::new().await;
    // No watchdog answers there: a daemon that counts on it must not start.
    let error = Daemon::start(site.config()).unwrap_err().to_string();
    assert!(error.starts_with("watchdog: "), "{error}");

    let other = site.text.replace("name = \"n1\"", "name = \"n2\"");
    let other = Config::parse(&Source::from_text("picketd.toml", other)).unwrap();
    let error = Daemon::start(other).unwrap_err().to_string();
    assert_eq!(error, "the certificate names picket://east/node/n1; expected picket://east/node/n2");

    let state = site.lab.path("state/node.state");
    std::fs::create_dir_all(state.parent().unwrap()).unwrap();
    std::fs::write(&state, "not ours").unwrap();
    let error = Daemon::start(site.config()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: damaged: ", state.display())), "{error}");
    std::fs::remove_file(&state).unwrap();

    std::fs::write(site.lab.path("run/boot_id"), "x").unwrap();
    let error = Daemon::start(site.config()).unwrap_err().to_string();
    assert!(error.ends_with("run/boot_id: not a UUID: \"x\""), "{error}");
}

/// A volume made of files, driven by programs.
fn programs(dir: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let make = |name: &str, body: &str| {
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{body}\n", dir.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{name} = [\"{}\"]\n", path.display())
    };
    std::fs::write(dir.join("role"), "secondary").unwrap();
    [
        "[volume.command]\n".to_owned(),
        make("promote", "env | grep ^PICKET_ | sort > environment; echo primary > role"),
        make("demote", "echo secondary > role"),
        make("status", "echo role=$(cat role)"),
        format!(
            "[alert]\nevents = [\"promoted\"]\n{}",
            make("command", "echo \"$PICKET_EVENT $PICKET_VOLUME\" > alerted")
        ),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_programs_is_promoted_and_the_alert_runs() {
    let mut site = Site::new().await;
    let dir = site.lab.dir.path().to_owned();
    let _last_pet = watchdog(&dir);
    let ledger = format!("driver = \"ledger\"\nledger.socket = \"{}/ledger.sock\"\n", dir.display());
    assert!(site.text.contains(&ledger));
    site.text = site.text.replace(&ledger, &format!("driver = \"command\"\n{}", programs(&dir)));
    let (daemon, _resets) = site.start();
    let status = site.phase("HOLDER").await;
    assert!(status.volumes[0].exclusive_only);
    assert!(status.unprotected.iter().any(|line| line.word == "EXCLUSIVE_ONLY"));
    let environment = std::fs::read_to_string(dir.join("environment")).unwrap();
    let epoch = status.volumes[0].epoch;
    let expected = format!(
        "PICKET_ACTION=promote\nPICKET_EPOCH={epoch}\nPICKET_MEMBERS=n1\nPICKET_NODE=n1\nPICKET_REQUIRED=\n\
         PICKET_VOLUME=data\nPICKET_VOLUME_ID=1\n"
    );
    assert_eq!(environment, expected);
    let alerted = until("the alert", async || {
        std::fs::read_to_string(dir.join("alerted")).ok().filter(|text| !text.is_empty())
    });
    assert_eq!(alerted.await, "promoted data\n");
    assert_eq!(daemon.stop().await, Some(picket_core::node::NodeAnswer::Done));
    assert!(matches!(daemon.end().await, Some(Ended::Told { idle: true, .. })));
    assert_eq!(std::fs::read_to_string(dir.join("role")).unwrap(), "secondary\n");
}
