//! IPMI messages: a question to the controller or, through it, to another one; and its answer.
//!
//! An answer counts only if everything in it fits the question: who answers, whom, the network
//! function, the command, the number of the question, both checksums.

/// The controller's own address on its bus.
pub(crate) const CONTROLLER: u8 = 0x20;

/// The address of remote software, ours.
const SOFTWARE: u8 = 0x81;

/// How many question numbers there are: the field has six bits.
pub(crate) const NUMBERS: u8 = 64;

/// The network function of application commands.
pub(crate) const APP: u8 = 0x06;

/// Passes a message on to another controller.
const SEND_MESSAGE: u8 = 0x34;

/// The controller shall remember who asked, so that it can pass the answer back.
const TRACK: u8 = 0x40;

/// A question without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The network function, even.
    pub(crate) netfn: u8,
    /// The logical unit.
    pub(crate) lun: u8,
    /// The command.
    pub(crate) cmd: u8,
    /// What belongs to the command.
    pub(crate) data: Vec<u8>,
    /// Address and channel of another controller behind this one.
    pub(crate) behind: Option<(u8, u8)>,
}

/// What an answer to a question turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The answer: completion code and data.
    Answer(Vec<u8>),
    /// The question was passed on; the answer is still to come.
    PassedOn,
}

impl Question {
    /// An application command to the controller itself.
    pub(crate) fn app(cmd: u8, data: &[u8]) -> Self {
        Self { netfn: APP, lun: 0, cmd, data: data.to_vec(), behind: None }
    }

    /// The message for question number `number`.
    pub(crate) fn message(&self, number: u8) -> Vec<u8> {
        match self.behind {
            None => message(CONTROLLER, SOFTWARE, self.netfn, self.lun, number, self.cmd, &self.data),
            Some((address, channel)) => {
                let inner = message(address, CONTROLLER, self.netfn, self.lun, number, self.cmd, &self.data);
                let data = [&[channel | TRACK], inner.as_slice()].concat();
                message(CONTROLLER, SOFTWARE, APP, 0, number, SEND_MESSAGE, &data)
            }
        }
    }

    /// What `message` is to question number `number`: `None` if it is no answer to it.
    pub(crate) fn fit(&self, number: u8, message: &[u8]) -> Option<Fit> {
        let answer = Answer::parse(message, SOFTWARE)?;
        let Some((address, _)) = self.behind else {
            return self.answered(&answer, CONTROLLER, number).map(Fit::Answer);
        };
        if let Some(inner) = self.answered(&answer, address, number) {
            return Some(Fit::Answer(inner));
        }
        if !answer.is_for(CONTROLLER, APP, SEND_MESSAGE, number) {
            return None;
        }
        match answer.body {
            [0] => Some(Fit::PassedOn),
            // Some controllers put the other's answer into their own.
            [0, inner @ ..] => {
                let inner = Answer::parse(inner, CONTROLLER)?;
                self.answered(&inner, address, number).map(Fit::Answer)
            }
            refused => Some(Fit::Answer(refused.to_vec())),
        }
    }

    fn answered(&self, answer: &Answer<'_>, from: u8, number: u8) -> Option<Vec<u8>> {
        answer.is_for(from, self.netfn, self.cmd, number).then(|| answer.body.to_vec())
    }
}

struct Answer<'a> {
    netfn: u8,
    from: u8,
    number: u8,
    cmd: u8,
    /// Completion code and data; never empty.
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(message: &'a [u8], to: u8) -> Option<Self> {
        let [rq, netfn, check, tail @ ..] = message else { return None };
        let [rs, number, cmd, body @ .., _check] = tail else { return None };
        let fits = *rq == to && sum(&[*rq, *netfn, *check]) == 0 && sum(tail) == 0 && !body.is_empty();
        fits.then_some(Self { netfn: netfn >> 2, from: *rs, number: number >> 2, cmd: *cmd, body })
    }

    fn is_for(&self, from: u8, netfn: u8, cmd: u8, number: u8) -> bool {
        self.from == from && self.netfn == netfn | 1 && self.cmd == cmd && self.number == number
    }
}

fn message(to: u8, from: u8, netfn: u8, lun: u8, number: u8, cmd: u8, data: &[u8]) -> Vec<u8> {
    let mut message = vec![to, netfn << 2 | lun];
    message.push(sum(&message).wrapping_neg());
    let second = message.len();
    message.extend([from, number << 2, cmd]);
    message.extend_from_slice(data);
    let tail = message.get(second..).map_or(0, sum);
    message.push(tail.wrapping_neg());
    message
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
