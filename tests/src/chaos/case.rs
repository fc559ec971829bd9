//! One case: which directions are cut, what is done to which process, and who holds the volume.

use crate::dice::Dice;
use core::fmt;
use core::str::FromStr;

/// Directions between the holder (A), the other node (B) and the witness (W), by the bit that cuts them.
pub(super) const DIRECTIONS: [(Whom, Whom); 6] = [
    (Whom::Holder, Whom::Other),
    (Whom::Other, Whom::Holder),
    (Whom::Holder, Whom::Witness),
    (Whom::Witness, Whom::Holder),
    (Whom::Other, Whom::Witness),
    (Whom::Witness, Whom::Other),
];

/// Whose process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// The daemon of the node that holds the volume.
    Holder,
    /// The daemon of the other node.
    Other,
    /// The witness.
    Witness,
    /// The volume's server on the holder.
    HolderLedger,
    /// The volume's server on the other node.
    OtherLedger,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Killed, and not started again.
    Kill,
    /// Stopped as by SIGSTOP.
    Stop,
    /// Killed, and started again at once.
    Restart,
    /// Stopped and continued in short pulses, so that it gets a quarter of the time.
    Slow,
}

/// What is done to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blow {
    /// What.
    pub how: How,
    /// To whom.
    pub whom: Whom,
}

/// Every blow, and none.
pub const BLOWS: [Option<Blow>; 21] = {
    let whom = [Whom::Holder, Whom::Other, Whom::Witness, Whom::HolderLedger, Whom::OtherLedger];
    let how = [How::Kill, How::Stop, How::Restart, How::Slow];
    let mut blows = [None; 21];
    let mut at = 0;
    while at < 20 {
        blows[at + 1] = Some(Blow { how: how[at % 4], whom: whom[at / 4] });
        at += 1;
    }
    blows
};

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// A bit for each of `DIRECTIONS` that is cut, 0 to 63.
    pub cuts: u8,
    /// What is done beside that.
    pub blow: Option<Blow>,
    /// The number of the node that holds the volume, 1 or 2.
    pub holder: u8,
}

impl Case {
    /// Whether what `from` sends to `to` is cut.
    #[must_use]
    pub fn is_cut(self, from: Whom, to: Whom) -> bool {
        DIRECTIONS
            .iter()
            .position(|direction| *direction == (from, to))
            .is_some_and(|bit| self.cuts >> bit & 1 == 1)
    }

    /// Whether both directions between two are whole.
    #[must_use]
    pub fn is_whole(self, one: Whom, other: Whom) -> bool {
        !self.is_cut(one, other) && !self.is_cut(other, one)
    }

    /// Whether the lines to the power switches go the way of the cut links. With one of the two holders they do,
    /// with the other one they have a way of their own.
    #[must_use]
    pub const fn power_is_cut(self) -> bool {
        (self.cuts.count_ones() + self.holder as u32).is_multiple_of(2)
    }

    /// Whether the blow comes before the cut.
    #[must_use]
    pub const fn blow_first(self) -> bool {
        self.cuts.count_ones() % 2 == self.holder as u32 % 2
    }
}

/// Every case: 64 patterns × 21 × 2.
#[must_use]
pub fn all() -> Vec<Case> {
    let each = |blow: &Option<Blow>| {
        let blow = *blow;
        (0..64_u8).flat_map(move |cuts| [1, 2].map(|holder| Case { cuts, blow, holder }))
    };
    BLOWS.iter().flat_map(each).collect()
}

/// So many cases, the same for the same seed: each blow in turn with patterns drawn by chance.
#[must_use]
pub fn sample(seed: u64, count: usize) -> Vec<Case> {
    let mut dice = Dice::new(seed);
    let mut cases: Vec<Case> = Vec::with_capacity(count);
    for blow in BLOWS.iter().cycle().take(count) {
        let cuts = u8::try_from(dice.below(64)).unwrap_or(0);
        let holder = u8::try_from(1 + dice.below(2)).unwrap_or(1);
        cases.push(Case { cuts, blow: *blow, holder });
    }
    cases
}

const HOWS: [(How, &str); 4] =
    [(How::Kill, "kill"), (How::Stop, "stop"), (How::Restart, "restart"), (How::Slow, "slow")];

const WHOMS: [(Whom, &str); 5] = [
    (Whom::Holder, "holder"),
    (Whom::Other, "other"),
    (Whom::Witness, "witness"),
    (Whom::HolderLedger, "holder_volume"),
    (Whom::OtherLedger, "other_volume"),
];

fn word<T: PartialEq>(all: &[(T, &'static str)], value: &T) -> &'static str {
    all.iter().find(|(one, _)| one == value).map_or("?", |(_, word)| word)
}

fn value<T: Copy>(all: &[(T, &'static str)], text: &str) -> Option<T> {
    all.iter().find(|(_, word)| *word == text).map(|(value, _)| *value)
}

/// `c21-kill:holder-n1`: cuts, blow, holder.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:02}-", self.cuts)?;
        match &self.blow {
            None => f.write_str("none")?,
            Some(Blow { how, whom }) => write!(f, "{}:{}", word(&HOWS, how), word(&WHOMS, whom))?,
        }
        write!(f, "-n{}", self.holder)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no case: {text:?}; expected for example c21-kill:holder-n1");
        let mut parts = text.splitn(3, '-');
        let (cuts, blow, holder) = (parts.next(), parts.next(), parts.next());
        let cuts = cuts.and_then(|cuts| cuts.strip_prefix('c')?.parse().ok()).filter(|cuts| *cuts < 64);
        let holder = holder.and_then(|holder| holder.strip_prefix('n')?.parse().ok());
        let blow = match blow.ok_or_else(wrong)? {
            "none" => None,
            blow => {
                let (how, whom) = blow.split_once(':').ok_or_else(wrong)?;
                let (how, whom) = value(&HOWS, how).zip(value(&WHOMS, whom)).ok_or_else(wrong)?;
                Some(Blow { how, whom })
            }
        };
        let holder = holder.filter(|holder| (1..=2).contains(holder)).ok_or_else(wrong)?;
        Ok(Self { cuts: cuts.ok_or_else(wrong)?, blow, holder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_is_there_once_and_its_name_leads_back_to_it() {
        let all = all();
        assert_eq!(all.len(), 64 * 21 * 2);
        assert_eq!(all.iter().copied().collect::<BTreeSet<Case>>().len(), all.len());
        for case in all {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        for wrong in ["", "c64-none-n1", "c1-none-n3", "c1-kill-n1", "c1-kill:nobody-n1", "1-none-n1"] {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sample_repeats_and_has_every_blow() {
        let drawn = sample(3, 42);
        assert_eq!(drawn, sample(3, 42));
        assert_ne!(drawn, sample(4, 42));
        assert_eq!(drawn.iter().map(|case| case.blow).collect::<BTreeSet<_>>().len(), 21);
    }

    #[test]
    fn a_cut_has_a_direction() {
        let case = Case { cuts: 0b00_0100, blow: None, holder: 1 };
        assert!(case.is_cut(Whom::Holder, Whom::Witness) && !case.is_cut(Whom::Witness, Whom::Holder));
        assert!(!case.is_whole(Whom::Witness, Whom::Holder) && case.is_whole(Whom::Holder, Whom::Other));
    }
}
