//! The room with real programs; the test is the core on one side and the driver on the other.

use super::{Asked, Ends, Mover, Room, Said};
use crate::config::Config;
use crate::driver::Wake;
use crate::events;
use crate::resource::tree::{Policy, Request, Standing, State, View};
use crate::testing::{self, text};
use crate::time::now;
use crate::volume::{ORDERS_MAX, Order};
use core::time::Duration;
use picket_core::ids::VolumeId;
use picket_core::node::{CommandId, CommandOutcome, Input, Role, VolumeAction};
use picket_core::time::Instant;
use picket_host::config::Source;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

mod units;

const V: VolumeId = VolumeId(1);

struct Bench {
    dir: tempfile::TempDir,
    orders: mpsc::Sender<Order>,
    driver: mpsc::Receiver<Order>,
    says: mpsc::Sender<Wake>,
    standing: watch::Sender<Said>,
    asks: mpsc::Sender<Asked>,
    core: mpsc::Receiver<Wake>,
    view: watch::Receiver<View>,
    moves: mpsc::UnboundedReceiver<String>,
}

/// `fs` below `ip`: files that are there while they are in service. `hang` makes a stop of `ip` hang.
const PROGRAM: &str = r#"case $PICKET_ACTION in
start) : > "$0/$PICKET_RESOURCE" ;;
stop) [ $PICKET_RESOURCE = ip ] && [ -e "$0/hang" ] && { trap '' TERM; while :; do sleep 60; done; }
  rm -f "$0/$PICKET_RESOURCE" ;;
status) [ -e "$0/$PICKET_RESOURCE" ] || exit 3 ;;
esac"#;

fn config(dir: &Path) -> Config {
    let argv = toml_list(&["/bin/sh", "-c", PROGRAM, dir.to_str().unwrap()]);
    let resource = |tag: &str, below: &str| {
        format!(
            "[[resource]]\ntag = \"{tag}\"\n{below}\nkind = \"command\"\nstop_timeout = \"1s\"\n\
             command = {{ start = {argv}, stop = {argv}, status = {argv} }}\n"
        )
    };
    parse("", &(resource("fs", "volume = \"data\"") + &resource("ip", "after = [\"fs\"]")))
}

fn parse(top: &str, tree: &str) -> Config {
    let text = text("n1").replace("[lab]\n", &format!("{tree}[lab]\n"));
    Config::parse(&Source::from_text("picketd.toml", format!("{top}{text}"))).unwrap()
}

fn toml_list(words: &[&str]) -> String {
    let quoted =
        |word: &&str| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    format!("[{}]", words.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        Self::start_with(dir, &config)
    }

    fn start_with(dir: tempfile::TempDir, config: &Config) -> Self {
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let (driver_orders, driver) = mpsc::channel(ORDERS_MAX);
        let (says, said) = mpsc::channel(16);
        let (standing, stands) = watch::channel(Said::default());
        let (asks, asked) = mpsc::channel(4);
        let (into_core, core) = mpsc::channel(64);
        let (shows, view) = watch::channel(View::default());
        let (keeps, _) = watch::channel(BTreeMap::new());
        let (policy, _) = watch::channel(Policy::default());
        let (asked_to_move, moves) = mpsc::unbounded_channel();
        let mover: Mover = Arc::new(move |why| {
            let _ = asked_to_move.send(why);
            Box::pin(core::future::pending())
        });
        let ends = Ends {
            orders: queue,
            driver: driver_orders,
            said,
            standing: stands,
            asks: asked,
            core: into_core,
            view: shows,
            kept: keeps,
            policy,
        };
        let (events, _) = events::room(None, "east", "n1");
        tokio::spawn(Room::new(config, V, &BTreeMap::new(), events, mover, ends).run());
        Self { dir, orders, driver, says, standing, asks, core, view, moves }
    }

    async fn report(&self, role: Role) {
        let report = testing::complete(role);
        self.says.send(Input::Volume { volume: V, report }.into()).await.unwrap();
    }

    async fn told(&mut self) -> Input {
        let wake = tokio::time::timeout(Duration::from_secs(60), self.core.recv()).await.unwrap().unwrap();
        let Wake::Input(input) = wake else { panic!("{wake:?}") };
        *input
    }

    async fn role(&mut self) -> Role {
        let told = self.told().await;
        let Input::Volume { report, .. } = told else { panic!("{told:?}") };
        report.role
    }

    async fn until(&mut self, wanted: impl FnMut(&View) -> bool) {
        tokio::time::timeout(Duration::from_secs(60), self.view.wait_for(wanted)).await.unwrap().unwrap();
    }

    async fn in_service(&mut self) {
        self.report(Role::Primary).await;
        assert_eq!(self.role().await, Role::Primary);
        self.standing.send_replace(Said { standing: Standing::Active, maintenance: false });
        self.until(|view| {
            view.lines.iter().all(|line| line.state == State::Running) && view.lines.len() == 2
        })
        .await;
    }

    async fn order(&self, command: u64, action: VolumeAction) {
        self.orders.send(Order { command: CommandId(command), action }).await.unwrap();
    }

    fn is_there(&self, tag: &str) -> bool {
        self.dir.path().join(tag).exists()
    }
}

