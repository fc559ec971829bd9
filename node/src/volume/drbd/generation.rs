//! DRBD's data generation, out of what `drbdadm get-gi` prints.
//!
//! ```text
//! F2D2F1A0C6DC7F31:0000000000000000:7C1C2B6E1A2C6A52:0000000000000004:1:1:0:1:0:0:0
//! current          bitmap           history …                        flags
//! ```
//! DRBD 8.4 prints one line, DRBD 9 one for each peer, with that peer's own bitmap. The lowest bit of a current UUID
//! says whether the node was Primary and is no part of it: it differs between two replicas of the same data.

use picket_core::evidence::Generation;
use picket_core::ids::GenerationId;

/// What DRBD writes where a replica was never in sync with anything.
const JUST_CREATED: u64 = 4;

/// Reads all lines as one generation.
///
/// # Errors
/// What is not understood; also a replica that never had data.
pub fn parse(text: &str) -> Result<Generation, String> {
    let mut current = None;
    let mut history = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut uuids = line.split(':').take_while(|field| field.len() == 16).map(uuid);
        let first = uuids.next().ok_or_else(|| format!("get-gi: no current UUID: {line:?}"))??;
        if *current.get_or_insert(first) != first {
            return Err(format!("get-gi: two current UUIDs in {text:?}"));
        }
        for former in uuids {
            let former = former?;
            if former != 0 && former != JUST_CREATED && former != first && !history.contains(&former) {
                history.push(former);
            }
        }
    }
    match current {
        None => Err("get-gi printed nothing".to_owned()),
        Some(0 | JUST_CREATED) => Err("the replica was never in sync with any data".to_owned()),
        Some(current) => Ok(Generation {
            current: id(current),
            history: history.into_iter().take(Generation::HISTORY_MAX).map(id).collect(),
        }),
    }
}

/// What is known of the data that is read now. The kernel of 8.4 keeps two former UUIDs, and each resync brings two: what it
/// forgets counts while the data that was read before is an ancestor of what is read now, by the kernel's own words.
#[must_use]
pub fn succeed(before: Option<&Generation>, mut now: Generation) -> Generation {
    let Some(before) = before.filter(|before| now.descends_from(before.current)) else { return now };
    for former in core::iter::once(before.current).chain(before.history.iter().copied()) {
        let is_known = former == now.current || now.history.contains(&former);
        if !is_known && now.history.len() < Generation::HISTORY_MAX {
            now.history.push(former);
        }
    }
    now
}

fn uuid(field: &str) -> Result<u64, String> {
    let digits = field.bytes().all(|digit| digit.is_ascii_hexdigit());
    let parsed = u64::from_str_radix(field, 16).ok().filter(|_| digits);
    parsed
        .map(|uuid| uuid & !1)
        .ok_or_else(|| format!("get-gi: {field:?} is no UUID of 16 hexadecimal digits"))
}

fn id(uuid: u64) -> GenerationId {
    GenerationId(u128::from(uuid))
}
