//! What fence devices answer over the network.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_fence::device::State;
use picket_fence::devices::libvirt::daemon::activity_of;
use picket_fence::devices::libvirt::domain::Activity;
use picket_fence::devices::libvirt::rpc::{self, CallError, Procedure};
use picket_fence::devices::libvirt::xdr::Encoder;
use picket_fence::devices::redfish::http;
use picket_fence::devices::redfish::model::{self, System, Task, TaskOutcome};
use serde_json::Value;

/// The target. An input is a whole answer of HTTP.
pub const REDFISH: Target = Target {
    name: "redfish",
    about: "a controller's answers: only a whole document of the very system, whose PowerState is Off, is off",
    seeds: redfish_seeds,
    words: &[
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "\r\n\r\n",
        "\r\n",
        "0\r\n\r\n",
        "\"PowerState\":",
        "\"Off\"",
        "\"On\"",
        "\"@odata.id\":",
        "null",
        "{",
        "}",
        ",",
        "\\u004f",
    ],
    check: redfish_check,
};

/// The target. An input is a message of a libvirt daemon, with its length before it.
pub const LIBVIRT: Target = Target {
    name: "libvirt",
    about: "a libvirt daemon's answers: only a whole answer to this very call with state 5 is shut off",
    seeds: libvirt_seeds,
    words: &[
        "\u{0}\u{0}\u{0}\u{5}",
        "\u{0}\u{0}\u{0}\u{1}",
        "\u{0}\u{0}\u{0}\u{2}",
        "\u{0}\u{0}\u{0}$",
        " \u{0}",
    ],
    check: libvirt_check,
};

const PATH: &str = "/redfish/v1/Systems/1";

fn redfish_seeds() -> Vec<Vec<u8>> {
    let system = |power: &str| {
        format!(
            "{{\"@odata.id\":\"{PATH}\",\"@odata.type\":\"#ComputerSystem.v1.ComputerSystem\",\"PowerState\":\"{power}\",\
             \"Actions\":{{\"#ComputerSystem.Reset\":{{\"target\":\"/x\"}}}}}}"
        )
    };
    let counted = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunked = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    let task = "{\"TaskState\":\"Exception\",\"Messages\":[{\"Message\":\"stuck\"}]}";
    let all =
        [counted(&system("On")), counted(&system("Off")), chunked(&system("PoweringOff")), counted(task)];
    all.into_iter().map(String::into_bytes).collect()
}

fn redfish_check(input: &[u8]) -> Result<Answer, Broken> {
    let answer = match http::receive(&mut &*input) {
        Ok(answer) => answer,
        Err(error) => return Ok(Answer::new(error)),
    };
    must!(answer.body.len() <= input.len(), "a body of {} bytes from {}", answer.body.len(), input.len());
    must!(!model::complaint(&answer.body).contains(char::is_control), "a complaint that drives a terminal");
    let task = model::read::<Task>(&answer.body).map(|task| task.outcome());
    let system = match model::read::<System>(&answer.body) {
        Ok(system) => system,
        Err(error) => return Ok(Answer::new(error)),
    };
    // The device's own words stand for no other place in the code.
    if let Err(error) = system.identified(PATH, None, None) {
        return Ok(Answer::new(
            error.replace(|c: char| !c.is_ascii_alphabetic(), "").get(..12).unwrap_or("another"),
        ));
    }
    let state = system.power();
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        return Ok(Answer::new("a number that nothing holds, in a part that is not read"));
    };
    let said = (document["PowerState"] == "Off", document["@odata.id"].as_str());
    must!(state != State::Off || said.0, "off was read where {} stands", document["PowerState"]);
    must!(said.1.is_some_and(|path| model::same_path(path, PATH)), "{:?} was taken for {PATH}", said.1);
    let state = match state {
        State::On => "on",
        State::Off => "off",
        State::Unknown(_) => "unknown",
    };
    let task = match task {
        Ok(TaskOutcome::Running) => "runs",
        Ok(TaskOutcome::Done) => "done",
        Ok(TaskOutcome::Failed(_)) => "failed",
        Err(_) => "none",
    };
    Ok(Answer::new(format!("{state}, task {task}")))
}

/// The serial number of the call that is answered.
const SERIAL: u32 = 9;

fn message(head: [u32; 6], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + payload.len()).unwrap_or(u32::MAX);
    head.iter().fold(Encoder::default().u32(length), |encoder, word| encoder.u32(*word)).raw(payload).done()
}

fn good_head(status: u32) -> [u32; 6] {
    [0x2000_8086, 1, Procedure::GetState as u32, 1, SERIAL, status]
}

fn libvirt_seeds() -> Vec<Vec<u8>> {
    let state = |number: u32| Encoder::default().u32(number).u32(1).done();
    let refusal = Encoder::default().i32(42).i32(10).u32(1).text("no domain").i32(2).done();
    vec![
        message(good_head(0), &state(1)),
        message(good_head(0), &state(4)),
        message(good_head(1), &refusal),
        message([0x2000_8086, 1, 107, 2, 0, 0], &state(5)),
    ]
}

fn libvirt_check(input: &[u8]) -> Result<Answer, Broken> {
    let received = match rpc::receive(&mut &*input) {
        Ok(received) => received,
        Err(error) => return Ok(Answer::new(error)),
    };
    let payload = match rpc::answer(&received, Procedure::GetState, SERIAL) {
        Ok(Some(payload)) => payload,
        Ok(None) => return Ok(Answer::new("an event")),
        Err(CallError::No { message, .. }) => {
            must!(!message.contains(char::is_control), "words that drive a terminal: {message:?}");
            return Ok(Answer::new("refused"));
        }
        Err(error) => return Ok(Answer::new(error)),
    };
    let activity = match activity_of(payload) {
        Ok(activity) => activity,
        Err(error) => return Ok(Answer::new(error)),
    };
    let off = activity == Activity::ShutOff;
    let reason = payload.get(4..).unwrap_or_default();
    let expected = message(good_head(0), &[&5_u32.to_be_bytes(), reason].concat());
    must!(!off || (input.starts_with(&expected) && reason.len() == 4), "shut off was read from {input:?}");
    Ok(Answer::new(format!("{activity:?}")))
}
