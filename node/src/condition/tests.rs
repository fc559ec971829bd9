use super::{Conditions, look};
use crate::config::{Condition, Config};
use crate::events;
use core::time::Duration;
use picket_core::ids::VolumeId;
use std::sync::Arc;

const V: VolumeId = VolumeId(1);
const OTHER: VolumeId = VolumeId(2);

fn condition(script: &str) -> Condition {
    Condition {
        tag: "gateway".to_owned(),
        volumes: vec![V],
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(60),
        threshold: 2,
    }
}

fn conditions(condition: &Condition) -> Conditions {
    let config = crate::testing::config("n1");
    Conditions::new(Arc::new(Config { conditions: vec![condition.clone()], ..config }))
}

#[tokio::test]
async fn a_look_is_met_with_exit_status_0_alone() {
    assert_eq!(look(&condition("exit 0"), "n1").await, Ok(()));
    let failed = look(&condition("echo \"$PICKET_CONDITION of $PICKET_NODE\" >&2; exit 3"), "n1").await;
    assert_eq!(failed, Err("exit status 3: gateway of n1".to_owned()));
    assert_eq!(look(&condition("exit 1"), "n1").await, Err("exit status 1".to_owned()));
    let late = Condition { timeout: Duration::from_millis(50), ..condition("sleep 600") };
    assert!(look(&late, "n1").await.unwrap_err().starts_with("timed out"));
    let missing = Condition { command: vec!["/no/such".to_owned()], ..condition("") };
    assert!(look(&missing, "n1").await.is_err());
}

/// Unknown brings nothing here and sends nothing away; a failure counts when it comes often enough in a row.
#[tokio::test]
async fn a_failure_counts_at_the_threshold_and_one_look_mends_it() {
    let condition = condition("");
    let conditions = conditions(&condition);
    let (events, _writer) = events::room(None, "east", "n1");
    let mut failures = 0;
    let mut keep = |found: Result<(), &str>| {
        conditions.keep(&condition, &mut failures, found.map_err(str::to_owned), &events);
        (conditions.unable(V).is_some(), conditions.should_leave(V).is_some())
    };
    assert_eq!((conditions.unable(V).is_some(), conditions.should_leave(V)), (true, None), "unknown");
    assert_eq!(keep(Err("no answer")), (true, false), "still unknown");
    assert_eq!(keep(Ok(())), (false, false));
    assert_eq!(keep(Err("no answer")), (false, false));
    assert_eq!(keep(Ok(())), (false, false), "not in a row");
    assert_eq!(keep(Err("no answer")), (false, false));
    assert_eq!(keep(Err("no answer")), (true, true));
    assert_eq!(conditions.should_leave(V).unwrap(), "gateway is not met here: no answer");
    assert_eq!(conditions.not_met(), [("gateway".to_owned(), "no answer".to_owned())]);
    assert_eq!(
        (conditions.unable(OTHER), conditions.should_leave(OTHER)),
        (None, None),
        "it is not about that one"
    );
    assert_eq!(keep(Ok(())), (false, false));
    assert_eq!(conditions.not_met(), []);
}
