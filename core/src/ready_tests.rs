use super::*;
use alloc::vec;

#[derive(Default)]
struct Disk {
    written: Vec<u8>,
    syncs: u32,
    fails: bool,
}

impl Store<(), u8> for Disk {
    type Error = &'static str;
    fn persist(&mut self, (): &(), record: &u8) -> Result<(), Self::Error> {
        self.written.push(*record);
        Ok(())
    }
    fn sync(&mut self) -> Result<(), Self::Error> {
        self.syncs += 1;
        if self.fails { Err("input/output error") } else { Ok(()) }
    }
}

#[test]
fn one_sync_serves_a_batch_and_its_effects_come_in_order() {
    let mut disk = Disk::default();
    let batch = vec![
        ((), Ready::new(Some(1), vec!['a'])),
        ((), Ready::new(None, vec!['b'])),
        ((), Ready::new(Some(2), vec!['c'])),
    ];
    let effects = commit(&mut disk, batch).expect("synced");
    assert_eq!(effects, [((), vec!['a']), ((), vec!['b']), ((), vec!['c'])]);
    assert_eq!((disk.written, disk.syncs), (vec![1, 2], 1));
}

#[test]
fn nothing_to_store_is_not_synced() {
    let mut disk = Disk::default();
    commit(&mut disk, vec![((), Ready::new(None, vec!['a']))]).expect("nothing to fail");
    assert_eq!(disk.syncs, 0);
}

#[test]
fn a_failed_sync_gives_up_no_effect() {
    let mut disk = Disk { fails: true, ..Disk::default() };
    assert_eq!(commit(&mut disk, vec![((), Ready::new(Some(1), vec!['a']))]), Err("input/output error"));
}

#[test]
fn a_record_or_an_effect_is_something_to_do() {
    assert!(Ready::<u8, u8>::new(None, alloc::vec![]).is_idle());
    assert!(!Ready::<u8, u8>::new(Some(1), alloc::vec![]).is_idle());
    assert!(!Ready::<u8, u8>::new(None, alloc::vec![1]).is_idle());
}
