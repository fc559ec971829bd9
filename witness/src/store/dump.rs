//! Looking at a store without changing it, for operators and for tests.
//!
//! Neither takes the lock, so both work beside a running witness; a commit in between may then
//! show as a torn tail.

use super::Error;
use super::recover::{Recovered, recover};
use super::scan::Torn;
use core::fmt::Write as _;
use picket_host::files::Files;
use picket_host::secrets::hex;
use std::path::Path;

/// What a store holds, after every checksum was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The store's identity.
    pub store_id: [u8; 16],
    /// How often it was rewritten.
    pub generation: u64,
    /// The last sequence.
    pub commit_index: u64,
    /// How many keys have a record.
    pub keys: usize,
    /// How many records were committed since the snapshot.
    pub frames: usize,
    /// The torn tail, if there is one.
    pub torn: Option<Torn>,
}

/// Checks every byte of the store.
///
/// # Errors
/// The directory cannot be read, holds no store, or something in it is damaged.
pub fn verify(files: &dyn Files, directory: &Path) -> Result<Verified, Error> {
    let found = read(files, directory)?;
    Ok(Verified {
        store_id: found.store_id,
        generation: found.generation,
        commit_index: found.last_sequence,
        keys: found.latest.len(),
        frames: found.frames,
        torn: found.torn,
    })
}

/// The store as text: what [`verify`] gives, and each key with its latest record.
///
/// # Errors
/// As [`verify`].
pub fn dump(files: &dyn Files, directory: &Path) -> Result<String, Error> {
    let found = read(files, directory)?;
    let mut text = format!(
        "store {} generation {} commit index {} keys {} frames since the snapshot {}\n",
        hex(&found.store_id),
        found.generation,
        found.last_sequence,
        found.latest.len(),
        found.frames
    );
    if let Some(torn) = &found.torn {
        let segment = found.segment.display();
        let _ = writeln!(
            text,
            "torn tail in {segment} at offset {} (sequence {}): {}",
            torn.offset, torn.sequence, torn.why
        );
    }
    for (key, record) in &found.latest {
        let shown = core::str::from_utf8(&record.bytes).map_or_else(|_| hex(&record.bytes), str::to_owned);
        let _ = writeln!(
            text,
            "{key:?} sequence {} bytes {}: {}",
            record.sequence,
            record.bytes.len(),
            shown.escape_debug()
        );
    }
    Ok(text)
}

fn read(files: &dyn Files, directory: &Path) -> Result<Recovered, Error> {
    recover(files, directory)?.ok_or_else(|| Error::NoStore { directory: directory.to_owned() })
}
