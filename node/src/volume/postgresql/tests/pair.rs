//! Two real servers on this machine's loopback, each in a directory of its own.

use super::super::files::{Directory, program};
use super::super::follow::rebuild;
use super::super::orders::promote_now;
use super::super::processes::Finder;
use super::super::server::Server;
use super::{A, B, set};
use crate::config::{PostgreSql, Rejoin};
use crate::time::now;
use core::time::Duration;
use picket_core::ids::{NodeId, NodeSet};
use picket_core::node::Recorded;
use picket_host::config::HostPort;
use picket_host::process::{Outcome, run};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

/// For what must happen: many times what it takes.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

const HBA: &str = "local all all trust\nhost all picket 127.0.0.1/32 scram-sha-256\n\
                   host replication picket 127.0.0.1/32 scram-sha-256\n";

/// What the role that replicates may do, as the guide says.
const ROLE: &str = "create role picket replication login password 'not a real secret'; \
  grant pg_monitor to picket; \
  grant execute on function pg_ls_dir(text, boolean, boolean) to picket; \
  grant execute on function pg_stat_file(text, boolean) to picket; \
  grant execute on function pg_read_binary_file(text) to picket; \
  grant execute on function pg_read_binary_file(text, bigint, bigint, boolean) to picket; \
  create table writes (n bigint primary key); insert into writes values (0)";

/// Two servers; both end with it.
pub(super) struct Pair {
    pub(super) a: Arc<Server>,
    pub(super) b: Arc<Server>,
    _dir: TempDir,
}

impl Drop for Pair {
    fn drop(&mut self) {
        for server in [&self.a, &self.b] {
            let _ended = server.processes.kill(now() + Duration::from_secs(10));
        }
    }
}

/// The newest server that is installed.
fn bin() -> PathBuf {
    let found = fs::read_dir("/usr/lib/postgresql").expect("install the package postgresql");
    let versions = found.map(|entry| entry.unwrap().path().join("bin"));
    versions.filter(|bin| bin.join("postgres").exists()).max().expect("install the package postgresql")
}

/// Two that nobody has at this moment.
fn free_ports() -> Vec<u16> {
    let bound = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    bound.iter().map(|bound| bound.local_addr().unwrap().port()).collect()
}

