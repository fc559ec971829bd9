//! `stonith-helper`: a gate against mutual kill, with the parameters of the plugin of that name.
//!
//! It stands first in the topology. It looks whether anything of the target still answers, lets the
//! active node shoot first by making a standby wait, and then lets the fence go on:
//!
//! ```text
//!   dead check      no target address answers ─────────────▶ ABSENT: no wait
//!      │ one answers, or it cannot be told
//!      ▼
//!   online check    Pacemaker: the target is a member ─────▶ no wait: there is no split
//!      │            Picket: heard here and by the witness,
//!      │            holding something, not failed ─────────▶ ABORT
//!      ▼
//!   standby wait    standby_check_command fails ───────────▶ DELAY of standby_wait_time
//!      ▼
//!   quorum check    wait, then say whether there is quorum
//! ```
//! Two holes of the original are closed: silence is no proof of death, and no quorum is no success.
//! What it finds decides about waiting only; see [`crate::gate`] for what its caller is told.
//!
//! Under Picket's daemon the witness's permit decides who may shoot, so the wait is 0 unless it is
//! configured. What cannot be asked (no `ping`, no `crm_node`, a status that makes no sense) is
//! unknown, and unknown leads to the wait, never past it.

mod asked;
mod ping;

use crate::caller::Caller;
use crate::gate::{Finding, Gate};
use crate::input::{InputError, Options};
use crate::options::{Kind, OptionSpec};
use crate::registry::DeviceKind;
use crate::report::{Reporter, Severity};
use asked::Answer;
use core::time::Duration;
use picket_host::clock;

#[cfg(test)]
mod tests;

/// The `stonith-helper` gate.
pub const KIND: DeviceKind = DeviceKind {
    name: "stonith_helper",
    shortdesc: "Gate before the fence devices: gives the active node a head start",
    longdesc: "Stands before the devices that switch power, so that two nodes that lost each other do not shoot at \
the same time. It looks whether the target answers, makes a standby wait, and lets the fence go on to the next \
level. It fences nothing and proves nothing: a topology needs another level.\n\n\
Under Pacemaker this level always fails, after its wait, and Pacemaker goes on to the next one; stopping a fence \
is not possible there. Set pcmk_off_timeout and pcmk_reboot_timeout above all waits together, and pcmk_off_retries=1 and \
pcmk_reboot_retries=1: Pacemaker asks a device that failed a second time, and the second wait helps nobody.\n\n\
Under Picket's daemon (kind = \"gate\") the permit of the witness decides who may fence, so standby_wait_time is 0 \
unless it is given, and a target that is heard again as a healthy holder stops the fence.",
    options: &[
        OptionSpec::text("hostlist", "Machines that it stands before, separated by blanks or commas")
            .required(),
        OptionSpec::text(
            "dead_check_target",
            "Addresses of the target, each as address or address%interface",
        ),
        OptionSpec::text("dead_check_trialcount", "How often each address is asked")
            .kind(Kind::Integer)
            .default("5"),
        OptionSpec::text(
            "standby_check_command",
            "Shell command that ends with 0 where the service is active",
        ),
        OptionSpec::text("standby_wait_time", "Wait of a standby (default 25; under Picket's daemon 0)")
            .kind(Kind::Seconds),
        OptionSpec::text("run_dead_check", "Whether dead_check_target is asked").default("yes"),
        OptionSpec::text("run_standby_wait", "Whether a standby waits").default("yes"),
        OptionSpec::text("run_quorum_check", "Whether quorum is asked for after the waits").default("no"),
        OptionSpec::text("quorum_check_wait_time", "Wait before quorum is asked for")
            .kind(Kind::Seconds)
            .default("10"),
        OptionSpec::text("run_online_check", "Whether it is asked if the target is online").default("yes"),
        OptionSpec::text("online_check_retry_max", "How often that is asked again")
            .kind(Kind::Integer)
            .default("5"),
        OptionSpec::text("status_command", "Shell command for the state of Picket's daemon")
            .default("picket status -1 --json"),
        OptionSpec::text("crm_node_path", "The crm_node program").default("crm_node"),
        OptionSpec::text("ping_path", "The ping program").default("ping"),
    ],
    powers_on: false,
    reads_state: false,
    gate: Some(open),
    external_names: &["stonith-helper"],
    ..DeviceKind::BASE
};

/// The original's default of `standby_wait_time`.
const STANDBY_WAIT: Duration = Duration::from_secs(25);

/// The most that is asked of each address, and asked again about membership: beyond a minute of
/// asking the answer is no help any more.
const TRIES_MAX: u32 = 60;

struct Helper {
    hosts: Vec<String>,
    caller: Caller,
    /// `None`: no dead check.
    addresses: Option<Vec<ping::Address>>,
    trials: u32,
    ping: String,
    /// `None`: no standby wait.
    standby_check: Option<String>,
    standby_wait: Duration,
    /// `None`: no quorum check.
    quorum_wait: Option<Duration>,
    online_check: bool,
    online_retries: u32,
    sources: asked::Sources,
}

/// As the original: whatever does not begin like "no" is a yes.
fn runs(options: &Options, name: &str) -> bool {
    let value = options.get(name).unwrap_or_default().to_ascii_lowercase();
    !(value.starts_with('n') || value == "0" || value == "false" || value == "off")
}

