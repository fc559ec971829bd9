//! The fingerprint of what node and witness must agree on.
//!
//! FNV-1a with 64 bits over a canonical text: one line per fact, each ended by a line feed, in growing order of
//! ids. It finds mistakes, it is no defence: both sides are authenticated.
//!
//! ```text
//! picket 1
//! node <id> <name>
//! volume <id> <name> <member id> <member id> …
//! heartbeat <ns>        misses <count>       watchdog <ns> <ns> | watchdog none
//! lease <ns>            freeze_before <ns>   guard <ns>
//! lateness <ns>         freeze_time <ns>     start_within <ns>
//! ```

use core::fmt::Write as _;
use core::time::Duration;
use picket_core::ids::{ConfigDigest, NodeId, NodeSet, VolumeId};
use picket_core::params::Params;

#[cfg(test)]
mod tests;

/// What the fingerprint covers of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume<'a> {
    /// Its id.
    pub id: VolumeId,
    /// Its name.
    pub name: &'a str,
    /// Who has a replica of it.
    pub members: NodeSet,
}

/// The fingerprint of a cluster's members, volumes and timings. The order of the slices does not matter; names
/// are free of blanks and line feeds, which the configuration readers of both sides see to.
#[must_use]
pub fn digest(members: &[(NodeId, &str)], volumes: &[Volume<'_>], params: &Params) -> ConfigDigest {
    ConfigDigest(fnv1a(canonical(members, volumes, params).as_bytes()))
}

fn canonical(members: &[(NodeId, &str)], volumes: &[Volume<'_>], params: &Params) -> String {
    let mut members = members.to_vec();
    members.sort_unstable();
    let mut volumes = volumes.to_vec();
    volumes.sort_unstable_by_key(|volume| volume.id);
    let mut text = String::from("picket 1\n");
    // Writing to a String cannot fail.
    for (id, name) in members {
        let _ = writeln!(text, "node {id} {name}");
    }
    for volume in volumes {
        let _ = write!(text, "volume {} {}", volume.id, volume.name);
        for member in volume.members.iter() {
            let _ = write!(text, " {member}");
        }
        text.push('\n');
    }
    let _ = timings(&mut text, params);
    text
}

fn timings(text: &mut String, params: &Params) -> core::fmt::Result {
    // Taken apart, so that a new timing cannot be forgotten here.
    let Params {
        heartbeat,
        misses,
        watchdog,
        lease,
        freeze_before,
        guard,
        lateness,
        freeze_time,
        start_within,
    } = params;
    let ns = Duration::as_nanos;
    writeln!(text, "heartbeat {}", ns(heartbeat))?;
    writeln!(text, "misses {misses}")?;
    match watchdog {
        Some(dog) => writeln!(text, "watchdog {} {}", ns(&dog.effective), ns(&dog.pet))?,
        None => writeln!(text, "watchdog none")?,
    }
    writeln!(text, "lease {}", ns(lease))?;
    writeln!(text, "freeze_before {}", ns(freeze_before))?;
    writeln!(text, "guard {}", ns(guard))?;
    writeln!(text, "lateness {}", ns(lateness))?;
    writeln!(text, "freeze_time {}", ns(freeze_time))?;
    writeln!(text, "start_within {}", ns(start_within))
}

/// FNV-1a with 64 bits.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}
