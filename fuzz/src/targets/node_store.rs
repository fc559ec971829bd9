//! What a node keeps: the record on its disk and the one of this boot.

use super::damage::{self, Damage};
use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_core::ids::{BootId, Epoch, GenerationId, IsrVersion, NodeId, NodeSet, StoreId, VolumeId};
use picket_core::message::{Override, Seen};
use picket_core::node::{Disk, DiskVolume, GrowIntent, NodeRecord, Promise, Run, RunHeld, SCHEMA};
use picket_core::ready::Store;
use picket_core::time::Instant;
use picket_host::files::{FaultyFiles, Files};
use picket_node::store::{Found, NodeStore, StoreError};
use std::path::Path;
use std::sync::Arc;

/// The target. An input is one byte for what it is (see the functions below), then a record as JSON, a whole file,
/// or damage to good ones.
pub const TARGET: Target = Target {
    name: "node-store",
    about: "a node's two records: a changed file is refused by name, a readable record is the same when written again",
    seeds,
    words: &[
        "\"schema\":1",
        "\"held\":",
        "null",
        "{",
        "}",
        "[",
        "]",
        "-1",
        "1e9",
        "18446744073709551616",
        "PKNS",
        "\n",
    ],
    check,
};

const STATE: &str = "/state";
const RUN: &str = "/run";
const BOOT: BootId = BootId(7);

fn disk() -> Disk {
    let volume = DiskVolume {
        max_epoch: Epoch(9),
        isr: NodeSet::only(NodeId(1)).with(NodeId(16)),
        isr_version: IsrVersion(4),
        recorded: GenerationId(77),
        intents: vec![GrowIntent { peer: NodeId(2), version: IsrVersion(4) }],
        overridden: Some(Override {
            volume: VolumeId(1),
            epoch: Epoch(65_545),
            isr: NodeSet::only(NodeId(1)),
            isr_version: IsrVersion(5),
        }),
    };
    let seen = Seen { store: StoreId(5), ..Seen::default() };
    let longest_promise = core::time::Duration::from_millis(2460);
    Disk { schema: SCHEMA, seen, volumes: [(VolumeId(1), volume)].into(), standby: true, longest_promise }
}

fn run() -> Run {
    let held = RunHeld { epoch: Epoch(9), lease_until: Instant::NEVER, refused: false, driver: None };
    let promise = Promise { volume: VolumeId(2), to: NodeId(2), epoch: Epoch(3), until: Instant::BOOT };
    Run {
        schema: SCHEMA,
        boot: BOOT,
        held: [(VolumeId(1), held)].into(),
        promises: vec![promise],
        ..Run::default()
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let json =
        |kind: u8, text: Result<Vec<u8>, serde_json::Error>| [vec![kind], text.unwrap_or_default()].concat();
    let mut seeds = vec![json(0, serde_json::to_vec(&disk())), json(1, serde_json::to_vec(&run()))];
    seeds.push(json(0, serde_json::to_vec(&Disk { schema: SCHEMA, ..Disk::default() })));
    seeds.push(json(1, serde_json::to_vec(&Run { schema: SCHEMA, boot: BootId(8), ..Run::default() })));
    if let Ok(files) = good() {
        for (kind, path) in [(2, "/state/node.state"), (3, "/run/node.run")] {
            let bytes = files.read(Path::new(path)).ok().flatten().unwrap_or_default();
            seeds.push([vec![kind], bytes].concat());
        }
    }
    for file in 0..2 {
        seeds.push([vec![4], damage::put(file, Damage::Xor { offset: 20, mask: 4 })].concat());
        seeds.push([vec![4], damage::put(file, Damage::Cut { offset: 30 })].concat());
    }
    seeds
}

fn open(files: &FaultyFiles) -> Result<(NodeStore, Found), StoreError> {
    NodeStore::open(Arc::new(files.clone()), Path::new(STATE), Path::new(RUN), BOOT)
}

fn good() -> Result<FaultyFiles, StoreError> {
    let files = FaultyFiles::new();
    let (mut store, _) = open(&files)?;
    store.persist(&(), &NodeRecord { disk: Some(disk()), run: Some(run()) })?;
    Ok(files)
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let files = good().map_err(|error| Broken(format!("a good store: {error}")))?;
    let paths = [Path::new("/state/node.state"), Path::new("/run/node.run")];
    let before = paths.map(|path| files.read(path).ok().flatten());
    let put = |path: &Path, text: Vec<u8>| files.damage(path, |bytes| *bytes = text);
    match kind % 5 {
        0 => put(paths[0], sealed(rest)),
        1 => put(paths[1], [format!("{:08x}\n", crc32c::crc32c(rest)).as_bytes(), rest].concat()),
        2 => put(paths[0], rest.to_vec()),
        3 => put(paths[1], rest.to_vec()),
        _ => {
            damage::all(rest).for_each(|(file, hit)| files.damage(paths[usize::from(file)], |b| hit.apply(b)))
        }
    }
    let is_changed = before != paths.map(|path| files.read(path).ok().flatten());
    let found = match open(&files) {
        Ok((_, found)) => found,
        Err(error) => {
            let told = error.to_string();
            must!(is_changed, "what was written is refused: {told}");
            let is_named = paths.iter().any(|path| told.starts_with(&format!("{}: ", path.display())));
            must!(is_named && !told.contains('\n'), "the file is not named: {told:?}");
            return Ok(Answer::new(told));
        }
    };
    // A checksum that fits was made for it on purpose; without one nothing changed may pass.
    must!(!is_changed || kind % 5 < 2, "a changed file was read: {found:?}");
    again(&files, &found)?;
    let Found { disk, run } = found;
    Ok(Answer::new(format!("disk {}, run {}", disk.is_some(), run.is_some())))
}

/// A record with the header that the disk's file has.
fn sealed(record: &[u8]) -> Vec<u8> {
    let mut bytes = b"PKNS".to_vec();
    bytes.extend(SCHEMA.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(crc32c::crc32c_append(crc32c::crc32c(&bytes), record).to_le_bytes());
    bytes.extend(record);
    bytes
}

/// Written again, what was found is found again.
fn again(files: &FaultyFiles, found: &Found) -> Result<(), Broken> {
    let failed = |error: StoreError| Broken(format!("what was read cannot be written: {error}"));
    let (mut store, _) = open(files).map_err(failed)?;
    store.persist(&(), &NodeRecord { disk: found.disk.clone(), run: found.run.clone() }).map_err(failed)?;
    drop(store);
    let (_, read) = open(files).map_err(failed)?;
    must!(read.disk == found.disk, "written again, the disk's record is another one");
    must!(read.run == found.run, "written again, this boot's record is another one");
    Ok(())
}
