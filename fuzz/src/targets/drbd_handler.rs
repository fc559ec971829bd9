//! What DRBD's handlers and the daemon say to each other over the resource's socket, and what DRBD tells the handlers.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_node::volume::drbd::handler::{
    self, Call, FENCED, OUTDATED, Question, REQUEST_BYTES_MAX, STAY, SUPERSEDED,
};
use std::ffi::OsString;
use std::path::Path;

/// The target. An input is one byte for what it is: a request, an answer, or DRBD's variables (a line each, with
/// the arguments in the first).
pub const TARGET: Target = Target {
    name: "drbd-handler",
    about: "DRBD's handlers: writes go on only at the daemon's exact word, and what is asked is what is understood",
    seeds,
    words: &[
        "exit ",
        "4",
        "5",
        "7",
        "+",
        "0",
        "\n",
        " ",
        "-",
        "fence-peer",
        "unfence-peer ",
        "before-resync-target ",
        "DRBD_RESOURCE=",
        "DRBD_PEER_NODE_ID=",
        "DRBD_NODE_ID_2=",
        "DRBD_PEERS=",
        "DRBD_PEER=",
        "--run-dir ",
        "--wait ",
        "/",
        "..",
        "\u{a0}",
    ],
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<String> = ["fence-peer n2", "unfence-peer -", "before-resync-target n2"]
        .map(|line| format!("\u{0}{line}\n"))
        .into();
    seeds.extend([0, 1, 4, 5, 6, 7, 255].map(|code| format!("\u{1}exit {code}\n")));
    seeds.push(
        "\u{2}--run-dir /run/other --wait 7\nDRBD_RESOURCE=r0\nDRBD_PEERS=n2\nDRBD_PEER=n2\n".to_owned(),
    );
    seeds.push(
        "\u{2}after-resync-target\nDRBD_RESOURCE=r0\nDRBD_PEER_NODE_ID=2\nDRBD_NODE_ID_1=n1\nDRBD_NODE_ID_2=n3\n".to_owned(),
    );
    seeds.into_iter().map(String::into_bytes).collect()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    match kind % 3 {
        0 => request(rest),
        1 => answer(rest),
        _ => call(&String::from_utf8_lossy(rest)),
    }
}

/// What the daemon understands is exactly what a handler would have written.
fn request(line: &[u8]) -> Result<Answer, Broken> {
    let Ok(line) = core::str::from_utf8(line) else { return Ok(Answer::new("not UTF-8")) };
    let Some((question, peer)) = Question::understand(line) else { return Ok(Answer::new("not understood")) };
    let again = asking(question, peer.clone()).request();
    must!(again == line, "{line:?} was understood as {again:?}");
    Ok(Answer::new(format!("{question:?}, a peer {}", peer.is_some())))
}

fn asking(question: Question, peer: Option<String>) -> Call {
    let run_dir = Path::new(handler::RUN_DIR).to_owned();
    Call { question, resource: "r0".to_owned(), peer, run_dir, wait: core::time::Duration::ZERO }
}

/// Only an exact answer lets the kernel go on, and never the one by which it assumes the peer dead.
fn answer(line: &[u8]) -> Result<Answer, Broken> {
    let said = handler::answered(line);
    if let Some(code) = said {
        must!(line == format!("exit {code}\n").as_bytes(), "{code} was read from {line:?}");
    }
    let code = said.map_or(STAY, handler::of_fence_peer);
    must!(code == STAY || said == Some(code), "the daemon said {said:?}, the kernel is told {code}");
    must!(matches!(code, STAY | OUTDATED | SUPERSEDED | FENCED), "the kernel is told {code}");
    Ok(Answer::new(match (said, code) {
        (None, _) => "not understood",
        (Some(_), STAY) => "stays suspended",
        (Some(_), SUPERSEDED) => "is superseded",
        (Some(_), _) => "goes on",
    }))
}

/// What DRBD's variables say is asked so that the daemon understands the same, at a socket of the run-time directory.
fn call(text: &str) -> Result<Answer, Broken> {
    let (arguments, variables) = text.split_once('\n').unwrap_or((text, ""));
    let variable = |name: &str| {
        let mut values = variables.lines().filter_map(|line| line.split_once('='));
        values.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let call =
        match Call::read(Question::FencePeer, arguments.split_whitespace().map(OsString::from), variable) {
            Ok(call) => call,
            Err(error) => {
                must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
                return Ok(Answer::new(error));
            }
        };
    let socket = handler::socket(&call.run_dir, &call.resource);
    must!(
        socket.parent() == Some(call.run_dir.as_path()),
        "{} is not below {}",
        socket.display(),
        call.run_dir.display()
    );
    let request = call.request();
    let fits = u64::try_from(request.len()).is_ok_and(|length| length <= REQUEST_BYTES_MAX);
    if !fits {
        return Ok(Answer::new("too long to be asked"));
    }
    let peer = call.peer.clone().filter(|peer| peer != "-");
    let understood = Question::understand(&request);
    must!(understood == Some((call.question, peer)), "{request:?} is understood as {understood:?}");
    Ok(Answer::new(format!("{:?}, a peer {}", call.question, call.peer.is_some())))
}
