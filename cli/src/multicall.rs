//! One program, all programs: `picket` runs the others when it is called under their names.
//!
//! ```text
//! picketd --config FILE           picket-witness --config FILE     picket-ledger --config FILE
//! fence_picket_… / picket-fence   meatclient -c NODE               picket-lab-machine
//! ```
//! Contract: so `picket demo` needs nothing but itself. The name is that of a link to the program, or the word
//! after `run-as`. What runs under a name is the same library that the installed program of that name is made of.

use std::ffi::OsStr;
use std::path::Path;

/// The word by which a name may also be given: `picket run-as picketd …`.
pub const RUN_AS: &str = "run-as";

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// What operators type.
    Picket,
    /// The older name of `picket confirm`.
    Meatclient,
    /// The node daemon.
    Node,
    /// The third-site witness.
    Witness,
    /// The server of the test volume.
    Ledger,
    /// The fence agents.
    Fence,
    /// A lab machine's supervisor.
    LabMachine,
}

impl Program {
    /// All, the ones that a lab links first.
    pub const ALL: [Self; 7] = [
        Self::Node,
        Self::Witness,
        Self::Ledger,
        Self::Fence,
        Self::LabMachine,
        Self::Picket,
        Self::Meatclient,
    ];

    /// The name that it is called by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Picket => "picket",
            Self::Meatclient => "meatclient",
            Self::Node => "picketd",
            Self::Witness => "picket-witness",
            Self::Ledger => "picket-ledger",
            Self::Fence => "picket-fence",
            Self::LabMachine => "picket-lab-machine",
        }
    }

    /// The program of a name. A fence agent's own name is the fence program's; any other is `picket`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name.starts_with(picket_fence::registry::AGENT_PREFIX) {
            return Self::Fence;
        }
        Self::ALL.into_iter().find(|program| program.name() == name).unwrap_or(Self::Picket)
    }

    /// What a command line asks for, and how many of its words, the program's own path included, are used up.
    #[must_use]
    pub fn of_words(words: &[impl AsRef<OsStr>]) -> (Self, usize) {
        let word = |at: usize| words.get(at).map(|word| word.as_ref().to_string_lossy()).unwrap_or_default();
        if word(1) == RUN_AS && words.len() > 2 {
            return (Self::named(&word(2)), 3);
        }
        let called = word(0);
        let name = Path::new(&*called).file_name().unwrap_or_default().to_string_lossy();
        (Self::named(&name), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        assert_eq!(Program::of_words(&["/usr/bin/picketd", "--config", "x"]), (Program::Node, 1));
        assert_eq!(Program::of_words(&["fence_picket_process"]), (Program::Fence, 1));
        assert_eq!(Program::of_words(&["./picket", "status"]), (Program::Picket, 1));
        assert_eq!(Program::of_words(&[] as &[&str]), (Program::Picket, 1));
    }

    #[test]
    fn run_as_needs_a_name() {
        assert_eq!(
            Program::of_words(&["picket", "run-as", "picket-ledger", "--config"]),
            (Program::Ledger, 3)
        );
        assert_eq!(Program::of_words(&["picket", "run-as"]), (Program::Picket, 1));
    }

    #[test]
    fn every_program_answers_to_its_name() {
        for program in Program::ALL {
            assert_eq!(Program::named(program.name()), program);
        }
    }
}
