use super::petter::{Tell, Trouble};
use super::{Bounds, Watchdog, lab, start};
use crate::time::now;
use core::time::Duration;
use picket_core::params::Watchdog as Timing;
use picket_core::time::Instant;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const PET: Duration = Duration::from_millis(5);
/// A watchdog so slow that no stall of a test comes near its time.
const TIMING: Timing = Timing { effective: Duration::from_secs(10), pet: PET };

/// What was done to a watchdog.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Did {
    Pet,
    Disarm,
    Bite,
    Neglect,
}

/// A watchdog that tells what is done to it; `during` runs inside each pet.
pub(super) struct Told<F> {
    did: Sender<Did>,
    during: F,
}

impl<F: FnMut() -> io::Result<()> + Send> Watchdog for Told<F> {
    fn pet(&mut self) -> io::Result<()> {
        let done = (self.during)();
        let _ = self.did.send(Did::Pet);
        done
    }
    fn disarm(&mut self) -> io::Result<()> {
        let _ = self.did.send(Did::Disarm);
        Ok(())
    }
    fn bite(&mut self) -> io::Result<()> {
        let _ = self.did.send(Did::Bite);
        Ok(())
    }
    fn neglected(&mut self, _: Duration) {
        let _ = self.did.send(Did::Neglect);
    }
}

pub(super) fn told<F: FnMut() -> io::Result<()> + Send + 'static>(
    during: F,
) -> (Box<Told<F>>, Receiver<Did>) {
    let (did, seen) = channel();
    (Box::new(Told { did, during }), seen)
}

fn silent() -> (Tell, Receiver<Trouble>) {
    let (tell, told) = channel();
    let tell = Box::new(move |trouble| {
        if !matches!(trouble, Trouble::NoPriority(_)) {
            let _ = tell.send(trouble);
        }
    });
    (tell, told)
}

/// The next thing that is done other than what is passed over.
fn after(seen: &Receiver<Did>, over: Did) -> Did {
    loop {
        let did = seen.recv().unwrap();
        if did != over {
            return did;
        }
    }
}

#[test]
fn it_pets_only_within_both_bounds() {
    for (lease, progress) in
        [(Instant::BOOT, Instant::NEVER), (Instant::NEVER, Instant::BOOT), (now(), now())]
    {
        let (watchdog, seen) = told(|| Ok(()));
        let bounds = Bounds::new();
        bounds.publish(lease, progress);
        let petting = start(watchdog, TIMING, bounds.clone(), silent().0).unwrap();
        assert_eq!([seen.recv().unwrap(), seen.recv().unwrap()], [Did::Neglect, Did::Neglect]);
        assert!(!petting.is_petted());
        bounds.publish(Instant::NEVER, Instant::NEVER);
        assert_eq!(after(&seen, Did::Neglect), Did::Pet);
        bounds.publish(lease, progress);
        petting.close().unwrap();
    }
}

#[test]
fn an_orderly_close_disarms_and_a_dropped_handle_does_not() {
    let (watchdog, seen) = told(|| Ok(()));
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let petting = start(watchdog, TIMING, bounds.clone(), silent().0).unwrap();
    assert_eq!(seen.recv().unwrap(), Did::Pet);
    petting.close().unwrap();
    assert_eq!(after(&seen, Did::Pet), Did::Disarm);
    assert!(seen.recv().is_err(), "the thread has ended");

    let (watchdog, seen) = told(|| Ok(()));
    drop(start(watchdog, TIMING, bounds, silent().0).unwrap());
    assert!(seen.iter().all(|did| did == Did::Pet), "it neither disarmed nor went on");
}

#[test]
fn a_pet_that_comes_too_late_resets_at_once() {
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let inside = bounds.clone();
    // The pet takes so long that the bound has passed by more than the watchdog's time when it is over.
    let (watchdog, seen) = told(move || {
        inside.publish(now() - TIMING.effective - Duration::from_millis(1), Instant::NEVER);
        Ok(())
    });
    let (tell, troubles) = silent();
    let _petting = start(watchdog, TIMING, bounds, tell).unwrap();
    assert_eq!([seen.recv().unwrap(), seen.recv().unwrap()], [Did::Pet, Did::Bite]);
    assert!(matches!(troubles.recv().unwrap(), Trouble::Late { .. }));
}

#[test]
fn a_pet_within_the_margin_is_in_time() {
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let inside = bounds.clone();
    let (watchdog, seen) = told(move || {
        // Past the bound, by less than the watchdog's time.
        inside.publish(now() - PET, Instant::NEVER);
        Ok(())
    });
    let petting = start(watchdog, TIMING, bounds, silent().0).unwrap();
    assert_eq!([seen.recv().unwrap(), seen.recv().unwrap()], [Did::Pet, Did::Neglect]);
    petting.close().unwrap();
    assert_eq!(after(&seen, Did::Neglect), Did::Disarm);
}

#[test]
fn a_pet_whose_arrival_nobody_saw_resets_when_its_bound_has_passed() {
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let (watchdog, seen) = told(|| Err(io::ErrorKind::TimedOut.into()));
    let (tell, _troubles) = silent();
    let _petting = start(watchdog, TIMING, bounds.clone(), tell).unwrap();
    assert_eq!(seen.recv().unwrap(), Did::Pet);
    bounds.publish(Instant::BOOT, Instant::NEVER);
    assert_eq!(after(&seen, Did::Pet), Did::Bite);
}

