//! The servers' directories and settings, as a user would make them.

use crate::Failure;
use picket::demo::cluster::Place;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where servers listen.
pub(super) const PORT: u16 = 5432;

/// How the process that writes checkpoints shows itself.
const CHECKPOINTER: &[u8] = b"postgres: checkpointer";

/// How long a server may take to end, shorter than the daemon's own default.
const DEMOTE: &str = "4s";

/// A password of no use to anybody.
const PASSWORD: &str = "replicates-in-a-test";

/// What the role that replicates may do.
const ROLE: &str = "grant pg_monitor to picket; \
  grant execute on function pg_ls_dir(text, boolean, boolean) to picket; \
  grant execute on function pg_stat_file(text, boolean) to picket; \
  grant execute on function pg_read_binary_file(text) to picket; \
  grant execute on function pg_read_binary_file(text, bigint, bigint, boolean) to picket; \
  create role client login; create table writes (n bigint primary key); grant insert, select on writes to client";

/// Two servers, of which the first one has data.
#[derive(Debug)]
pub struct Servers {
    dir: TempDir,
    bin: PathBuf,
    owner: (u32, u32),
    nodes: Vec<(String, IpAddr)>,
}

impl Servers {
    /// Makes them for machines in these places.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or something cannot be made.
    pub fn make<'p>(places: impl IntoIterator<Item = (&'p String, &'p Place)>) -> Result<Self, Failure> {
        let bin = newest()?;
        let passwd = fs::read_to_string("/etc/passwd")?;
        let line = passwd.lines().find(|line| line.starts_with("postgres:")).ok_or("no user postgres")?;
        let ids: Vec<u32> = line.split(':').filter_map(|field| field.parse().ok()).collect();
        let &[user, group, ..] = ids.as_slice() else { return Err("no ids of the user postgres".into()) };
        let dir = tempfile::Builder::new().prefix("picket-pg-").tempdir_in("/dev/shm")?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let mut nodes = Vec::new();
        for (name, place) in places {
            nodes.push((name.clone(), *place.networks.first().ok_or("a machine without a network")?));
        }
        let servers = Self { dir, bin, owner: (user, group), nodes };
        for (name, _) in &servers.nodes {
            servers.directory(&servers.home(name))?;
            servers.directory(&servers.data(name))?;
            servers.settings(name)?;
        }
        servers.first()?;
        Ok(servers)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.home(name).join("data")
    }

    fn directory(&self, path: &Path) -> Result<(), Failure> {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        Ok(chown(path, Some(self.owner.0), Some(self.owner.1))?)
    }

    fn settings(&self, name: &str) -> Result<(), Failure> {
        let home = self.home(name);
        let mut conf =
            String::from("listen_addresses = '*'\nshared_buffers = '16MB'\nmax_connections = 40\n");
        conf.push_str(&format!(
            "hba_file = '{0}/pg_hba.conf'\nident_file = '{0}/pg_ident.conf'\n",
            home.display()
        ));
        fs::write(home.join("postgresql.conf"), conf)?;
        let hba = "local all postgres peer map=picket\nhost all picket all scram-sha-256\n\
                   host replication picket all scram-sha-256\nhost all client all trust\n";
        fs::write(home.join("pg_hba.conf"), hba)?;
        fs::write(home.join("pg_ident.conf"), "picket root postgres\npicket postgres postgres\n")?;
        let passfile = home.join("passfile");
        fs::write(&passfile, format!("*:*:*:picket:{PASSWORD}\n"))?;
        fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600))?;
        Ok(chown(&passfile, Some(self.owner.0), Some(self.owner.1))?)
    }

    /// The server of the first node, started and stopped once by hand.
    fn first(&self) -> Result<(), Failure> {
        let (name, _) = self.nodes.first().ok_or("no machine")?;
        let (home, data) = (self.home(name).display().to_string(), self.data(name).display().to_string());
        self.run("initdb", &["-D", &data, "-U", "postgres", "--no-sync", "--no-instructions"])?;
        let options =
            format!("-c config_file={home}/postgresql.conf -c listen_addresses= -k {home} -p {PORT}");
        let log = format!("{home}/log");
        self.run("pg_ctl", &["start", "-w", "-s", "-D", &data, "-l", &log, "-o", &options])?;
        let role = format!("create role picket replication login password '{PASSWORD}'; {ROLE}");
        self.run("psql", &["-X", "-q", "-h", &home, "-U", "postgres", "-d", "postgres", "-c", &role])?;
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", "fast", "-D", &data])
    }

    fn run(&self, program: &str, words: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]);
        // What a server inherits it keeps open, so it gets nothing of ours.
        command.arg(self.bin.join(program)).args(words).current_dir("/");
        // Nor is anything read that it says there: a server that it starts would hold that open.
        let said = tempfile::tempfile()?;
        let ended = command.stdout(said.try_clone()?).stderr(said.try_clone()?).status()?;
        if ended.success() {
            return Ok(());
        }
        let (mut said, mut text) = (said, String::new());
        said.seek(SeekFrom::Start(0))?;
        said.read_to_string(&mut text)?;
        Err(format!("{program} {words:?}: {ended}: {text}").into())
    }

    /// The lines of each node's configuration.
    #[must_use]
    pub fn drivers(&self) -> Vec<String> {
        self.nodes.iter().map(|(name, _)| self.driver(name)).collect()
    }

    fn driver(&self, name: &str) -> String {
        let home = self.home(name).display().to_string();
        let replicas = self.nodes.iter().map(|(node, address)| {
            format!("[[volume.postgresql.replica]]\nnode = \"{node}\"\naddress = \"{address}:{PORT}\"\n")
        });
        format!(
            "driver = \"postgresql\"\ndemote_timeout = \"{DEMOTE}\"\n[volume.postgresql]\ndata_directory = \"{home}/data\"\n\
             bin_directory = \"{}\"\nconfig_file = \"{home}/postgresql.conf\"\nsocket_directory = \"{home}\"\n\
             port = {PORT}\nlog_file = \"{home}/log\"\nreplication_user = \"picket\"\npassfile = \"{home}/passfile\"\n{}",
            self.bin.display(),
            replicas.collect::<String>()
        )
    }

    /// Stops the process that every clean end of a server needs last.
    ///
    /// # Errors
    /// It is not found, or cannot be stopped.
    pub(super) fn hang(&self, name: &str) -> Result<(), Failure> {
        let data = self.data(name);
        for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
            let of = |what: &str| entry.path().join(what);
            let here = fs::read_link(of("cwd")).is_ok_and(|dir| dir == data);
            if here && fs::read(of("cmdline")).is_ok_and(|line| line.starts_with(CHECKPOINTER)) {
                let pid = entry.file_name().to_string_lossy().parse()?;
                let pid = Pid::from_raw(pid).ok_or("no process")?;
                return Ok(kill_process(pid, Signal::STOP)?);
            }
        }
        Err(format!("no checkpointer of the server of {name}").into())
    }

    /// Keeps the files, and says where they are.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }
}

fn newest() -> Result<PathBuf, Failure> {
    let missing = "PostgreSQL is not installed: apt-get install postgresql";
    let found = fs::read_dir("/usr/lib/postgresql").map_err(|_| missing)?;
    let bins = found.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("postgres").exists()).max().ok_or_else(|| missing.into())
}
