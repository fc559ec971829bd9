//! The demo's end of a machine: starts its supervisor, steers it, ends it.

use super::control::{Command, Status};
use super::error::MachineError;
use super::spec::MachineSpec;
use super::supervisor::READY;
use picket_fence::power::BootId;
use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout};

/// How many lines a supervisor may write before the one that says that it is ready.
const LINES_BEFORE_READY_MAX: usize = 64;

/// The longest answer on the control socket, in bytes: a status with some hundred programs.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// How to start a program that then calls [`supervisor_main`](super::supervisor_main).
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to its environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Launcher {
    /// This very program with these arguments.
    ///
    /// # Errors
    /// The system does not tell where this program is.
    pub fn this_program(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, MachineError> {
        let program = env::current_exe().map_err(MachineError::system("find this program"))?;
        Ok(Self { program, args: args.into_iter().map(Into::into).collect(), env: Vec::new() })
    }
}

/// A machine whose supervisor runs. Dropping it powers the machine off and ends the supervisor;
/// [`Machine::end`] also waits for that.
#[derive(Debug)]
pub struct Machine {
    spec: MachineSpec,
    supervisor: Child,
    /// Closed when this is dropped or this process dies; then the machine goes.
    life: ChildStdin,
    /// Kept open so that the supervisor can always write.
    _output: BufReader<ChildStdout>,
}

impl Machine {
    /// Starts the supervisor; returns when its sockets are there and, if the machine is `powered`,
    /// its programs are started. It gets a process group of its own, so that an interrupt typed at
    /// the terminal reaches it only through us.
    ///
    /// # Errors
    /// The description is wrong, or the supervisor could not do it.
    pub async fn start(launcher: &Launcher, spec: MachineSpec) -> Result<Self, MachineError> {
        spec.check()?;
        let dir = spec.log_dir();
        fs::create_dir_all(&dir).map_err(MachineError::file("create", &dir))?;
        let path = spec.log_file("supervisor");
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(MachineError::file("open", &path))?;
        let mut command = tokio::process::Command::new(&launcher.program);
        command.args(&launcher.args).envs(launcher.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut supervisor = command.spawn().map_err(MachineError::file("start", &launcher.program))?;
        let not_ready =
            |why: &str| MachineError::NotReady { machine: spec.name.clone(), why: why.to_owned() };
        let (Some(mut life), Some(output)) = (supervisor.stdin.take(), supervisor.stdout.take()) else {
            return Err(not_ready("it has no pipes"));
        };
        let text = serde_json::to_string(&spec).map_err(|error| MachineError::Spec(error.to_string()))?;
        let sent = life.write_all(format!("{text}\n").as_bytes()).await;
        sent.map_err(|error| not_ready(&error.to_string()))?;
        let mut output = BufReader::new(output);
        let mut seen = String::new();
        for _ in 0..LINES_BEFORE_READY_MAX {
            let from = seen.len();
            let read = output.read_line(&mut seen).await.map_err(|error| not_ready(&error.to_string()))?;
            if seen[from..].contains(READY) {
                return Ok(Self { spec, supervisor, life, _output: output });
            }
            if read == 0 {
                break;
            }
        }
        Err(not_ready(&format!("it said: {}", seen.trim())))
    }

    /// What it is made of, and where its files are.
    #[must_use]
    pub const fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The supervisor's process.
    #[must_use]
    pub fn supervisor_pid(&self) -> Option<u32> {
        self.supervisor.id()
    }

    /// The current, or if it is off the last, boot id.
    ///
    /// # Errors
    /// It was never powered on, or the file cannot be read.
    pub fn boot_id(&self) -> Result<BootId, MachineError> {
        let path = self.spec.boot_id_file();
        let text = fs::read_to_string(&path).map_err(MachineError::file("read", &path))?;
        text.trim().parse().map_err(|_| MachineError::Spec(format!("{} holds no boot id", path.display())))
    }

    /// Says a control command and returns what comes after `ok`.
    ///
    /// # Errors
    /// The supervisor cannot be reached or refuses.
    pub async fn control(&self, command: &Command) -> Result<String, MachineError> {
        control(&self.spec.control_socket(), &self.spec.name, command).await
    }

    async fn say(&self, command: Command) -> Result<(), MachineError> {
        self.control(&command).await.map(|_| ())
    }

    /// How it is.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub async fn status(&self) -> Result<Status, MachineError> {
        self.look(&Command::Status).await
    }

    async fn look(&self, command: &Command) -> Result<Status, MachineError> {
        let text = self.control(command).await?;
        serde_json::from_str(&text).map_err(|error| MachineError::Spec(error.to_string()))
    }

    /// Waits until its status is as wanted, without asking again and again. For ever, if need be:
    /// callers put their own limit around it.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub async fn until(&self, wanted: impl Fn(&Status) -> bool) -> Result<Status, MachineError> {
        let mut status = self.status().await?;
        while !wanted(&status) {
            status = self.look(&Command::Change(status.change)).await?;
        }
        Ok(status)
    }

    /// Powers it on.
    ///
    /// # Errors
    /// The supervisor cannot be reached or could not do it.
    pub async fn power_on(&self) -> Result<(), MachineError> {
        self.say(Command::On).await
    }

    /// Cuts its power; returns when every process of it is gone.
    ///
    /// # Errors
    /// The supervisor cannot be reached or could not do it.
    pub async fn power_off(&self) -> Result<(), MachineError> {
        self.say(Command::Off).await
    }

    /// Off, then on.
    ///
    /// # Errors
    /// The supervisor cannot be reached or could not do it.
    pub async fn reboot(&self) -> Result<(), MachineError> {
        self.say(Command::Reboot).await
    }

    /// Stops a program's process as SIGSTOP does.
    ///
    /// # Errors
    /// No such program, or it does not run.
    pub async fn freeze(&self, program: &str) -> Result<(), MachineError> {
        self.say(Command::Freeze(program.to_owned())).await
    }

    /// Lets a frozen program go on.
    ///
    /// # Errors
    /// No such program, or it does not run.
    pub async fn thaw(&self, program: &str) -> Result<(), MachineError> {
        self.say(Command::Thaw(program.to_owned())).await
    }

    /// Kills a program's process; its restart policy holds.
    ///
    /// # Errors
    /// No such program, or it does not run.
    pub async fn kill(&self, program: &str) -> Result<(), MachineError> {
        self.say(Command::Kill(program.to_owned())).await
    }

    /// Kills a program's process for good.
    ///
    /// # Errors
    /// No such program, or the machine is off.
    pub async fn stop(&self, program: &str) -> Result<(), MachineError> {
        self.say(Command::Stop(program.to_owned())).await
    }

    /// Starts a program.
    ///
    /// # Errors
    /// No such program, it cannot be started, or the machine is off.
    pub async fn start_program(&self, program: &str) -> Result<(), MachineError> {
        self.say(Command::Start(program.to_owned())).await
    }

    /// Pauses the whole machine with its watchdog, as a VM is.
    ///
    /// # Errors
    /// The machine is off.
    pub async fn pause(&self) -> Result<(), MachineError> {
        self.say(Command::Pause).await
    }

    /// Lets a paused machine go on.
    ///
    /// # Errors
    /// The machine is not paused.
    pub async fn resume(&self) -> Result<(), MachineError> {
        self.say(Command::Resume).await
    }

    /// Makes its power switch fall silent, or answer again.
    ///
    /// # Errors
    /// The supervisor cannot be reached.
    pub async fn switch_answers(&self, answers: bool) -> Result<(), MachineError> {
        self.say(Command::Switch { answers }).await
    }

    /// Powers the machine off and ends its supervisor.
    ///
    /// # Errors
    /// The supervisor's end cannot be waited for.
    pub async fn end(self) -> Result<ExitStatus, MachineError> {
        let Self { spec: _, mut supervisor, life, _output } = self;
        drop(life);
        supervisor.wait().await.map_err(MachineError::system("wait for the supervisor"))
    }
}

/// Says a control command to the machine `name` whose control socket is `path`; returns what comes after `ok`.
///
/// # Errors
/// The supervisor cannot be reached or refuses.
pub async fn control(path: &Path, name: &str, command: &Command) -> Result<String, MachineError> {
    let failed = |error| MachineError::file("talk to", path)(error);
    let mut stream = UnixStream::connect(path).await.map_err(failed)?;
    stream.write_all(format!("{command}\n").as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
    reader.read_line(&mut answer).await.map_err(failed)?;
    let answer = answer.trim_end();
    match answer.split_once(' ').unwrap_or((answer, "")) {
        ("ok", rest) => Ok(rest.to_owned()),
        (_, rest) => Err(MachineError::Refused {
            machine: name.to_owned(),
            command: command.to_string(),
            why: if rest.is_empty() { "no answer".to_owned() } else { rest.to_owned() },
        }),
    }
}
