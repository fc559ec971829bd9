use super::super::{
    ACTIONS_MAX, Effect, Halt, Input, LOOK_AWAY, MOVE_AGAIN, Note, Outcome, Policy, Request, Standing, State,
    Verb,
};
use super::bench::{Bench, SECOND, diamond, failed, rules};
use crate::resource::plan::{OnFail, Plan};
use picket_core::node::{CommandId, Role};

#[test]
fn a_tree_starts_bottom_up_and_stops_top_down() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    assert_eq!(bench.doing(), ["fs look", "ip look", "db look", "app look"]);
    bench.activate();
    assert_eq!(bench.doing(), ["fs start"]);
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.doing(), ["ip start", "db start"]);
    bench.end("ip", Outcome::Done);
    assert_eq!(bench.doing(), ["db start"], "the application needs both");
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["app start"]);
    bench.end("app", Outcome::Done);
    assert_eq!(bench.states(), [State::Running; 4]);
    assert_eq!(bench.effects(), []);

    bench.leave(7);
    assert_eq!(bench.doing(), ["app stop"]);
    bench.end("app", Outcome::Done);
    assert_eq!(bench.doing(), ["ip stop", "db stop"]);
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["ip stop"]);
    bench.end("ip", Outcome::NotRunning);
    assert_eq!((bench.doing(), bench.effects()), (vec!["fs stop".to_owned()], vec![]));
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.effects(), [Effect::Release(CommandId(7))]);
    bench.input(Input::Role(Role::Secondary));
    bench.input(Input::Standing(Standing::Away));
    assert_eq!((bench.tree.shown_role(), bench.doing()), (Role::Secondary, vec![]));
}

#[test]
fn a_stop_that_fails_is_the_volumes_stop_failure() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.leave(3);
    bench.end("app", Outcome::Done);
    bench.end("db", failed("timed out after 3.0s"));
    let text = "db was not stopped: timed out after 3.0s".to_owned();
    assert_eq!(bench.effects(), [Effect::Refuse { command: CommandId(3), text }]);
    bench.end("ip", Outcome::Done);
    assert_eq!(bench.doing(), [""; 0], "what the stuck one stands on is left alone");
    assert_eq!(bench.effects(), []);
}

#[test]
fn what_could_not_be_stopped_without_an_order_is_shown_as_primary_and_refuses_the_order() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Secondary));
    bench.input(Input::Standing(Standing::Away));
    assert_eq!(bench.tree.shown_role(), Role::Unknown, "nobody has looked yet");
    bench.all(|tag, verb| match (tag, verb) {
        ("fs", Verb::Monitor) => Outcome::Done,
        ("fs", _) => failed("busy"),
        _ => Outcome::NotRunning,
    });
    assert!(bench.has_told(Note::Found, "fs was found running"));
    assert_eq!(bench.tree.shown_role(), Role::Primary);
    bench.effects();
    bench.leave(9);
    let text = "fs was not stopped: busy".to_owned();
    assert_eq!(bench.effects(), [Effect::Refuse { command: CommandId(9), text }]);
}

#[test]
fn what_is_found_running_away_from_the_volume_is_stopped_before_the_replica_counts_as_inactive() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Secondary));
    bench.input(Input::Standing(Standing::Unread));
    bench.end("fs", Outcome::Done);
    bench.end("ip", Outcome::NotRunning);
    bench.end("db", Outcome::Done);
    bench.end("app", Outcome::NotRunning);
    assert_eq!(bench.doing(), ["db stop"]);
    assert_eq!(bench.tree.shown_role(), Role::Unknown);
    bench.end("db", Outcome::Done);
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.tree.shown_role(), Role::Secondary);
    // Later somebody starts it by hand.
    bench.input(Input::Standing(Standing::Away));
    bench.later(LOOK_AWAY);
    assert_eq!(bench.doing(), ["fs look", "ip look", "db look", "app look"]);
    assert_eq!(bench.tree.shown_role(), Role::Secondary, "a look changes nothing");
    bench.end("ip", Outcome::Done);
    assert_eq!((bench.tree.shown_role(), bench.doing()[1].as_str()), (Role::Unknown, "ip stop"));
}

