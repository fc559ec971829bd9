//! Faults in words.

use super::super::thaws::ThawFault;
use super::Fault;
use std::fmt;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(n) => write!(f, "node {n} loses its power"),
            Self::Reboot(n) => write!(f, "node {n} reboots"),
            Self::PowerFailure => f.write_str("every node loses its power for a moment"),
            Self::PowerOn(n) => write!(f, "somebody switches node {n} on"),
            Self::RestartDaemon(n) => write!(f, "the daemon of node {n} dies and is started again"),
            Self::DiesBetween(n) => {
                write!(f, "the daemon of node {n} will die between its two records, and is started again")
            }
            Self::Thaw(n, ThawFault::Late) => {
                write!(f, "the next thaw on node {n} is not done in its time, and its driver cannot tell")
            }
            Self::Thaw(n, ThawFault::Unheard) => {
                write!(f, "nobody tells how the next thaw on node {n} ended")
            }
            Self::KillDaemon(n) => write!(f, "the daemon of node {n} dies for long"),
            Self::StallShort(n) => write!(f, "the daemon of node {n} is stopped for a moment"),
            Self::StallLong(n) => write!(f, "the daemon of node {n} is stopped for longer than a lease"),
            Self::StallTorn(n) => {
                write!(
                    f,
                    "the daemon of node {n} is stopped, its petting thread between its last look at the clock and the pet"
                )
            }
            Self::Pause(n) => write!(f, "node {n} is paused with its clock"),
            Self::SlowDriver(n) => write!(f, "the drivers of node {n} are slow"),
            Self::SlowPromotion(n) => write!(f, "the next promotion on node {n} takes long"),
            Self::FrozenPromotion(n) => {
                write!(f, "the next promotion on node {n} takes long, and ends with a freeze")
            }
            Self::LonePromotion(n) => {
                write!(f, "the next promotion on node {n} takes a while and does not need its daemon")
            }
            Self::BlindDriver(n) => write!(f, "the drivers of node {n} cannot see their volumes"),
            Self::Reorder => f.write_str("messages arrive in another order"),
            Self::RestartWitness => f.write_str("the witness restarts"),
            Self::StallWitness => f.write_str("the witness is stopped for longer than a lease"),
            Self::NapWitness => f.write_str("the witness is stopped for a moment"),
            Self::KillWitness => f.write_str("the witness is away for long"),
            Self::RollBackWitness => f.write_str("the witness's store is put back, and nobody says so"),
            Self::RestoreWitness => f.write_str("the witness is restored from its backup"),
            Self::ReplaceWitness => f.write_str("the witness is lost, and an empty one takes over"),
            Self::BackUpWitness => f.write_str("the witness's store is copied"),
            Self::Agent(fault) => write!(f, "the next fence agent: {fault}"),
            Self::StopHangs(n) => write!(f, "the next stop on node {n} hangs"),
            Self::Move(n) => write!(f, "an operator moves volume 1 to node {n}"),
            Self::Stop(n) => write!(f, "an operator stops the daemon of node {n}"),
            Self::LeaveRunning(n) => {
                write!(f, "an operator stops the daemon of node {n} and leaves running what it holds")
            }
            Self::Retime(n) => {
                write!(f, "node {n} gets the later configuration, and its daemon is restarted")
            }
            Self::RetimeWitness => f.write_str("the witness gets the later configuration and is restarted"),
            Self::Standby(n) => write!(f, "an operator puts node {n} on standby"),
            Self::Online(n) => write!(f, "an operator puts node {n} online again"),
            Self::Release(n) => write!(f, "an operator has node {n} release what it holds"),
            Self::Evict(n) => write!(f, "an operator takes node {n} out of the in-sync set"),
            Self::FenceByHand(a, b) => write!(f, "an operator has node {a} fence node {b}"),
            Self::Attest(n) => write!(f, "an operator attests that node {n} is off"),
            Self::Override(n) => write!(f, "an operator activates volume 1 on node {n} without a witness"),
            Self::Adopt(None) => f.write_str("an operator has the witness adopt what was reported"),
            Self::Adopt(Some(n)) => {
                write!(f, "an operator has the witness adopt what was reported, and names node {n}")
            }
            Self::AdoptEarly => {
                f.write_str("an operator has the witness adopt what was reported, while others boot")
            }
            link => of_link(*link, f),
        }
    }
}

/// What happens to links and to what is on them.
fn of_link(fault: Fault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match fault {
        Fault::Cut(a, b) => write!(f, "nothing of node {a} arrives at node {b}"),
        Fault::CutBeats(a, b) => write!(f, "no heartbeat of node {a} arrives at node {b}"),
        Fault::CutData(a, b) => write!(f, "the replication between node {a} and node {b} is cut"),
        Fault::StallData(a, b) => {
            write!(f, "nothing replicated arrives between node {a} and node {b}, which neither notices")
        }
        Fault::CutVolume(v, a, b) => {
            write!(f, "the replication of volume {v} between node {a} and node {b} is cut")
        }
        Fault::CutWitness(n) => write!(f, "node {n} is cut from the witness"),
        Fault::CutToWitness(n) => write!(f, "the witness does not hear node {n}"),
        Fault::CutStream(a, b) => {
            write!(f, "nothing that the daemon of node {a} says arrives at node {b}")
        }
        Fault::DropBeats(a, b, 1) => write!(f, "the next heartbeat of node {a} to node {b} is lost"),
        Fault::DropBeats(a, b, count) => {
            write!(f, "the next {count} heartbeats of node {a} to node {b} are lost")
        }
        Fault::Break(n) => {
            write!(f, "node {n}'s stream to the witness breaks, and what was on it is lost")
        }
        Fault::BreakPeer(a, b) => {
            write!(f, "the streams between node {a} and node {b} break, and what was on them is lost")
        }
        Fault::CutFromWitness(n) => write!(f, "node {n} does not hear the witness"),
        Fault::CutSwitch(n) => write!(f, "node {n} is cut from the witness and from all replication"),
        Fault::Mute(n) => write!(f, "nothing that node {n} sends arrives"),
        Fault::Isolate(n) => write!(f, "node {n} is cut from everybody"),
        Fault::Heal => f.write_str("every link works again"),
        Fault::HoldFromWitness(n) => write!(f, "what the witness sends to node {n} is held up"),
        Fault::HoldToWitness(n) => write!(f, "what node {n} sends to the witness is held up"),
        Fault::HoldPeer(a, b) => write!(f, "what node {a} says to node {b} is held up"),
        Fault::Ghosts(n) => {
            write!(f, "node {n}'s stream to the witness breaks, and what was on it arrives later")
        }
        Fault::Again(n) => write!(f, "what the witness said to node {n} arrives again later"),
        Fault::Duplicate(a, b) => write!(f, "what node {a} said to node {b} arrives again later"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_words_of_its_own() {
        let all = Fault::all(3).into_iter().chain(Fault::thaws(3));
        let mut words: Vec<String> = all.map(|fault| fault.to_string()).collect();
        let all = words.len();
        assert!(words.iter().all(|text| !text.is_empty()));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
    }
}
