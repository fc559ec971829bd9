//! A storm: faults of every kind at random moments, on top of each other, and then calm.

use super::play::Played;
use crate::Failure;
use crate::dice::Dice;
use crate::rig::{Rig, program, programs};
use core::time::Duration;
use picket::demo::VOLUME;
use picket::demo::cluster::{ClusterSpec, WITNESS};
use picket::demo::links::{Kind, Kinds, Noise};
use picket::demo::machine::MachineError;
use picket_proto::v1::MoveRequest;

/// The longest time between two faults, in milliseconds: longer than a suspicion takes, shorter than a lease.
const APART_MS_MAX: u64 = 700;

/// How long an operator's request may take before the storm goes on without its answer.
const REQUEST_TAKES: Duration = Duration::from_millis(200);

/// One fault in so many hits something at least: more than half of them are done to links, which can always be cut.
const HIT_ONE_OF: u32 = 4;

/// The kinds of links that a storm cuts.
const KINDS: [Kind; 6] =
    [Kind::Heartbeat(0), Kind::Heartbeat(1), Kind::Peer, Kind::Replication, Kind::Witness, Kind::Power];

/// So many faults, by this seed, on a cluster of its own; then everything must be well again, with nothing lost. Says
/// how many of them hit something.
///
/// # Errors
/// What was not as it should be; the cluster's files are kept then and named.
pub async fn storm(seed: u64, faults: u32) -> Result<u32, Played> {
    let mut dice = Dice::new(seed);
    let nodes = if dice.below(3) == 0 { 3 } else { 2 };
    let mut rig = start(nodes, seed).await.map_err(Played::Unexpected)?;
    let played = rage(&mut rig, &mut dice, faults).await;
    match played {
        Ok(hit) => rig.end().await.map(|()| hit).map_err(Played::Unexpected),
        Err(played) => {
            if let Ok(dir) = rig.keep().await {
                eprintln!("files of storm {seed}: {}", dir.display());
            }
            Err(played)
        }
    }
}

async fn start(nodes: usize, seed: u64) -> Result<Rig, Failure> {
    let spec = ClusterSpec::new(nodes, program()?);
    let pace = Some(Duration::from_millis(2));
    Rig::start(ClusterSpec { client_pace: pace, cold_start: Duration::from_secs(2), seed, ..spec }).await
}

async fn rage(rig: &mut Rig, dice: &mut Dice, faults: u32) -> Result<u32, Played> {
    let mut hit = 0;
    for _ in 0..faults {
        match fault(rig, dice).await {
            Ok(()) => hit += 1,
            // What it hits may be down already: then nothing happens.
            Err(Missed::NotThere) => {}
            Err(Missed::Lab(why)) => {
                return Err(Played::Unexpected(format!("a fault could not be made: {why}").into()));
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.below(APART_MS_MAX))).await;
    }
    rig.cluster.links().set_noise(Noise::default());
    let healed = rig.heal().await;
    if let Err(why) = healed {
        return Err(Played::Unexpected(format!("after the storm: {why}").into()));
    }
    rig.judge().await.map_err(Played::Violation)?;
    if hit * HIT_ONE_OF < faults {
        return Err(Played::Unexpected(
            format!("only {hit} of {faults} faults hit something: that was no storm").into(),
        ));
    }
    Ok(hit)
}

/// Why a fault was none.
enum Missed {
    /// What it would have hit is down, or does not answer now.
    NotThere,
    /// The lab does not work.
    Lab(Failure),
}

/// A machine that refuses an order, because what it is about does not run, works; one that cannot be asked does not.
impl From<MachineError> for Missed {
    fn from(error: MachineError) -> Self {
        match error {
            MachineError::Refused { .. } => Self::NotThere,
            MachineError::File { .. }
            | MachineError::System { .. }
            | MachineError::Spec(_)
            | MachineError::NotReady { .. } => Self::Lab(error.into()),
        }
    }
}

async fn fault(rig: &Rig, dice: &mut Dice) -> Result<(), Missed> {
    let mut names: Vec<String> = rig.cluster.spec().node_names().collect();
    let node = dice.pick(&names).cloned().unwrap_or_default();
    names.push(WITNESS.to_owned());
    let from = dice.pick(&names).cloned().unwrap_or_default();
    // A link leads to another machine.
    let others: Vec<String> = names.into_iter().filter(|name| *name != from).collect();
    let to = dice.pick(&others).cloned().unwrap_or_default();
    let kind = dice.pick(&KINDS).copied().unwrap_or(Kind::Peer);
    let links = rig.cluster.links();
    let machine = rig.cluster.machine(&from).map_err(|error| Missed::Lab(error.into()))?;
    let program = dice.pick(&programs(&from)).cloned().unwrap_or_default();
    match dice.below(16) {
        0 | 1 => links.cut(&from, &to, Kinds::All),
        2 => links.cut_both(&from, &to, Kinds::All),
        3 => links.cut(&from, &to, Kinds::Only(&[kind])),
        4 => links.cut_all_of(&from),
        5 => links.heal_everything(),
        6 => links.heal_both(&from, &to, Kinds::All),
        7 => links.reset(&from, &to, Kinds::All),
        8 => links.set_noise(noise(dice)),
        9 => machine.kill(&program).await?,
        10 => machine.freeze(&program).await?,
        11 => machine.thaw(&program).await?,
        12 => machine.power_off().await?,
        13 => machine.power_on().await?,
        14 => machine.switch_answers(dice.below(2) == 0).await?,
        _ => move_to(rig, &node).await?,
    }
    Ok(())
}

fn noise(dice: &mut Dice) -> Noise {
    Noise {
        loss_ppm: u32::try_from(dice.below(200_000)).unwrap_or(0),
        delay: Duration::from_millis(dice.below(10)),
        jitter: Duration::from_millis(dice.below(40)),
    }
}

/// A daemon that does not run or hangs is asked for nothing.
async fn move_to(rig: &Rig, node: &str) -> Result<(), Missed> {
    let asked = async {
        let mut daemon = rig.cluster.daemon(node).await.map_err(|_| Missed::NotThere)?;
        let request = MoveRequest { tag: VOLUME.to_owned(), node: node.to_owned(), wait_ms: 0 };
        daemon.calls().r#move(request).await.map_err(|_| Missed::NotThere)
    };
    match tokio::time::timeout(REQUEST_TAKES, asked).await {
        Ok(answered) => answered.map(|_| ()),
        // It hangs; should it go on later, it does so without us.
        Err(_) => Err(Missed::NotThere),
    }
}