#[test]
fn what_runs_already_is_adopted() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Primary));
    bench.well();
    assert_eq!((bench.states(), bench.doing()), (vec![State::Running; 4], vec![]));
    bench.input(Input::Standing(Standing::Active));
    assert_eq!((bench.doing(), bench.effects()), (vec![], vec![]));
}

#[test]
fn a_hole_in_what_runs_is_mended_from_the_hole_upwards() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Primary));
    bench.all(|tag, _| if tag == "db" { Outcome::NotRunning } else { Outcome::Done });
    bench.input(Input::Standing(Standing::Active));
    assert_eq!(bench.doing(), ["app stop"], "what stands on it comes down first");
    bench.end("app", Outcome::Done);
    assert_eq!(bench.doing(), ["db start"]);
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["app start"]);
    bench.end("app", Outcome::Done);
    assert_eq!(bench.states(), [State::Running; 4]);
}

#[test]
fn nothing_is_begun_while_the_volume_is_frozen_and_looks_are_given_up() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.later(10 * SECOND);
    assert_eq!(bench.doing().len(), 4);
    bench.input(Input::Standing(Standing::Frozen));
    assert_eq!(bench.cancelled.len(), 4);
    bench.all(|_, _| failed("timed out"));
    assert_eq!(
        (bench.states(), bench.doing()),
        (vec![State::Running; 4], vec![]),
        "a look that was given up saw nothing"
    );
    bench.later(60 * SECOND);
    assert_eq!(bench.doing(), [""; 0]);
    bench.input(Input::Standing(Standing::Active));
    assert_eq!(bench.doing().len(), 4, "they are looked at again");
}

#[test]
fn maintenance_rests_but_an_order_to_leave_is_obeyed() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Maintenance(true));
    bench.later(60 * SECOND);
    assert_eq!(bench.doing(), [""; 0]);
    bench.leave(1);
    bench.well();
    assert_eq!(bench.effects(), [Effect::Release(CommandId(1))]);
}

#[test]
fn a_failed_resource_is_restarted_with_what_stands_on_it() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.later(10 * SECOND);
    bench.end("db", failed("no answer"));
    for tag in ["fs", "ip", "app"] {
        bench.end(tag, Outcome::Done);
    }
    assert!(bench.has_told(Note::Failed, "db failed (1 of 3): no answer"));
    assert_eq!(bench.doing(), ["app stop"]);
    bench.end("app", Outcome::Done);
    assert_eq!(bench.doing(), ["db stop"]);
    bench.end("db", Outcome::Done);
    assert_eq!(bench.doing(), ["db start"]);
    bench.well();
    assert_eq!((bench.states(), bench.effects()), (vec![State::Running; 4], vec![]));
}

/// Fails the database once, and lets everything else go well.
fn fail_once(bench: &mut Bench) {
    bench.later(10 * SECOND);
    bench.end("db", failed("no answer"));
    bench.well();
}

