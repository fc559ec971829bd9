//! The power switch of a lab machine: what is said over its socket.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_fence::power::{BootId, Command, Reply, Request};

/// The target. An input is one byte (request or answer), then the line.
pub const TARGET: Target = Target {
    name: "power",
    about: "lines of a power switch: only the word `off` is off, and a line that was read is written the same",
    seeds,
    words: &["on ", "off", "error ", "status", "reboot", "off ", " off", "OFF", "\t", "\u{a0}", "-"],
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let boot = BootId::new([0xab; 16]);
    let requests = [Command::Status, Command::Off, Command::On, Command::Reboot]
        .map(|command| Request { command, machine: Some("n1".to_owned()) }.to_string());
    let replies = [Reply::On(boot), Reply::Off, Reply::Error("no such machine".to_owned())];
    let requests = requests.into_iter().map(|line| format!("\u{0}{line}").into_bytes());
    requests.chain(replies.into_iter().map(|reply| format!("\u{1}{reply}").into_bytes())).collect()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, line)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let line = String::from_utf8_lossy(line);
    if kind & 1 == 0 {
        return Ok(match line.parse::<Request>() {
            Ok(request) => {
                let again = request.to_string().parse::<Request>();
                must!(again.is_ok_and(|again| again == request), "{request} is read as something else");
                Answer::new(format!("{:?}, machine {}", request.command, request.machine.is_some()))
            }
            Err(error) => Answer::new(error),
        });
    }
    let reply = match line.parse::<Reply>() {
        Ok(reply) => reply,
        Err(error) => return Ok(Answer::new(error)),
    };
    must!((reply == Reply::Off) == (line == "off"), "{line:?} was read as {reply}");
    let again = reply.to_string();
    must!(!again.contains('\n'), "{again:?} is more than one line");
    must!(line.contains('\n') || again.parse::<Reply>().is_ok_and(|again| again == reply), "{again:?}");
    Ok(Answer::new(format!("{:?}", reply).chars().take_while(|c| c.is_alphabetic()).collect::<String>()))
}
