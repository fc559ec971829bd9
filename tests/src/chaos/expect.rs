//! What the rules promise of a case: where the volume is in service once everything has settled.
//!
//! Only what holds whatever comes first is promised. Where the outcome depends on what wins a race (was the other
//! node taken out of the in-sync set before the witness died?) nothing is, and such a case shows safety and the
//! return to health alone.

use super::case::{Blow, Case, How, Whom};

/// Where the volume is in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It stays, and nobody is fenced.
    Stays,
    /// On the holder: it stays, or the holder's machine boots again and gets it back.
    AtHolder,
    /// The other node takes over.
    AtOther,
    /// On one of them.
    Somewhere,
    /// On none of them.
    Nowhere,
    /// Not promised.
    Anything,
}

/// What must follow.
#[must_use]
pub fn expect(case: Case) -> Expect {
    let links = Links {
        hears_holder: !case.is_cut(Whom::Holder, Whom::Witness),
        nodes: case.is_whole(Whom::Holder, Whom::Other),
        holder: case.is_whole(Whom::Holder, Whom::Witness),
        other: case.is_whole(Whom::Other, Whom::Witness),
    };
    match case.blow {
        None => links.alone(),
        Some(Blow { how: How::Kill | How::Stop, whom: Whom::Holder }) => links.holder_gone(),
        Some(Blow { how: How::Kill | How::Stop, whom: Whom::Other }) => links.other_gone(),
        Some(Blow { how: How::Restart | How::Slow, whom: Whom::Other | Whom::OtherLedger })
            if links.holder =>
        {
            Expect::AtHolder
        }
        Some(Blow { how: How::Kill | How::Stop, whom: Whom::OtherLedger }) if links.holder => {
            Expect::AtHolder
        }
        Some(Blow { how: How::Restart, whom: Whom::Holder }) if links.holder && links.other => {
            Expect::Somewhere
        }
        // A lease that ends in the moment of the restart is waited for: L+G more, not less service.
        Some(Blow { how: How::Restart, whom: Whom::Witness }) => match links.alone() {
            Expect::Stays => Expect::AtHolder,
            other => other,
        },
        Some(Blow { how: How::Kill | How::Stop, whom: Whom::Witness }) if links.nodes => Expect::Stays,
        Some(_) => Expect::Anything,
    }
}

/// Which pairs reach each other in both directions.
struct Links {
    /// What the holder says reaches the witness, whether or not it gets an answer.
    hears_holder: bool,
    nodes: bool,
    holder: bool,
    other: bool,
}

impl Links {
    fn alone(&self) -> Expect {
        match (self.holder, self.nodes, self.other) {
            // Through the witness, or by the other node's promise.
            (true, _, _) | (false, true, _) => Expect::Stays,
            // The holder asked to have the other node taken out, which was recorded, and never learns it: then it is
            // alone in the set, frozen, and nobody else may be granted the volume. Or it asked too late.
            (false, false, true) if self.hears_holder => Expect::Anything,
            (false, false, true) => Expect::AtOther,
            (false, false, false) => Expect::Nowhere,
        }
    }

    /// The watchdog resets the holder's machine, which boots again as a new one.
    fn holder_gone(&self) -> Expect {
        match (self.holder, self.other) {
            // Whoever is first; the other one is out of the set if the holder could take it out before.
            (true, true) => Expect::Somewhere,
            (true, false) => Expect::AtHolder,
            (false, true) if self.hears_holder => Expect::Anything,
            (false, true) => Expect::AtOther,
            (false, false) => Expect::Nowhere,
        }
    }

    /// The watchdog resets the other machine.
    fn other_gone(&self) -> Expect {
        match (self.holder, self.nodes, self.other) {
            (true, _, _) => Expect::AtHolder,
            (false, false, true) if self.hears_holder => Expect::Anything,
            (false, false, true) => Expect::AtOther,
            (false, false, false) => Expect::Nowhere,
            // Whether the promise comes back before the lease ends.
            (false, true, _) => Expect::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Expect {
        expect(text.parse().expect("a case"))
    }

    #[test]
    fn the_rows_of_the_failure_matrix() {
        assert_eq!(of("c00-none-n1"), Expect::Stays);
        assert_eq!(of("c03-none-n1"), Expect::Stays, "row 3");
        assert_eq!(of("c15-none-n1"), Expect::AtOther, "row 4");
        assert_eq!(of("c51-none-n2"), Expect::Stays, "row 5");
        assert_eq!(of("c12-none-n1"), Expect::Stays, "row 6");
        assert_eq!(of("c01-none-n1"), Expect::Stays, "row 7");
        assert_eq!(of("c63-none-n1"), Expect::Nowhere, "row 12");
        assert_eq!(of("c00-stop:holder-n1"), Expect::Somewhere, "row 13");
        assert_eq!(of("c00-kill:witness-n1"), Expect::Stays, "row 8");
    }

    #[test]
    fn one_direction_is_not_a_link() {
        assert_eq!(of("c13-none-n1"), Expect::AtOther);
        assert_eq!(of("c21-none-n1"), Expect::Nowhere);
        assert_eq!(of("c09-none-n1"), Expect::Anything, "what the holder asked may have been recorded");
    }
}