#[test]
fn at_its_threshold_the_volume_moves_and_is_asked_for_again_when_nobody_takes_it() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    fail_once(&mut bench);
    fail_once(&mut bench);
    assert_eq!((bench.states(), bench.effects()), (vec![State::Running; 4], vec![]));
    fail_once(&mut bench);
    let moves = Effect::Move { text: "db cannot run here: no answer".to_owned() };
    assert_eq!(bench.effects(), std::slice::from_ref(&moves));
    assert_eq!(bench.states(), [State::Running, State::Running, State::Stopped, State::Stopped]);
    bench.later(MOVE_AGAIN);
    assert_eq!(bench.effects(), [], "the first question is open");
    bench.input(Input::NotMoved("n2: it is not heard".to_owned()));
    assert!(bench.has_told(Note::NotMoved, "n2: it is not heard"));
    assert_eq!(bench.tree.view().stranded.unwrap(), "db cannot run here: no answer; n2: it is not heard");
    bench.told.clear();
    bench.later(MOVE_AGAIN);
    assert_eq!(bench.effects(), [moves]);
    bench.input(Input::NotMoved("n2: it is not heard".to_owned()));
    assert!(!bench.has_told(Note::NotMoved, ""), "said once");
    bench.ask(Request::Cleanup { tag: Some("db".to_owned()) });
    assert_eq!(bench.doing(), ["fs look", "ip look", "db start"]);
    bench.well();
    assert_eq!((bench.states(), bench.tree.view().stranded), (vec![State::Running; 4], None));
}

#[test]
fn a_start_that_fails_is_cleaned_up_and_not_tried_twice() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.activate();
    bench.end("fs", Outcome::Done);
    bench.end("ip", failed("exited with 1"));
    assert_eq!(bench.doing(), ["ip stop", "db start"], "some of it may run");
    assert_eq!(bench.effects(), [Effect::Move { text: "ip cannot run here: exited with 1".to_owned() }]);
    bench.well();
    assert_eq!(bench.states(), [State::Running, State::Stopped, State::Running, State::Stopped]);
    assert_eq!(bench.tree.view().unable.unwrap(), "ip failed there: exited with 1");
    // The volume goes and comes back: it is still known that it does not run here.
    bench.leave(4);
    bench.well();
    bench.input(Input::Standing(Standing::Away));
    bench.input(Input::Standing(Standing::Active));
    bench.well();
    assert_eq!(bench.state("ip"), State::Stopped);
}

#[test]
fn failures_are_remembered_over_a_restart_of_the_daemon_and_expire() {
    let mut plan = vec![rules("fs", &[], OnFail::Restart)];
    plan[0].expiry = Some(600 * SECOND);
    let mut bench = Bench::new(Plan::new(plan.clone()));
    bench.activate();
    bench.end("fs", failed("no"));
    bench.well();
    let kept = bench.tree.kept();
    assert_eq!((kept["fs"].halt, kept["fs"].failures), (Some(Halt::Exhausted), 1));
    let mut bench = Bench::with(Plan::new(plan), &kept);
    bench.activate();
    assert_eq!(bench.doing(), [""; 0]);
    bench.later(599 * SECOND);
    assert_eq!(bench.doing(), [""; 0]);
    bench.later(SECOND);
    assert_eq!(bench.doing(), ["fs start"]);
    bench.well();
    let kept = &bench.tree.kept()["fs"];
    assert_eq!((kept.halt, kept.failures, kept.owes_stop), (None, 0, true));
}

#[test]
fn each_kind_of_failure_leads_to_what_was_chosen_for_it() {
    let after = |on_fail| {
        let mut bench = Bench::running(diamond(on_fail));
        bench.later(10 * SECOND);
        bench.end("db", failed("no answer"));
        let halt = bench.tree.view().lines[2].halt;
        bench.well();
        (halt, bench.states(), bench.effects())
    };
    use State::{Broken, Running, Stopped};
    assert_eq!(after(OnFail::Restart), (None, vec![Running; 4], vec![]));
    assert_eq!(after(OnFail::Block), (Some(Halt::Blocked), vec![Running, Running, Broken, Running], vec![]));
    assert_eq!(after(OnFail::Stop), (Some(Halt::Stopped), vec![Running, Running, Stopped, Stopped], vec![]));
    let text = "db failed and is to be fenced: no answer".to_owned();
    let fenced = (Some(Halt::Fence), vec![Running, Running, Broken, Running], vec![Effect::Move { text }]);
    assert_eq!(after(OnFail::Fence), fenced);
}

