//! Answers that were damaged on the way, many thousand of them, and the verdict: never off.

use super::model::{self, System};
use super::*;
use std::panic;

const PATH: &str = "/redfish/v1/Systems/1";

/// A small generator with a seed, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }
}

fn verdict(bytes: &[u8]) -> State {
    let Ok(answer) = http::receive(&mut &*bytes) else { return State::Unknown("no answer".into()) };
    if answer.status != 200 {
        return State::Unknown("another status".into());
    }
    match model::read::<System>(&answer.body) {
        Ok(system) if system.identified(PATH, None, None).is_ok() => system.power(),
        Ok(_) | Err(_) => State::Unknown("another system".into()),
    }
}

fn answer(chunked: bool, power: &str) -> Vec<u8> {
    let body = format!(
        "{{\"@odata.id\":\"{PATH}\",\"@odata.type\":\"#ComputerSystem.v1.ComputerSystem\",\"Boot\":{{\"State\":\"Off\"}},\
         \"PowerState\":\"{power}\",\"Actions\":{{\"#ComputerSystem.Reset\":{{\"target\":\"/x\"}}}},\"Indicator\":\"Off\"}}"
    );
    let (first, second) = body.split_at(body.len() / 2);
    let text = if chunked {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            first.len(),
            second.len()
        )
    } else {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    text.into_bytes()
}

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        match dice.roll(6) {
            0 => bytes[at] ^= 1 << dice.roll(8),
            1 => bytes.truncate(at.max(1)),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, u8::try_from(dice.roll(256)).unwrap()),
            4 => {
                let end = at + dice.roll(bytes.len() - at).min(40);
                let piece = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let end = at + dice.roll(bytes.len() - at).min(40);
                bytes.drain(at..end);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'H');
        }
    }
}

#[test]
fn a_damaged_answer_of_a_machine_that_is_on_is_never_off() {
    let (mut on, mut unknown) = (0, 0);
    for seed in 1..=40_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut bytes = answer(seed % 2 == 0, if seed % 3 == 0 { "PoweringOff" } else { "On" });
        damage(&mut bytes, &mut dice);
        match verdict(&bytes) {
            // Only an answer that reads, in so many words, that it is off may be taken for that. Damage
            // that takes "Powering" out of "PoweringOff" makes one that nobody can tell from a true one.
            State::Off => {
                let text = String::from_utf8_lossy(&bytes).replace("\r\n", "");
                assert!(text.contains("\"Off\""), "seed {seed}: {text}");
                assert_eq!(seed % 3, 0, "seed {seed}: {text}");
            }
            State::On => on += 1,
            State::Unknown(_) => unknown += 1,
        }
    }
    assert!(on > 300 && unknown > 10_000, "the damage is neither too little nor too much: {on}, {unknown}");
}

#[test]
fn no_bytes_make_a_panic() {
    let read_all = |bytes: &[u8]| {
        let _ = verdict(bytes);
        let _ = model::complaint(bytes);
        let _ = model::is_session_limit(bytes);
        let _ = model::read::<Task>(bytes).map(|task| task.outcome());
        let _ = model::read::<Collection>(bytes);
        let _ = local_part(&String::from_utf8_lossy(bytes));
    };
    for seed in 1..=20_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let bytes: Vec<u8> = (0..dice.roll(200)).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect();
        assert!(panic::catch_unwind(|| read_all(&bytes)).is_ok(), "seed {seed}");
    }
}
