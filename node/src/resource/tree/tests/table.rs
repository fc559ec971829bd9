//! The whole table: every state with every end of an action, and every state with every mandate.

use super::super::{Input, Outcome, Resource, Standing, State, Verb, Work};
use super::bench::{Bench, failed, rules};
use crate::resource::plan::{OnFail, Plan};
use picket_core::node::Role;
use picket_core::time::Instant;

const STATES: [State; 5] = [State::Unread, State::Stopped, State::Running, State::Broken, State::Stuck];

/// One resource in this state, with a standing that decided nothing yet.
fn one(state: State) -> Bench {
    let mut bench = Bench::new(Plan::new(vec![rules("r", &[], OnFail::Restart)]));
    bench.end("r", Outcome::NotRunning);
    // What nobody has looked at is due; what was, is not.
    let look_at = if state == State::Unread { Instant::BOOT } else { Instant::NEVER };
    bench.tree.resources[0] = Resource {
        state,
        work: None,
        halt: None,
        failures: 0,
        failed_at: None,
        text: String::new(),
        look_at,
        stirred: false,
        doubted: false,
        owes_stop: matches!(state, State::Running | State::Broken | State::Stuck),
    };
    bench.told.clear();
    bench
}

fn row(bench: &Bench) -> String {
    let resource = &bench.tree.resources[0];
    let halt = resource.halt.map(|halt| format!(" {halt:?}")).unwrap_or_default();
    format!("{:?}{halt} {}", resource.state, bench.doing().join(",")).trim_end().to_owned()
}

/// What follows from an end, before anything else is begun: the volume is frozen.
const ENDS: &str = "
Unread  Monitor: Running | Stopped | Broken | Stopped | Unread
Unread  Start:   Running | Broken Exhausted | Broken Exhausted | Unread Unfit | Broken Exhausted
Unread  Stop:    Stopped | Stopped | Stuck | Stuck | Stuck
Stopped Monitor: Running | Stopped | Broken | Stopped | Unread
Stopped Start:   Running | Broken Exhausted | Broken Exhausted | Unread Unfit | Broken Exhausted
Stopped Stop:    Stopped | Stopped | Stuck | Stuck | Stuck
Running Monitor: Running | Stopped | Broken | Broken | Unread
Running Start:   Running | Broken Exhausted | Broken Exhausted | Unread Unfit | Broken Exhausted
Running Stop:    Stopped | Stopped | Stuck | Stuck | Stuck
Broken  Monitor: Running | Stopped | Broken | Stopped | Broken
Broken  Start:   Running | Broken Exhausted | Broken Exhausted | Unread Unfit | Broken Exhausted
Broken  Stop:    Stopped | Stopped | Stuck | Stuck | Stuck
Stuck   Monitor: Stuck | Stuck | Stuck | Stuck | Stuck
Stuck   Start:   Running | Broken Exhausted | Broken Exhausted | Unread Unfit | Broken Exhausted
Stuck   Stop:    Stopped | Stopped | Stuck | Stuck | Stuck
";

#[test]
fn every_end_in_every_state() {
    let mut table = String::from("\n");
    for state in STATES {
        for verb in [Verb::Monitor, Verb::Start, Verb::Stop] {
            let ends = [
                Outcome::Done,
                Outcome::NotRunning,
                failed("no"),
                Outcome::Unfit("not here".to_owned()),
                Outcome::Unknown("nobody answers".to_owned()),
            ];
            let cell = |outcome: Outcome| {
                let mut bench = one(state);
                bench.input(Input::Standing(Standing::Frozen));
                let action = super::super::ActionId(77);
                bench.tree.resources[0].work = Some(Work { action, verb, cancelled: false });
                bench.open.insert(action, (0, verb));
                bench.end("r", outcome);
                row(&bench)
            };
            let cells: Vec<String> = ends.into_iter().map(cell).collect();
            table.push_str(&format!(
                "{:<7} {:<8} {}\n",
                format!("{state:?}"),
                format!("{verb:?}:"),
                cells.join(" | ")
            ));
        }
    }
    assert_eq!(table, ENDS, "{table}");
}

/// What is begun in each state: in service, away, ordered to leave, frozen, not decided, and in service under a
/// replica that is not active. "Looked" is stopped by the word of a look alone.
const BEGINS: &str = "
Unread:  r look | r look | r stop | - | r look | r look
Stopped: r start | - | - | - | - | -
Looked:  r start | r stop | r stop | - | - | r stop
Running: - | r stop | r stop | - | - | r stop
Broken:  r stop | r stop | r stop | - | - | r stop
Stuck:   - | - | - | - | - | -
";

#[test]
fn every_standing_in_every_state() {
    let mut table = String::from("\n");
    let [unread, stopped, running, broken, stuck] = STATES.map(|state| (format!("{state:?}"), state, false));
    let looked = ("Looked".to_owned(), State::Stopped, true);
    for (name, state, looked) in [unread, stopped, looked, running, broken, stuck] {
        let cell = |inputs: &[Input]| {
            let mut bench = one(state);
            bench.tree.resources[0].owes_stop |= looked;
            // Whatever was begun on the way is forgotten.
            for input in inputs {
                bench.tree.resources[0].work = None;
                bench.tree.resources[0].state = state;
                bench.open.clear();
                bench.input(input.clone());
            }
            let doing = bench.doing().join(",");
            if doing.is_empty() { "-".to_owned() } else { doing }
        };
        let cells = [
            cell(&[Input::Role(Role::Primary), Input::Standing(Standing::Active)]),
            cell(&[Input::Role(Role::Secondary), Input::Standing(Standing::Away)]),
            cell(&[Input::Role(Role::Primary), Input::Leave(picket_core::node::CommandId(1))]),
            cell(&[Input::Role(Role::Primary), Input::Standing(Standing::Frozen)]),
            cell(&[Input::Role(Role::Primary), Input::Standing(Standing::Unread)]),
            cell(&[Input::Role(Role::Secondary), Input::Standing(Standing::Active)]),
        ];
        table.push_str(&format!("{:<8} {}\n", format!("{name}:"), cells.join(" | ")));
    }
    assert_eq!(table, BEGINS, "{table}");
}
