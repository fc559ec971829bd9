//! Persist first, only then speak and act.
//!
//! A state machine answers each input with a [`Ready`]: a record to make durable and the effects that depend on
//! it. The effects cannot be taken out of a `Ready`; the only way to them is [`commit`], which hands the records
//! to a [`Store`], has it sync, and gives the effects up after the sync succeeded. One sync serves a whole batch.
//!
//! ```text
//!   step ──► Ready { record, effects } ──► commit(store, batch) ──► persist… sync ──► effects
//!                                                     └── error: the effects are gone with it
//! ```

use alloc::vec::Vec;

/// What a state machine wants done after one input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a Ready that is dropped loses what was decided"]
pub struct Ready<R, E> {
    record: Option<R>,
    effects: Vec<E>,
}

impl<R, E> Ready<R, E> {
    /// Only state machines of this crate make one.
    pub(crate) const fn new(record: Option<R>, effects: Vec<E>) -> Self {
        Self { record, effects }
    }

    /// Whether nothing is to be stored and nothing to be done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.record.is_none() && self.effects.is_empty()
    }
}

/// Where records are made durable. Implemented by drivers, over a real disk or a simulated one.
pub trait Store<K, R> {
    /// A failed write or sync. It is final: the process ends with it, because nobody can tell any more what is
    /// on the disk.
    type Error;

    /// Takes the newest record of `key`; it need not be durable yet.
    ///
    /// # Errors
    /// The write failed.
    fn persist(&mut self, key: &K, record: &R) -> Result<(), Self::Error>;

    /// Returns when everything persisted is durable.
    ///
    /// # Errors
    /// The sync failed.
    fn sync(&mut self) -> Result<(), Self::Error>;
}

/// The effects of a batch, by the key of the machine that wants them, in the order of the batch.
pub type Released<K, E> = Vec<(K, Vec<E>)>;

/// Makes the records of a batch durable with one sync, then gives up its effects, in order.
///
/// # Errors
/// The store's error. No effect of the batch is given up then.
pub fn commit<K, R, E, S: Store<K, R>>(
    store: &mut S,
    batch: Vec<(K, Ready<R, E>)>,
) -> Result<Released<K, E>, S::Error> {
    let mut wrote = false;
    for (key, ready) in &batch {
        if let Some(record) = &ready.record {
            store.persist(key, record)?;
            wrote = true;
        }
    }
    if wrote {
        store.sync()?;
    }
    Ok(batch.into_iter().map(|(key, ready)| (key, ready.effects)).collect())
}

#[cfg(test)]
#[path = "ready_tests.rs"]
mod tests;
