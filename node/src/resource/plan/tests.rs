use super::{OnFail, Plan, Rules};
use core::time::Duration;

/// Rules with this timeout for every action, and no monitor.
pub(in super::super) fn rules_within(timeout: Duration, tag: &str, needs: &[usize]) -> Rules {
    Rules {
        tag: tag.to_owned(),
        needs: needs.to_vec(),
        start_timeout: timeout,
        stop_timeout: timeout,
        monitor_timeout: timeout,
        monitor_interval: None,
        on_fail: OnFail::Restart,
        on_start_fail: OnFail::Restart,
        threshold: 3,
        expiry: None,
    }
}

fn rules(tag: &str, needs: &[usize], stop_s: u64) -> Rules {
    rules_within(Duration::from_secs(stop_s), tag, needs)
}

/// `fs` below `ip` and `db`; `app` on both.
fn diamond() -> Plan {
    Plan::new(vec![rules("fs", &[], 5), rules("ip", &[0], 1), rules("db", &[0], 7), rules("app", &[1, 2], 2)])
}

#[test]
fn what_stands_above_and_below_is_found_near_and_far() {
    let plan = diamond();
    assert_eq!(plan.above(0), [1, 2]);
    assert_eq!(plan.above(3), [0; 0]);
    let sorted = |mut places: Vec<usize>| {
        places.sort_unstable();
        places
    };
    assert_eq!(sorted(plan.down_from(3)), [0, 1, 2, 3]);
    assert_eq!(sorted(plan.down_from(1)), [0, 1]);
    assert_eq!(sorted(plan.up_from(1)), [1, 3]);
    assert_eq!((plan.find("db"), plan.find("none")), (Some(2), None));
}

#[test]
fn the_longest_stop_is_the_longest_chain_and_not_the_sum() {
    assert_eq!(diamond().longest_stop(), Duration::from_secs(5 + 7 + 2));
    assert_eq!(diamond().longest_chain().1, [3, 2, 0], "app, db, fs");
    assert_eq!(Plan::default().longest_chain(), (Duration::ZERO, vec![]));
}
