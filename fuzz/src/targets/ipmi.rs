//! What a management controller, and everything on the way to it, sends to an IPMI session.
//!
//! The controller is the one of the agent's own tests, written apart from the agent and with the right password; its
//! machine goes on and off between the questions. The input is what the network does to its packets: they are lost,
//! doubled, late, cut off, changed, and others come in between.

#[path = "../../../fence-agents/tests/bmc/mod.rs"]
mod bmc;

use crate::must;
use crate::target::{Answer, Broken, Target};
use bmc::{Bmc, Config};
use picket_fence::devices::ipmi::console::{Console, Outcome, Protocol};

/// The target. An input is the protocol, then a letter for each packet of the controller, with its parameters.
pub const TARGET: Target = Target {
    name: "ipmi",
    about: "an IPMI session on a hostile network: no answer but the true one, no refusal that was not given",
    seeds,
    words: &["=", "-", "2", "<", ">", "c\u{10}", "x\u{10}\u{1}", "i\u{4}\u{6}\u{0}\u{ff}\u{7}", "d"],
    check,
};

/// Questions of a run: a late answer of one meets the next.
const QUESTIONS: usize = 3;

/// Turns until something must have happened: a step ends at its deadline, after a few resends.
const TURNS_MAX: usize = 200;

/// What may be told, by the first words: the network can take any packet away, and can invent the refusals of a login,
/// which nothing protects. None of them is a verdict about power.
const LOGIN_ONLY: [&str; 6] = [
    "the controller offers no",
    "the controller answered with other",
    "the controller has no free",
    "the controller does not know",
    "wrong password for",
    "the controller ended the login",
];

fn seeds() -> Vec<Vec<u8>> {
    let runs: [&[u8]; 7] = [
        b"",
        b"==2==<=>",
        b"----",
        b"=c\x20=x\x30\x01=",
        b"=========2<",
        b"d=d=d=",
        b"i\x05\x06\x00\xff\x07\x06====",
    ];
    (0..3_u8).flat_map(|protocol| runs.map(|run| [&[protocol], run].concat())).collect()
}

/// The network: what it does to each packet stands in the input.
struct Network<'i> {
    rest: &'i [u8],
    /// What the controller ever sent, for packets that come late.
    old: Vec<Vec<u8>>,
    kept_back: Vec<Vec<u8>>,
}

impl Network<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A place in something of this length; 0 if it is empty.
    fn place(&mut self, len: usize) -> usize {
        usize::from(self.next().unwrap_or(0)) % len.max(1)
    }

    fn carry(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        self.old.push(packet.clone());
        match self.next() {
            Some(b'-') => vec![],
            Some(b'2') => vec![packet.clone(), packet],
            Some(b'<') => {
                let at = self.place(self.old.len());
                vec![self.old[at].clone(), packet]
            }
            Some(b'>') => {
                let at = self.place(self.old.len());
                vec![packet, self.old[at].clone()]
            }
            Some(b'd') => {
                self.kept_back.push(packet);
                vec![]
            }
            Some(b'c') => {
                let at = self.place(packet.len());
                vec![packet[..at].to_vec()]
            }
            Some(b'x') => {
                let (at, with) = (self.place(packet.len()), self.next().unwrap_or(1));
                let mut changed = packet;
                changed[at] ^= with;
                vec![changed]
            }
            Some(b'i') => {
                let length = usize::from(self.next().unwrap_or(0)).min(self.rest.len());
                let (invented, rest) = self.rest.split_at(length);
                self.rest = rest;
                vec![invented.to_vec(), packet]
            }
            // Also at the end: whatever the network did, it works again.
            _ => {
                let mut all = std::mem::take(&mut self.kept_back);
                all.push(packet);
                all
            }
        }
    }
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((protocol, run)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let protocol = [Protocol::Suite3, Protocol::Suite17, Protocol::Lan][usize::from(protocol % 3)];
    let mut net = Network { rest: run, old: Vec::new(), kept_back: Vec::new() };
    let mut bmc = Bmc::new(Config::default());
    let mut console = Console::login(protocol, "admin", "secret", [7; 32]);
    let mut told = vec![format!("{protocol:?}")];
    let login = step(&mut console, &mut bmc, &mut net)?;
    if login == Outcome::Open {
        told.push("open".to_owned());
        for number in 0..QUESTIONS {
            // Each answer differs from the one before it, which may come late.
            bmc.power = number % 2 == 0;
            console.ask_power();
            match step(&mut console, &mut bmc, &mut net)? {
                Outcome::Answer(answer) => {
                    let power = u8::from(bmc.power);
                    must!(answer == [0, power, 0, 0], "the power is {power}, and {answer:?} was read");
                    told.push(format!("power {power}"));
                }
                Outcome::Failed(why) => {
                    let invented = LOGIN_ONLY.iter().any(|words| why.starts_with(words));
                    must!(!invented, "in an open session it was told: {why}");
                    told.push(why);
                }
                other => return Err(Broken(format!("asked for the power, it was told {other:?}"))),
            }
        }
    } else {
        let Outcome::Failed(why) = login else {
            return Err(Broken(format!("logging in, it was told {login:?}")));
        };
        told.push(why);
    }
    console.close();
    let closed = step(&mut console, &mut bmc, &mut net)?;
    must!(closed == Outcome::Closed, "closing, it was told {closed:?}");
    must!(bmc.violations.is_empty(), "against the rules: {:?}", bmc.violations);
    must!(bmc.controls.is_empty(), "the power was switched");
    Ok(Answer::new(told.join(", ")))
}

/// Runs until something happened.
fn step(console: &mut Console, bmc: &mut Bmc, net: &mut Network<'_>) -> Result<Outcome, Broken> {
    for _ in 0..TURNS_MAX {
        while let Some(packet) = console.sent() {
            for answer in bmc.take(&packet) {
                for packet in net.carry(answer) {
                    console.receive(&packet);
                }
            }
        }
        if let Some(outcome) = console.outcome() {
            return Ok(outcome);
        }
        console.wait();
    }
    Err(Broken(format!("nothing came of it in {TURNS_MAX} turns")))
}
