use super::super::explore::settled;
use super::super::families::Family;
use super::super::setup::Setup;
use super::*;

#[test]
fn a_volume_that_the_witness_forgets_is_noticed() {
    let before = settled(&Family::new("at rest", Setup::new(2))).record.expect("a record");
    assert_eq!(epochs_grow(&before, &before), None);
    let mut after = before.clone();
    after.volumes.clear();
    assert!(epochs_grow(&before, &after).is_some_and(|text| text.contains("has forgotten volume 1")));
    let mut after = before.clone();
    after.volumes.values_mut().for_each(|register| register.epoch.0 -= 1);
    assert!(epochs_grow(&before, &after).is_some_and(|text| text.contains("volume 1 fell")));
}
