//! Looks that are old, looks that see nothing, and looks that lie.

use super::super::{Effect, Input, LOOK_AWAY, LOOK_DOUBTED, Note, Outcome, Standing, State, Verb};
use super::bench::{Bench, SECOND, diamond, failed, rules};
use crate::resource::plan::{OnFail, Plan};
use picket_core::node::{CommandId, Role};

#[test]
fn what_is_told_to_have_changed_is_looked_at_and_again_if_that_look_may_be_old() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Stir(2));
    assert_eq!(bench.doing(), ["db look"]);
    bench.input(Input::Stir(2));
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["db look"], "the change may have come after what was seen");
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), [""; 0]);
    bench.input(Input::Standing(Standing::Frozen));
    bench.input(Input::Stir(2));
    assert_eq!(bench.doing(), [""; 0]);
    bench.input(Input::Standing(Standing::Active));
    assert_eq!(bench.doing(), ["db look"]);
    bench.input(Input::Stir(99));
}

#[test]
fn what_nobody_can_say_anything_of_has_not_failed_and_is_not_out_of_service() {
    let unknown = || Outcome::Unknown("no bus".to_owned());
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Stir(2));
    bench.end("db", unknown());
    assert!(bench.has_told(Note::Unknown, "nobody knows whether db runs: no bus"));
    assert_eq!(bench.state("app"), State::Running, "nothing is done on what nobody knows");
    assert_eq!((bench.doing(), bench.effects()), (vec![], vec![]));
    let view = bench.tree.view();
    assert_eq!((view.lines[2].word(), view.lines[2].failures, view.lines[2].halt), ("UNKNOWN", 0, None));
    assert_eq!(view.unable.unwrap(), "nobody knows whether db runs there: no bus");
    bench.later(LOOK_DOUBTED);
    assert_eq!(bench.doing(), ["db look"]);
    bench.end("db", unknown());
    assert!(!bench.has_told(Note::Unknown, ""), "said once");
    assert_eq!(bench.tree.shown_role(), Role::Primary);
    bench.input(Input::Role(Role::Secondary));
    bench.end("app", Outcome::Done);
    assert_eq!(bench.tree.shown_role(), Role::Unknown, "as long as nobody knows");
    bench.input(Input::Role(Role::Primary));
    bench.later(LOOK_DOUBTED);
    bench.all(|tag, verb| {
        // It runs: the application, which was stopped meanwhile, comes back.
        assert!((tag, verb) != ("db", Verb::Start) && (tag, verb) != ("db", Verb::Stop));
        if verb == Verb::Monitor && tag == "app" { Outcome::NotRunning } else { Outcome::Done }
    });
    assert_eq!(bench.states(), [State::Running; 4]);
    assert_eq!((bench.tree.view().unable, bench.tree.view().lines[2].text.as_str()), (None, ""));
}

#[test]
fn what_nobody_can_say_anything_of_is_stopped_for_an_order_and_fails_it_if_that_fails() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Stir(3));
    bench.end("app", Outcome::Unknown("no bus".to_owned()));
    bench.leave(3);
    assert_eq!(bench.doing(), ["app stop"]);
    bench.end("app", failed("no bus"));
    let text = "app was not stopped: no bus".to_owned();
    assert_eq!(bench.effects(), [Effect::Refuse { command: CommandId(3), text }]);
}

/// A look that says "runs" is believed: of a start that failed, no look is asked, and of one that says it did not fail
/// nobody else can know better.
#[test]
fn an_agent_that_says_it_runs_when_its_start_failed_is_stopped_all_the_same() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.activate();
    bench.end("fs", failed("it did not come up"));
    assert_eq!(bench.doing(), ["fs stop"], "the start's word counts, and no look is asked");
    bench.end("fs", Outcome::Done);
    bench.later(LOOK_AWAY);
    // It says that it runs, held back as it is: it is stopped again, and nothing is started on it.
    let looks = bench.doing();
    assert_eq!(looks, [""; 0]);
    assert_eq!(bench.states(), [State::Stopped; 4]);
    bench.leave(1);
    assert_eq!(bench.effects().last(), Some(&Effect::Release(CommandId(1))));
}

