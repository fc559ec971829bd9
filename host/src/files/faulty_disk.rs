//! The disk behind [`FaultyFiles`](super::FaultyFiles): what is cached, what is durable, and what
//! a crash leaves of the difference.
//!
//! The model is meaner than real file systems where they differ: a file's sync does not make its
//! name durable, unsynced writes and changes of names may survive in any order, writes also in
//! pieces, and a failed sync drops the data for good although it can still be read. A directory's name needs a sync of
//! its own, too: without it everything in the directory is lost.

use super::faulty::Unsynced;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a real disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Link { path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
    Unlink { path: PathBuf },
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    cached: Vec<u8>,
    pending: Vec<Change>,
    /// A write-back failed behind the writer's back; the next sync has to say so.
    late_error: bool,
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    inodes: BTreeMap<u64, Inode>,
    cached_names: Names,
    durable_names: Names,
    pending_names: Vec<NameChange>,
    next_inode: u64,
    /// Every directory that was ever made. Others are taken to have been there always.
    made: BTreeSet<PathBuf>,
}

impl Disk {
    pub(super) fn lookup(&self, path: &Path) -> Option<u64> {
        self.cached_names.get(path).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Path> {
        self.cached_names.keys().map(PathBuf::as_path)
    }

    pub(super) fn create(&mut self, path: &Path) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change_name(NameChange::Link { path: path.to_owned(), inode });
        inode
    }

    pub(super) fn make_directory(&mut self, path: &Path) {
        self.made.insert(path.to_owned());
        self.create(path);
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        self.made.contains(path) && self.cached_names.contains_key(path)
    }

    /// Whether a directory above was made and is not there.
    pub(super) fn is_lost(&self, path: &Path) -> bool {
        is_lost(path, &self.made, &self.cached_names)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(inode) = self.lookup(from) {
            self.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        }
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.change_name(NameChange::Unlink { path: path.to_owned() });
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.cached_names, &change);
        self.pending_names.push(change);
    }

    pub(super) fn content(&self, inode: u64) -> &[u8] {
        self.inodes.get(&inode).map_or(&[], |inode| &inode.cached)
    }

    pub(super) fn change(&mut self, inode: u64, change: Change) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            apply(&mut inode.cached, &change);
            inode.pending.push(change);
        }
    }

    /// The write is accepted and then lost on its way to the disk.
    pub(super) fn change_and_lose(&mut self, inode: u64, change: &Change) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            apply(&mut inode.cached, change);
            inode.late_error = true;
        }
    }

    /// False if the sync fails because an earlier write-back did.
    pub(super) fn sync(&mut self, inode: u64) -> bool {
        let Some(inode) = self.inodes.get_mut(&inode) else { return true };
        if core::mem::take(&mut inode.late_error) {
            inode.pending.clear();
            return false;
        }
        for change in inode.pending.drain(..) {
            apply(&mut inode.durable, &change);
        }
        true
    }

    /// The sync fails: the cache believes itself clean, the disk has nothing.
    pub(super) fn fail_sync(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.pending.clear();
        }
    }

    pub(super) fn sync_names(&mut self, directory: &Path) {
        let inside = |change: &NameChange| match change {
            NameChange::Link { path, .. }
            | NameChange::Unlink { path }
            | NameChange::Rename { to: path, .. } => path.parent() == Some(directory),
        };
        for change in self.pending_names.extract_if(.., |change| inside(change)) {
            apply_name(&mut self.durable_names, &change);
        }
    }

    /// The power goes: what is not durable is lost, kept or torn.
    pub(super) fn crash(&mut self, unsynced: Unsynced) {
        let mut random = Random(match unsynced {
            Unsynced::Random { seed } => seed,
            Unsynced::Lost | Unsynced::Kept | Unsynced::Torn { .. } => 0,
        });
        for inode in self.inodes.values_mut() {
            survive(inode, unsynced, &mut random);
            inode.cached.clone_from(&inode.durable);
            inode.late_error = false;
        }
        for change in self.pending_names.drain(..) {
            let is_kept = match unsynced {
                Unsynced::Lost => false,
                Unsynced::Kept | Unsynced::Torn { .. } => true,
                Unsynced::Random { .. } => random.below(2) == 0,
            };
            if is_kept {
                apply_name(&mut self.durable_names, &change);
            }
        }
        // What a lost directory held is lost with it, however well it was synced.
        let all = self.durable_names.clone();
        self.durable_names.retain(|path, _| !is_lost(path, &self.made, &all));
        self.cached_names.clone_from(&self.durable_names);
    }
}

fn is_lost(path: &Path, made: &BTreeSet<PathBuf>, names: &Names) -> bool {
    path.ancestors().skip(1).any(|above| made.contains(above) && !names.contains_key(above))
}

fn survive(inode: &mut Inode, unsynced: Unsynced, random: &mut Random) {
    let mut left_bytes = match unsynced {
        Unsynced::Lost => 0,
        Unsynced::Kept | Unsynced::Random { .. } => usize::MAX,
        Unsynced::Torn { bytes } => bytes,
    };
    for change in inode.pending.drain(..) {
        match (unsynced, change) {
            (Unsynced::Lost, _) => {}
            (Unsynced::Kept, change) => apply(&mut inode.durable, &change),
            (Unsynced::Torn { .. }, Change::Write { offset, mut bytes }) => {
                bytes.truncate(left_bytes);
                left_bytes -= bytes.len();
                apply(&mut inode.durable, &Change::Write { offset, bytes });
            }
            (Unsynced::Torn { .. }, change @ Change::SetLength(_)) => {
                if left_bytes > 0 {
                    apply(&mut inode.durable, &change);
                }
            }
            (Unsynced::Random { .. }, Change::Write { offset, bytes }) => {
                for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                    if random.below(2) == 0 {
                        let offset = offset + number * SECTOR_BYTES;
                        apply(&mut inode.durable, &Change::Write { offset, bytes: sector.to_vec() });
                    }
                }
            }
            (Unsynced::Random { .. }, change @ Change::SetLength(_)) => {
                if random.below(2) == 0 {
                    apply(&mut inode.durable, &change);
                }
            }
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { bytes, .. } if bytes.is_empty() => {}
        Change::Write { offset, bytes } => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            if let Some(place) = content.get_mut(*offset..end) {
                place.copy_from_slice(bytes);
            }
        }
        Change::SetLength(length) => content.resize(*length, 0),
    }
}

fn apply_name(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Link { path, inode } => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Rename { from, to, inode } => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
        NameChange::Unlink { path } => {
            names.remove(path);
        }
    }
}

/// A small seeded generator (splitmix64): the same seed gives the same crash.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}
