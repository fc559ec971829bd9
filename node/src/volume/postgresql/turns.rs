//! Freezes and thaws of one server, one at a time: what was overtaken is not begun any more, and what was begun is at its
//! end before its opposite begins. Both work on threads that nobody can break off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    newest: AtomicU64,
    one: Mutex<()>,
}

/// A turn: the newest, until there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u64);

impl Turns {
    /// A new turn, which overtakes all before it.
    pub(super) fn begin(&self) -> Turn {
        Turn(self.newest.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Works when nobody else does; none: it was overtaken. Blocks.
    pub(super) fn work<T>(&self, turn: Turn, work: impl FnOnce() -> T) -> Option<T> {
        let _alone = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        (self.newest.load(Ordering::SeqCst) == turn.0).then(work)
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thaw_that_was_overtaken_before_it_began_does_not_begin() {
        let turns = Turns::default();
        let (thaw, freeze) = (turns.begin(), turns.begin());
        assert_eq!(turns.work(freeze, || "frozen"), Some("frozen"));
        assert_eq!(turns.work(thaw, || "thawed"), None);
    }

    #[test]
    fn a_freeze_begins_when_the_thaw_that_it_overtakes_is_at_its_end() {
        let turns = &Turns::default();
        let (thaw, (begun, is_begun), (goes_on, go_on)) = (turns.begin(), channel(), channel());
        let (tell, told) = channel();
        let told_frozen = tell.clone();
        std::thread::scope(|scope| {
            let thawing = scope.spawn(move || {
                turns.work(thaw, || {
                    begun.send(()).unwrap();
                    go_on.recv().unwrap();
                    tell.send("thawed").unwrap();
                })
            });
            is_begun.recv().unwrap();
            let freeze = turns.begin();
            let freezing = scope.spawn(move || turns.work(freeze, || told_frozen.send("frozen").unwrap()));
            goes_on.send(()).unwrap();
            assert!(thawing.join().unwrap().is_some() && freezing.join().unwrap().is_some());
        });
        assert_eq!(told.iter().collect::<Vec<_>>(), ["thawed", "frozen"]);
    }
}