fn demote() -> VolumeAction {
    VolumeAction::Demote { deadline: now() + Duration::from_secs(60) }
}

#[tokio::test]
async fn a_demotion_reaches_the_driver_when_nothing_runs_any_more() {
    let mut bench = Bench::start();
    bench.in_service().await;
    assert!(bench.is_there("fs") && bench.is_there("ip"));
    bench.order(5, demote()).await;
    let order = bench.driver.recv().await.unwrap();
    assert_eq!(order.command, CommandId(5));
    assert!(matches!(order.action, VolumeAction::Demote { .. }), "{order:?}");
    assert!(!bench.is_there("fs") && !bench.is_there("ip"));
    let done = Input::VolumeDone { volume: V, command: CommandId(5), outcome: CommandOutcome::Done };
    bench.says.send(done.clone().into()).await.unwrap();
    assert_eq!(bench.told().await, done, "the driver's answer is the core's");
}

#[tokio::test]
async fn a_freeze_passes_a_stop_that_hangs_and_the_stop_fails_the_demotion() {
    let mut bench = Bench::start();
    bench.in_service().await;
    std::fs::write(bench.dir.path().join("hang"), "").unwrap();
    bench.order(5, demote()).await;
    bench.until(|view| view.lines[1].work == Some(crate::resource::tree::Verb::Stop)).await;
    bench.order(6, VolumeAction::Freeze).await;
    let order = bench.driver.recv().await.unwrap();
    assert_eq!((order.command, order.action), (CommandId(6), VolumeAction::Freeze));
    assert_eq!(bench.view.borrow().lines[1].state, State::Running, "the stop is still under way");
    let told = bench.told().await;
    let Input::VolumeDone { command: CommandId(5), outcome: CommandOutcome::Failed(text), .. } = told else {
        panic!("{told:?}")
    };
    assert!(text.starts_with("ip was not stopped: stop timed out; all of it was killed"), "{text}");
    assert!(bench.is_there("fs"), "what it stands on was left alone");
    assert!(bench.driver.try_recv().is_err(), "the driver was not told to demote");
}

#[tokio::test]
async fn what_runs_above_an_inactive_replica_hides_it_until_it_is_stopped() {
    let mut bench = Bench::start();
    std::fs::write(bench.dir.path().join("fs"), "").unwrap();
    bench.report(Role::Secondary).await;
    let mut seen = vec![bench.role().await];
    while seen.last() != Some(&Role::Secondary) {
        seen.push(bench.role().await);
    }
    assert_eq!(seen, [Role::Unknown, Role::Secondary]);
    assert!(!bench.is_there("fs"));
}

#[tokio::test]
async fn what_cannot_be_stopped_above_an_inactive_replica_makes_it_an_active_one() {
    let mut bench = Bench::start();
    for file in ["ip", "fs", "hang"] {
        std::fs::write(bench.dir.path().join(file), "").unwrap();
    }
    bench.report(Role::Secondary).await;
    assert_eq!((bench.role().await, bench.role().await), (Role::Unknown, Role::Primary));
    // The core finds a volume that is active without a grant, and orders what it always orders.
    bench.order(1, demote()).await;
    let told = bench.told().await;
    assert!(
        matches!(&told, Input::VolumeDone { command: CommandId(1), outcome: CommandOutcome::Failed(_), .. }),
        "{told:?}"
    );
}

#[tokio::test]
async fn everything_but_a_demotion_goes_through_and_a_full_driver_is_told() {
    let mut bench = Bench::start();
    for number in 0..ORDERS_MAX as u64 {
        bench.order(number, VolumeAction::Thaw { valid_until: Instant::NEVER }).await;
    }
    bench.order(99, VolumeAction::Freeze).await;
    let told = bench.told().await;
    assert!(matches!(
        told,
        Input::VolumeDone { command: CommandId(99), outcome: CommandOutcome::Failed(_), .. }
    ));
    assert_eq!(bench.driver.recv().await.unwrap().command, CommandId(0));
}

#[tokio::test]
async fn operators_are_told_that_the_tree_has_heard_and_another_node_is_asked_for_when_it_cannot() {
    let mut bench = Bench::start();
    bench.in_service().await;
    let (taken, is_taken) = oneshot::channel();
    std::fs::write(bench.dir.path().join("hang"), "").unwrap();
    bench.asks.send((Request::Remove { tag: None }, taken)).await.unwrap();
    is_taken.await.unwrap();
    bench.until(|view| view.lines[1].state == State::Stuck).await;
    assert!(bench.moves.recv().await.unwrap().starts_with("ip was not stopped"));
}