#[test]
fn a_start_that_fails_leads_to_what_was_chosen_for_starts() {
    let after = |on_start_fail| {
        let mut plan = vec![rules("fs", &[], OnFail::Restart)];
        plan[0].on_start_fail = on_start_fail;
        let mut bench = Bench::new(Plan::new(plan));
        bench.activate();
        bench.end("fs", failed("no"));
        bench.well();
        let first = (bench.tree.view().lines[0].halt, bench.state("fs"), bench.effects());
        bench.ask(Request::Cleanup { tag: None });
        bench.all(|_, verb| if verb == Verb::Monitor { Outcome::NotRunning } else { Outcome::Done });
        // What a look finds leads to what was chosen for looks.
        bench.later(10 * SECOND);
        bench.end("fs", failed("no"));
        assert_eq!(bench.tree.view().lines[0].halt, None);
        first
    };
    let moves = |text: &str| vec![Effect::Move { text: text.to_owned() }];
    assert_eq!(
        after(OnFail::Restart),
        (Some(Halt::Exhausted), State::Stopped, moves("fs cannot run here: no"))
    );
    assert_eq!(after(OnFail::Stop), (Some(Halt::Stopped), State::Stopped, vec![]));
    assert_eq!(after(OnFail::Block), (Some(Halt::Blocked), State::Broken, vec![]));
    let fenced = moves("fs failed and is to be fenced: no");
    assert_eq!(after(OnFail::Fence), (Some(Halt::Fence), State::Broken, fenced));
}

#[test]
fn one_that_is_to_be_fenced_refuses_to_leave_in_order() {
    let mut bench = Bench::running(diamond(OnFail::Fence));
    bench.later(10 * SECOND);
    bench.end("db", failed("no answer"));
    bench.well();
    bench.effects();
    bench.leave(5);
    let text = "db failed and is to be fenced: no answer".to_owned();
    assert_eq!(bench.effects(), [Effect::Refuse { command: CommandId(5), text }]);
}

#[test]
fn one_that_cannot_run_here_is_looked_at_and_not_stopped() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.activate();
    bench.end("fs", Outcome::Unfit("no such program".to_owned()));
    assert_eq!(bench.doing(), ["fs look"]);
    bench.end("fs", Outcome::Unfit("no such program".to_owned()));
    assert_eq!((bench.state("fs"), bench.doing()), (State::Stopped, vec![]));
    assert_eq!(bench.effects(), [Effect::Move { text: "fs cannot run here: no such program".to_owned() }]);
}

#[test]
fn an_order_to_leave_kills_a_start_and_waits_for_its_end() {
    let mut bench = Bench::new(diamond(OnFail::Restart));
    bench.activate();
    bench.end("fs", Outcome::Done);
    bench.leave(2);
    assert_eq!(
        (bench.cancelled.len(), bench.doing()),
        (2, vec!["ip start".to_owned(), "db start".to_owned()])
    );
    bench.end("ip", failed("timed out; all of it was killed"));
    assert_eq!(bench.doing(), ["ip stop", "db start"], "nothing is stopped beside its own start");
    bench.end("db", Outcome::Done);
    bench.end("ip", Outcome::Done);
    assert_eq!(bench.doing(), ["db stop"]);
    bench.well();
    assert_eq!(bench.effects(), [Effect::Release(CommandId(2))]);
    assert!(!bench.has_told(Note::Held, ""), "a start that was killed has not failed");
    assert_eq!(bench.tree.kept().len(), 0);
}

#[test]
fn policies_keep_failures_from_restarts_and_moves() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.ask(Request::Policy(Policy { failover: true, local_recovery: false }));
    fail_once(&mut bench);
    assert_eq!(bench.effects(), [Effect::Move { text: "db cannot run here: no answer".to_owned() }]);
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.ask(Request::Policy(Policy { failover: false, local_recovery: false }));
    fail_once(&mut bench);
    assert_eq!(bench.effects(), []);
    assert_eq!(bench.state("db"), State::Stopped);
}

