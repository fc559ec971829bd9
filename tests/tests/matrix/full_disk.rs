//! A witness whose disk is full: row 29.
//!
//! The disk is a small file system in memory, in mounts of the test's own: the test runs itself again in a mount
//! namespace (as root; otherwise in a user namespace as well), so that nothing stays behind however it ends.
//!
//! The store writes its log's space in advance, so a full disk shows late on an honest one. Here the space that was
//! promised is taken away again, as a thin volume does whose pool is full.

use super::lab::{LIMIT, Lab, Outcome, V1, play, two};
use picket::demo::Fault;
use picket::demo::cluster::{View, WITNESS, WITNESSD};
use picket::demo::machine::control::ProgramState;
use picket_proto::v1::{MaintenanceRequest, Status};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says to the test that it runs in mounts of its own.
const OWN_MOUNTS: &str = "PICKET_TEST_OWN_MOUNTS";

/// The disk: two segments of the store, of which one is being made while the other counts, and some room.
const DISK: &str = "size=12m";

/// A change is some hundred bytes, and a page that the store has begun takes 4096 of them.
const CHANGES_MAX: u64 = 64;

#[test]
fn row_29_the_witness_disk_is_full() {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return play(full());
    }
    let mut unshare = Command::new("unshare");
    if !fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "--propagation", "private"]);
    unshare.arg(std::env::current_exe().expect("this test's path"));
    unshare.args(["--exact", "full_disk::row_29_the_witness_disk_is_full", "--nocapture"]);
    let status = unshare.env(OWN_MOUNTS, "1").status().expect("unshare, of util-linux");
    assert!(status.success(), "see above");
}

async fn full() -> Outcome {
    let lab = Lab::start(two()).await?;
    let store = small_disk(&lab).await?;
    let fault = Fault::now();
    take_space(&store)?;
    let machine = lab.cluster.machine(WITNESS)?;
    let starts = machine.status().await?.program(WITNESSD).map(|program| program.starts);
    change_until_it_ends(&lab, starts).await?;
    let log = machine.spec().log_file(WITNESSD);
    let said = fs::read_to_string(&log)?;
    assert!(said.contains("witness-failed") && said.contains("No space left on device"), "{said}");
    // Service goes on as without a witness: longer than any lease lasts by itself.
    lab.event(&lab.holder, "failsafe", fault).await?;
    lab.scene().writes_go_on("while the witness has no disk", 2500).await?;
    lab.nothing_moved(fault);
    fs::remove_file(store.join("filler"))?;
    lab.cluster.wait_healthy(LIMIT).await?;
    // Still in use: taken out of sight, so that the lab's directory can go, and gone with its last user.
    let taken_out = Command::new("umount").arg("--lazy").arg(&store).status()?;
    assert!(taken_out.success(), "{} stays mounted", store.display());
    let holder = lab.holder.clone();
    lab.judge(&holder).await
}

/// Puts the witness's store on a disk of its own; returns where it is.
async fn small_disk(lab: &Lab) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
    let store = lab.cluster.dir().join(WITNESS).join("state/store");
    let machine = lab.cluster.machine(WITNESS)?;
    machine.power_off().await?;
    // What everybody said before is not to be taken for the answer to what follows.
    let unanswered = |view: &View| {
        let registered = |status: &Status| status.witness.as_ref().is_some_and(|witness| witness.registered);
        view.witness().is_none() && !view.nodes().any(|(_, status)| registered(status))
    };
    lab.cluster.wait_for("a witness that answers nobody", LIMIT, unanswered).await?;
    let kept = lab.cluster.dir().join("kept");
    fs::rename(&store, &kept)?;
    fs::create_dir(&store)?;
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "picket-test"]).arg(&store).status()?;
    assert!(mount.success(), "no file system in memory");
    for entry in fs::read_dir(&kept)? {
        let entry = entry?;
        fs::copy(entry.path(), store.join(entry.file_name()))?;
    }
    machine.power_on().await?;
    lab.cluster.wait_healthy(LIMIT).await?;
    Ok(store)
}

/// Takes back the space of the log that is not written yet, and fills the disk.
fn take_space(store: &Path) -> Outcome {
    for entry in fs::read_dir(store)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { continue };
        let free = (last + 1).next_multiple_of(4096);
        if free < bytes.len() {
            let (offset, length) = (free.to_string(), (bytes.len() - free).to_string());
            let mut punch = Command::new("fallocate");
            punch.args(["--punch-hole", "--offset", &offset, "--length", &length]).arg(&path);
            assert!(punch.status()?.success(), "{}: no hole can be made", path.display());
        }
    }
    let mut filler = File::create(store.join("filler"))?;
    // Ends: the disk is small.
    loop {
        match filler.write_all(&[1; 4096]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Has the witness write changes until it has ended and was started again in vain.
async fn change_until_it_ends(lab: &Lab, starts: Option<u64>) -> Outcome {
    let machine = lab.cluster.machine(WITNESS)?;
    for change in 1..=CHANGES_MAX {
        let mut daemon = lab.daemon(&lab.holder).await?;
        let request = MaintenanceRequest { node: lab.other.clone(), length_ms: 60_000 * (change % 2) };
        // The change that finds the disk full has no answer.
        let answer = daemon.calls().maintenance(request).await;
        let status = machine.status().await?;
        let program = status.program(WITNESSD).expect("the witness's machine");
        if answer.is_err() || program.state != ProgramState::Running || Some(program.starts) > starts {
            break;
        }
    }
    let again = machine.until(|status| {
        status.program(WITNESSD).is_some_and(|program| Some(program.starts) > starts.map(|starts| starts + 1))
    });
    tokio::time::timeout(LIMIT, again).await.map_err(|_| format!("{V1}: the witness goes on"))??;
    Ok(())
}