fn own(path: &Path, dir: &Path) {
    let owner = fs::metadata(dir).unwrap();
    use std::os::unix::fs::MetadataExt as _;
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// The user that servers run as here: never root, which PostgreSQL refuses.
fn os_user() -> (String, Option<(u32, u32)>) {
    if !rustix::process::geteuid().is_root() {
        return ("postgres".to_owned(), None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("no user postgres");
    let ids: Vec<u32> = line.split(':').filter_map(|field| field.parse().ok()).collect();
    ("postgres".to_owned(), Some((ids[0], ids[1])))
}

fn directory(path: &Path, owner: Option<(u32, u32)>) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

impl Pair {
    /// `n1` has a new server that was promoted and waits for nobody; `n2` has nothing.
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (user, owner) = os_user();
        let ports = free_ports();
        let addresses: BTreeMap<_, _> = [A, B]
            .into_iter()
            .zip(&ports)
            .map(|(id, port)| (id, HostPort { host: "127.0.0.1".to_owned(), port: *port }))
            .collect();
        let passfile = dir.path().join("passfile");
        fs::write(&passfile, "*:*:*:picket:not a real secret\n").unwrap();
        fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).unwrap();
        let mut servers = Vec::new();
        for (me, port) in [A, B].into_iter().zip(ports) {
            let home = dir.path().join(format!("n{me}"));
            directory(&home, owner);
            directory(&home.join("data"), owner);
            own(&passfile, &home);
            let conf = PostgreSql {
                data_directory: home.join("data"),
                bin_directory: bin(),
                config_file: home.join("postgresql.conf"),
                socket_directory: home.clone(),
                port,
                os_user: user.clone(),
                user: "postgres".to_owned(),
                log_file: home.join("log"),
                addresses: addresses.clone(),
                replication_user: "picket".to_owned(),
                passfile: Some(passfile.clone()),
                connection_options: BTreeMap::new(),
                monitor_interval: Duration::from_millis(100),
                replication_timeout: Duration::from_secs(20),
                rejoin: Rejoin::Clone,
            };
            let text = format!(
                "listen_addresses = '127.0.0.1'\nhba_file = '{0}/pg_hba.conf'\nshared_buffers = '16MB'\nmax_connections = 100\n",
                home.display()
            );
            fs::write(&conf.config_file, text).unwrap();
            fs::write(home.join("pg_hba.conf"), HBA).unwrap();
            let names = [(A, "n1".to_owned()), (B, "n2".to_owned())].into();
            servers.push(Arc::new(Server::new(conf, names, me)));
        }
        let b = servers.pop().unwrap();
        let pair = Self { a: servers.pop().unwrap(), b, _dir: dir };
        initdb(&pair.a).await;
        pair.a.start(None).await.unwrap();
        pair.promote(&pair.a, &[]).await;
        client(&pair.a).await.batch_execute(ROLE).await.unwrap();
        pair
    }

    /// The same, and `n2` is a copy of it that follows.
    pub(super) async fn with_replica() -> Self {
        let pair = Self::new().await;
        let recorded = holder(A);
        rebuild(&pair.b, &recorded, A, false).await.unwrap();
        pair.b.start(Some(A)).await.unwrap();
        streams(&pair.b).await;
        pair
    }

    /// Promotes, without asking anybody.
    pub(super) async fn promote(&self, server: &Arc<Server>, required: &[NodeId]) {
        let session = up(server).await;
        assert!(session.view().await.unwrap().recovery, "it started as a replica");
        promote_now(server, &session, set(required)).await.unwrap();
    }
}

/// What the witness says, to a driver that is told that `node` holds the volume.
pub(super) fn holder(node: NodeId) -> watch::Receiver<Recorded> {
    let recorded =
        Recorded { holder: Some(node), isr: NodeSet::only(node), current: true, ..Recorded::default() };
    watch::channel(recorded).1
}

pub(super) async fn initdb(server: &Server) {
    let conf = &server.conf;
    let directory = Directory { data: conf.data_directory.clone() };
    let data = conf.data_directory.display().to_string();
    let words = ["-D", &data, "-U", "postgres", "--no-sync", "--no-instructions"];
    let made = run(
        program(&conf.bin_directory, "initdb", &conf.os_user, &directory).args(words),
        (now() + LIMIT).elapsed(),
    );
    let made = made.await;
    assert_eq!(made.outcome, Outcome::Exited { code: 0 }, "{}", made.stderr.text());
}

/// Waits for what must come about.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A session of the driver's, once the server takes one.
pub(super) async fn up(server: &Server) -> super::super::sql::Session {
    until("the server answers", async || server.connect().await.ok()).await
}

pub(super) async fn streams(server: &Server) {
    let session = up(server).await;
    until("it streams", async || {
        let receiver = session.view().await.ok()?.receiver?;
        receiver.streams.then_some(())
    })
    .await;
}

/// A client of the database.
pub(super) async fn client(server: &Server) -> Client {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(&server.conf.socket_directory)
        .port(server.conf.port)
        .user("postgres")
        .dbname("postgres");
    let (client, connection) = until("a client gets in", async || config.connect(NoTls).await.ok()).await;
    tokio::spawn(connection);
    client
}

/// The numbers that are there.
pub(super) async fn numbers(server: &Server) -> Vec<i64> {
    let rows = client(server).await.query("select n from writes order by n", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A commit of this number is seen to wait for the barrier.
pub(super) async fn waits(server: &Server, number: i64) {
    let session = up(server).await;
    let text = format!(
        "select 1 from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into writes values ({number})%'"
    );
    until("the commit waits", async || session.rows(&text).await.ok().filter(|rows| !rows.is_empty())).await;
}

/// Inserts a number, as a task: it may wait.
pub(super) fn insert(
    client: Client,
    number: i64,
) -> tokio::task::JoinHandle<Result<(), tokio_postgres::Error>> {
    tokio::spawn(async move { client.batch_execute(&format!("insert into writes values ({number})")).await })
}

/// Nothing of it is left.
pub(super) fn is_gone(finder: &Finder) -> bool {
    finder.find().unwrap().is_empty()
}