/// One that runs and says that it does not is started again, which an agent must take for done; when that does not help
/// it is stopped, whatever it says, and the volume moves.
#[test]
fn an_agent_that_says_it_does_not_run_is_started_again_and_stopped_before_the_volume_moves() {
    let mut bench = Bench::running(Plan::new(vec![rules("fs", &[], OnFail::Restart)]));
    for _ in 0..2 {
        bench.later(10 * SECOND);
        bench.end("fs", Outcome::NotRunning);
        assert_eq!(bench.doing(), ["fs start"], "for a start its word is enough");
        bench.end("fs", Outcome::Done);
    }
    bench.later(10 * SECOND);
    bench.end("fs", Outcome::NotRunning);
    assert_eq!(bench.doing(), ["fs stop"], "for a move it is not");
    assert_eq!(bench.effects(), [Effect::Move { text: "fs cannot run here: it does not run".to_owned() }]);
    bench.leave(1);
    assert_eq!(bench.effects(), [], "the stop is waited for");
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.effects(), [Effect::Release(CommandId(1))]);
}

#[test]
fn what_only_a_look_called_stopped_is_stopped_before_the_volume_leaves_and_a_failure_counts() {
    let lied = || {
        let mut bench = Bench::running(diamond(OnFail::Block));
        bench.later(10 * SECOND);
        for tag in ["fs", "ip", "db", "app"] {
            let outcome = if tag == "db" { Outcome::NotRunning } else { Outcome::Done };
            bench.end(tag, outcome);
        }
        assert_eq!((bench.state("db"), bench.doing()), (State::Stopped, vec![]), "blocked, it is left alone");
        bench.leave(4);
        assert_eq!(bench.doing(), ["app stop"]);
        bench.end("app", Outcome::Done);
        assert_eq!(bench.doing(), ["ip stop", "db stop"], "side by side");
        bench.end("ip", Outcome::Done);
        assert_eq!((bench.doing(), bench.effects()), (vec!["db stop".to_owned()], vec![]));
        bench
    };
    let mut bench = lied();
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["fs stop"]);
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.effects(), [Effect::Release(CommandId(4))]);
    let mut bench = lied();
    bench.end("db", failed("it runs"));
    let text = "db was not stopped: it runs".to_owned();
    assert_eq!(bench.effects(), [Effect::Refuse { command: CommandId(4), text }]);
    assert_eq!(bench.doing(), [""; 0]);
}

#[test]
fn what_was_never_started_or_was_stopped_is_not_stopped_again() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.activate();
    bench.end("fs", Outcome::Done);
    bench.end("ip", Outcome::Unfit("not installed".to_owned()));
    bench.end("ip", Outcome::Unfit("not installed".to_owned()));
    bench.end("db", failed("no"));
    bench.end("db", Outcome::Done);
    bench.leave(1);
    assert_eq!(bench.doing(), ["fs stop"], "one cannot run here, one was stopped, one never began");
}

#[test]
fn a_look_is_not_believed_when_the_replica_is_inactive_all_of_a_sudden() {
    let mut bench = Bench::running(diamond(OnFail::Block));
    bench.input(Input::Stir(3));
    bench.end("app", Outcome::NotRunning);
    bench.input(Input::Role(Role::Secondary));
    assert_eq!((bench.doing(), bench.tree.shown_role()), (vec!["app stop".to_owned()], Role::Unknown));
    bench.well();
    assert_eq!(bench.tree.shown_role(), Role::Secondary);
    bench.later(LOOK_AWAY);
    bench.all(|_, verb| if verb == Verb::Monitor { Outcome::NotRunning } else { failed("no stop is due") });
    assert_eq!(bench.states(), [State::Stopped; 4]);
}

#[test]
fn that_a_stop_is_owed_outlasts_the_daemon_from_before_the_start_on() {
    let plan = || Plan::new(vec![rules("fs", &[], OnFail::Restart)]);
    let mut bench = Bench::new(plan());
    bench.activate();
    let kept = bench.tree.kept();
    assert!(bench.told.contains(&Effect::Keep) && kept["fs"].owes_stop, "its start is under way");
    let mut next = Bench::with(plan(), &kept);
    next.end("fs", Outcome::NotRunning);
    next.leave(1);
    assert_eq!(next.doing(), ["fs stop"]);
    next.end("fs", Outcome::Done);
    assert_eq!(next.effects(), [Effect::Release(CommandId(1))]);
    assert!(next.tree.kept().is_empty());
    bench.end("fs", Outcome::Unfit("not installed".to_owned()));
    assert!(!bench.tree.kept()["fs"].owes_stop, "nothing was started");
}
