//! Programs of the user. `start` and `stop` exit with 0 when it is done, also when it was so before; `status` exits
//! with 0 when the resource is in service and with 3 when it is not. Everything else is a failure.

use super::super::tree::{Outcome, Verb};
use super::program::{Run, run as run_program, with};
use crate::config::Service;
use core::time::Duration;
use picket_host::process::{Finished, Program};

/// The exit status of `status` for a resource that is not in service, as init scripts have it.
const NOT_RUNNING: i32 = 3;

pub(in crate::resource) async fn run(
    service: &Service,
    verb: Verb,
    program: impl Fn(&str, &str) -> Program,
    deadline: Duration,
    given_up: impl Future<Output = ()>,
) -> Outcome {
    let word = word(verb);
    let argv = match verb {
        Verb::Monitor => &service.status,
        Verb::Start => &service.start,
        Verb::Stop => &service.stop,
    };
    let Some((path, arguments)) = argv.split_first() else { return Outcome::Unfit(format!("no {word}")) };
    let program = program(path, word).args(arguments);
    let (run, _) = run_program(program, (verb == Verb::Start, &[]), deadline, given_up).await;
    outcome(verb, run)
}

/// What it means for the resource that its program ended so.
#[must_use]
pub fn judge(verb: Verb, finished: &Finished) -> Outcome {
    outcome(verb, Run::of(finished, &[]))
}

fn outcome(verb: Verb, run: Run) -> Outcome {
    let word = word(verb);
    match (run, verb) {
        (Run::Exited(0, _), _) => Outcome::Done,
        (Run::Exited(NOT_RUNNING, _), Verb::Monitor) => Outcome::NotRunning,
        (Run::Exited(code, said), _) => Outcome::Failed(with(format!("{word} exited with {code}"), &said)),
        (Run::NotStarted(why), _) => Outcome::Unfit(format!("{word}: {why}")),
        (Run::Unknown(how), _) => Outcome::Failed(format!("{word} {how}")),
    }
}

const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Monitor => "status",
        Verb::Start => "start",
        Verb::Stop => "stop",
    }
}