fn words(list: &str) -> Vec<String> {
    list.split([',', ' ', '\t', ';']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn open(options: &Options, caller: Caller) -> Result<Box<dyn Gate>, InputError> {
    let missing =
        |what: &str, when: &str| InputError::Unusable(format!("{what} is required unless {when}=no"));
    let addresses = if runs(options, "run_dead_check") {
        let all = words(options.get("dead_check_target").unwrap_or_default());
        if all.is_empty() {
            return Err(missing("dead_check_target", "run_dead_check"));
        }
        Some(all.iter().map(|address| ping::Address::parse(address)).collect::<Result<_, _>>()?)
    } else {
        None
    };
    let standby_wait = match options.get("standby_wait_time") {
        Some(_) => options.seconds("standby_wait_time")?,
        None if caller == Caller::PicketGate => Duration::ZERO,
        None => STANDBY_WAIT,
    };
    let standby_check = if runs(options, "run_standby_wait") && !standby_wait.is_zero() {
        let command = options.get("standby_check_command");
        Some(command.ok_or_else(|| missing("standby_check_command", "run_standby_wait"))?.to_owned())
    } else {
        None
    };
    let quorum_wait = options.seconds("quorum_check_wait_time")?;
    Ok(Box::new(Helper {
        hosts: words(options.need("hostlist")?),
        caller,
        addresses,
        trials: options.integer("dead_check_trialcount", TRIES_MAX)?.max(1),
        ping: options.need("ping_path")?.to_owned(),
        standby_check,
        standby_wait,
        quorum_wait: runs(options, "run_quorum_check").then_some(quorum_wait),
        online_check: runs(options, "run_online_check"),
        online_retries: options.integer("online_check_retry_max", TRIES_MAX)?,
        sources: asked::Sources {
            status_command: options.need("status_command")?.to_owned(),
            crm_node: options.need("crm_node_path")?.to_owned(),
        },
    }))
}

impl Helper {
    fn is_silent(&self, report: &Reporter) -> bool {
        let Some(addresses) = &self.addresses else { return false };
        let heard = ping::ask(&self.ping, addresses, self.trials);
        for (address, answer) in addresses.iter().zip(&heard) {
            report.say(Severity::Info, &format!("dead check: {address}: {answer}"));
        }
        heard.iter().all(|answer| *answer == ping::Heard::Silence)
    }

    /// Whether the target is seen as a member; asked again while nobody knows.
    fn is_online(&self, target: &str, report: &Reporter) -> bool {
        for attempt in 0..=self.online_retries {
            if attempt > 0 {
                clock::pause(Duration::from_secs(1), "the membership may be known in a moment");
            }
            match self.sources.is_member(target) {
                Answer::Yes => return true,
                Answer::No => return false,
                Answer::Unknown(why) => {
                    report.say(Severity::Warning, &format!("online check of {target}: not known: {why}"));
                }
            }
        }
        false
    }

    fn standby_delay(&self, target: &str, report: &Reporter) -> (Duration, String) {
        let Some(command) = &self.standby_check else {
            return (Duration::ZERO, "no standby wait is configured".to_owned());
        };
        if asked::is_active(command) {
            return (Duration::ZERO, "the service is active here".to_owned());
        }
        if self.caller != Caller::PicketGate && self.online_check && self.is_online(target, report) {
            return (Duration::ZERO, format!("standby here, but {target} is still a member"));
        }
        (self.standby_wait, "standby here".to_owned())
    }
}

impl Gate for Helper {
    fn look(&mut self, target: &str, report: &Reporter) -> Finding {
        if self.is_silent(report) {
            return Finding::Absent("none of its addresses answers".to_owned());
        }
        if self.caller == Caller::PicketGate && self.online_check {
            match self.sources.is_healthy_holder(target) {
                Answer::Yes => {
                    return Finding::Abort(
                        "it is heard here and by the witness, and holds a volume".to_owned(),
                    );
                }
                Answer::No => {}
                Answer::Unknown(why) => {
                    report.say(Severity::Warning, &format!("online check of {target}: not known: {why}"));
                }
            }
        }
        let (wait, why) = self.standby_delay(target, report);
        Finding::Delay(wait + self.quorum_wait.unwrap_or_default(), why)
    }

    fn after_wait(&mut self, report: &Reporter) {
        if self.quorum_wait.is_none() {
            return;
        }
        let quorum = if self.caller == Caller::PicketGate {
            self.sources.picket_quorum()
        } else {
            self.sources.crm_quorum()
        };
        let (severity, words) = match quorum {
            Answer::Yes => (Severity::Info, "this node has quorum".to_owned()),
            Answer::No => (Severity::Warning, "this node has no quorum; that is no success".to_owned()),
            Answer::Unknown(why) => (Severity::Warning, format!("quorum is not known: {why}")),
        };
        report.say(severity, &format!("quorum check: {words}"));
    }

    fn hosts(&self) -> &[String] {
        &self.hosts
    }

    fn monitor(&mut self) -> Result<(), String> {
        let Some(addresses) = &self.addresses else { return Ok(()) };
        // Whether it answers does not matter here, only whether it can be asked.
        match ping::ask(&self.ping, addresses, 1).into_iter().find_map(ping::Heard::trouble) {
            Some(why) => Err(format!("dead check: {why}")),
            None => Ok(()),
        }
    }
}