#[test]
fn a_reset_makes_it_bite_and_nothing_pets_again() {
    let (watchdog, seen) = told(|| Ok(()));
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let petting = start(watchdog, TIMING, bounds.clone(), silent().0).unwrap();
    assert_eq!(seen.recv().unwrap(), Did::Pet);
    bounds.reset();
    petting.bite().now();
    assert_eq!(after(&seen, Did::Pet), Did::Bite);
    // Even a loop that goes on publishing does not bring it back.
    bounds.publish(Instant::NEVER, Instant::NEVER);
    assert_eq!([seen.recv().unwrap(), seen.recv().unwrap()], [Did::Bite, Did::Bite]);
}

#[test]
fn trouble_is_told_once_until_it_is_over() {
    // In the middle, and from the first pet on.
    for fails in [3..6, 1..4] {
        let mut count = 0;
        let (watchdog, seen) = told(move || {
            count += 1;
            if fails.contains(&count) { Err(io::Error::other("gone")) } else { Ok(()) }
        });
        let bounds = Bounds::new();
        bounds.publish(Instant::NEVER, Instant::NEVER);
        let (tell, troubles) = silent();
        let petting = start(watchdog, TIMING, bounds, tell).unwrap();
        for _ in 0..8 {
            assert_eq!(seen.recv().unwrap(), Did::Pet);
        }
        petting.close().unwrap();
        let all: Vec<_> = troubles.iter().collect();
        assert_eq!(all, [Trouble::NotPetted("gone".to_owned()), Trouble::PettedAgain]);
    }
}

/// A lab machine's watchdog, as far as the protocol goes: tells each line and answers it.
fn supervisor(path: &Path, answer: impl Fn(&str) -> String + Send + 'static) -> Receiver<String> {
    let listener = UnixListener::bind(path).unwrap();
    let (tell, lines) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: UnixStream = stream.unwrap();
            let reader = BufReader::new(stream.try_clone().unwrap());
            for line in reader.lines().map_while(Result::ok) {
                let answer = answer(&line);
                if tell.send(line).is_err() {
                    return;
                }
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    lines
}

fn answer(line: &str) -> String {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["pet", ms] => format!("ok {ms}\n"),
        ["measure", ms] => format!("effective {ms}\n"),
        ["V"] => "ok 0\n".to_owned(),
        _ => "error what\n".to_owned(),
    }
}

const W: Duration = Duration::from_millis(500);

#[test]
fn the_lab_watchdog_is_petted_over_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.sock");
    let lines = supervisor(&path, answer);
    let watchdog = lab::Lab::connect(&path, W, PET).unwrap();
    assert_eq!(lines.recv().unwrap(), "measure 500");
    let bounds = Bounds::new();
    bounds.publish(Instant::NEVER, Instant::NEVER);
    let petting = start(Box::new(watchdog), TIMING, bounds, silent().0).unwrap();
    assert_eq!([lines.recv().unwrap(), lines.recv().unwrap()], ["pet 500", "pet 500"]);
    petting.close().unwrap();
    assert_eq!(lines.iter().find(|line| line != "pet 500").as_deref(), Some("V"));
}

#[test]
fn a_lab_watchdog_bites_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.sock");
    let lines = supervisor(&path, answer);
    let mut watchdog = lab::Lab::connect(&path, W, PET).unwrap();
    watchdog.bite().unwrap();
    assert_eq!(lines.iter().nth(1).as_deref(), Some("pet 1"));
}

#[test]
fn a_lab_watchdog_that_is_slower_than_configured_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.sock");
    let _lines = supervisor(&path, |_| "effective 1000\n".to_owned());
    let error = lab::Lab::connect(&path, W, PET).err().unwrap().to_string();
    assert!(error.ends_with("w.sock: bites 1s after a pet; the configuration says 500ms"), "{error}");
    assert!(lab::Lab::connect(&dir.path().join("none"), W, PET).is_err());
}

#[test]
fn an_answer_that_makes_no_sense_is_no_pet_and_the_next_one_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.sock");
    let pets = std::sync::atomic::AtomicU32::new(0);
    let _lines = supervisor(&path, move |line| {
        let first = line.starts_with("pet") && pets.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first { "error busy\n".to_owned() } else { answer(line) }
    });
    let mut watchdog = lab::Lab::connect(&path, W, PET).unwrap();
    assert!(watchdog.pet().is_err());
    assert!(watchdog.pet().is_ok(), "on a new connection");
}

#[test]
fn a_measurement_is_what_was_written_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("record");
    std::fs::write(&path, "0\n10\n990\n1000\n10").unwrap();
    assert_eq!(super::measure::recorded(&path).unwrap(), Duration::from_millis(1100));
    std::fs::write(&path, "1").unwrap();
    assert!(super::measure::recorded(&path).is_err());
}

#[test]
fn a_bound_that_is_brought_forward_is_never_put_back() {
    let bounds = Bounds::new();
    let [early, middle, late] = [1, 2, 3].map(|seconds| Instant::BOOT + Duration::from_secs(seconds));
    bounds.publish(middle, late);
    bounds.bring_forward(late);
    assert_eq!((bounds.lease(), bounds.progress()), (middle.elapsed(), late.elapsed()));
    bounds.bring_forward(early);
    assert_eq!((bounds.lease(), bounds.progress()), (early.elapsed(), late.elapsed()));
    bounds.reset();
    bounds.bring_forward(middle);
    assert_eq!(bounds.lease(), Duration::ZERO);
}
