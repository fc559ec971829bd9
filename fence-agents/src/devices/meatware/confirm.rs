//! The operator's side: `picket-fence confirm -c NODE [--deny]`, also as `meatclient -c NODE`.
//!
//! It shows the request and what confirming means, has the challenge typed, records who did it and
//! only then lets the waiting agent know. One wrong challenge ends the command.

use super::audit::{self, Actor, Event};
use super::spool::{Answer, Request, Spool, SpoolError};
use super::{KIND, SPOOL_DIR};
use crate::deadline::Deadline;
use crate::tool;
use core::time::Duration;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

/// The longest line that is read from the operator.
const TYPED_BYTES_MAX: u64 = 256;

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The machine, exactly as it is named in the request.
    pub node: String,
    /// Whether the reset is denied instead.
    pub deny: bool,
    /// Where the request waits.
    pub spool_dir: PathBuf,
}

/// Why nothing was confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// The command line is wrong.
    #[error("{0}\nUsage: picket-fence confirm -c NODE [--deny] [--spool-dir DIR]")]
    Usage(String),
    /// The spool says no.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It is alive by what this host hears.
    #[error("{0} is still heard: {1:?} names it. Nothing was confirmed; switch it off, or use --deny")]
    Heard(String, String),
    /// Not what had to be typed.
    #[error("that is not the challenge; nothing was {0}")]
    WrongChallenge(&'static str),
    /// The terminal failed.
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl Wish {
    /// Reads the command line.
    ///
    /// # Errors
    /// An unknown word, or no machine.
    pub fn parse(words: &[String]) -> Result<Self, ConfirmError> {
        let (mut node, mut deny, mut spool_dir) = (None, false, PathBuf::from(SPOOL_DIR));
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().cloned().ok_or_else(|| ConfirmError::Usage(format!("{word} needs a value")));
            match word.as_str() {
                "-c" => node = Some(value()?),
                "--deny" => deny = true,
                "--spool-dir" | "--spool_dir" => spool_dir = value()?.into(),
                other if !other.starts_with('-') && node.is_none() => node = Some(other.to_owned()),
                other => return Err(ConfirmError::Usage(format!("unknown: {other}"))),
            }
        }
        let node = node.ok_or_else(|| ConfirmError::Usage("which machine?".to_owned()))?;
        Ok(Self { node, deny, spool_dir })
    }
}

/// Shows, asks, records and answers.
///
/// # Errors
/// Nothing was answered, and why.
pub fn confirm(
    wish: &Wish,
    actor: &Actor,
    typed: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), ConfirmError> {
    let spool = Spool::at(wish.spool_dir.clone());
    let request = spool.look(&wish.node)?;
    let answer = if wish.deny { Answer::Denied } else { Answer::Confirmed };
    if answer == Answer::Confirmed {
        refuse_if_heard(&request, out)?;
    }
    show(&request, answer, out)?;
    let mut line = String::new();
    typed.take(TYPED_BYTES_MAX).read_line(&mut line)?;
    if line.trim() != request.challenge {
        // The attempt is recorded if it can be; it is refused in any case.
        let _ = audit::append(&request.audit_file, Event::WrongChallenge, &request, actor);
        return Err(ConfirmError::WrongChallenge(answer.word()));
    }
    if answer == Answer::Confirmed {
        // Typing takes a while: it may have come back meanwhile.
        refuse_if_heard(&request, out)?;
    }
    let event = match answer {
        Answer::Confirmed => Event::Confirmed,
        Answer::Denied => Event::Denied,
    };
    spool.give(&request, answer, || audit::append(&request.audit_file, event, &request, actor))?;
    writeln!(out, "The reset of {} is {}.", request.node, answer.word())?;
    Ok(())
}

/// How long the check may take: it is a look into the local cluster's membership.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// Refuses while the check names the machine. A check that cannot be made (no cluster here) hears nobody; it
/// is told, since then nothing but the person's eyes stands between a wrong confirmation and the data.
fn refuse_if_heard(request: &Request, out: &mut dyn Write) -> Result<(), ConfirmError> {
    let check = tool::program("/bin/sh").arg("-c").arg(&request.heard_check);
    match tool::answer(&tool::run(check, Deadline::after(HEARD_WITHIN))) {
        Ok(heard) if heard.split_whitespace().any(|name| name.eq_ignore_ascii_case(&request.node)) => {
            Err(ConfirmError::Heard(request.node.clone(), request.heard_check.clone()))
        }
        Ok(_) => Ok(()),
        Err(why) => Ok(writeln!(out, "Whether {} is still heard is not known: {why}", request.node)?),
    }
}

fn show(request: &Request, answer: Answer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Machine:  {}", request.node)?;
    writeln!(out, "Asked:    {} by {} (request {})", request.since, KIND.agent_name(), request.id)?;
    writeln!(out)?;
    match answer {
        Answer::Confirmed => {
            writeln!(
                out,
                "Confirming means: you have powered {} off or reset it, and have seen it.",
                request.node
            )?;
            writeln!(out, "Its services then start elsewhere. If it still runs, data will be destroyed.")?;
            writeln!(
                out,
                "Nothing here can check it: boot, site and connections of {} are not known.",
                request.node
            )?;
        }
        Answer::Denied => {
            writeln!(
                out,
                "Denying means: {} will not be reset. Fencing fails, its services stay down",
                request.node
            )?;
            writeln!(out, "until another way is found.")?;
        }
    }
    writeln!(out)?;
    write!(out, "To go on, type {}: ", request.challenge)?;
    out.flush()
}