#[test]
fn operators_take_parts_out_of_service_and_bring_them_back() {
    let named = |tag: &str| Some(tag.to_owned());
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.ask(Request::Remove { tag: named("db") });
    assert_eq!(bench.doing(), ["app stop"]);
    bench.well();
    use State::{Running, Stopped};
    assert_eq!(bench.states(), [Running, Running, Stopped, Stopped]);
    bench.ask(Request::Remove { tag: None });
    bench.well();
    assert_eq!(bench.states(), [Stopped; 4]);
    assert_eq!(bench.effects(), [], "nobody moves for an operator's wish");
    bench.ask(Request::Restore { tag: named("db"), only: true });
    bench.well();
    assert_eq!(bench.states(), [Running, Stopped, Running, Stopped]);
    bench.ask(Request::Restore { tag: named("db"), only: false });
    bench.well();
    assert_eq!(bench.states(), [Running; 4]);
    assert!(bench.tree.kept().values().all(|kept| kept.halt.is_none() && kept.owes_stop));
}

#[test]
fn a_replica_that_loses_its_role_takes_the_tree_down_before_the_core_hears_of_it() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Secondary));
    assert_eq!((bench.tree.shown_role(), bench.doing()), (Role::Unknown, vec!["app stop".to_owned()]));
    bench.well();
    assert_eq!(bench.tree.shown_role(), Role::Secondary);
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.input(Input::Role(Role::Unknown));
    assert_eq!((bench.tree.shown_role(), bench.doing()), (Role::Unknown, vec![]), "not seen is not lost");
}

#[test]
fn a_stop_that_fails_in_service_asks_another_node_until_an_operator_cleans_up() {
    let mut bench = Bench::running(diamond(OnFail::Restart));
    bench.ask(Request::Remove { tag: Some("app".to_owned()) });
    bench.end("app", failed("busy"));
    assert_eq!(bench.effects(), [Effect::Move { text: "app was not stopped: busy".to_owned() }]);
    bench.input(Input::NotMoved("n2: it is not heard".to_owned()));
    bench.ask(Request::Cleanup { tag: Some("app".to_owned()) });
    assert_eq!(bench.doing(), ["app look"]);
    bench.end("app", Outcome::NotRunning);
    assert_eq!(bench.doing(), ["app stop"], "a look alone does not take it out of service");
    bench.end("app", Outcome::Done);
    assert_eq!((bench.state("app"), bench.tree.view().stranded), (State::Stopped, None));
}

#[test]
fn two_hundred_resources_start_a_few_at_a_time_and_stop_all_at_once() {
    let mut all = vec![rules("fs", &[], OnFail::Restart)];
    all.extend((1..200).map(|number| rules(&format!("r{number}"), &[0], OnFail::Restart)));
    let mut bench = Bench::new(Plan::new(all));
    assert_eq!(bench.doing().len(), ACTIONS_MAX);
    bench.activate();
    bench.end("fs", Outcome::Done);
    assert_eq!(bench.doing().len(), ACTIONS_MAX);
    bench.well();
    assert_eq!(bench.states(), [State::Running; 200]);
    bench.leave(1);
    assert_eq!(bench.doing().len(), 199, "a stop waits for nobody");
    bench.well();
    assert_eq!(bench.effects(), [Effect::Release(CommandId(1))]);
    let chain = |number: usize| {
        let needs: Vec<usize> = number.checked_sub(1).into_iter().collect();
        rules(&format!("r{number}"), &needs, OnFail::Restart)
    };
    let mut bench = Bench::running(Plan::new((0..200).map(chain).collect()));
    bench.leave(1);
    assert_eq!(bench.doing(), ["r199 stop"]);
    bench.well();
    assert_eq!(bench.effects(), [Effect::Release(CommandId(1))]);
}
