//! `picket stop`: stop the daemon.

use crate::args::{StopArgs, to_ms};
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_proto::v1::{StopRequest, stop_request::Mode};

pub(super) async fn run(args: &StopArgs, session: &mut Session) -> Result<Exit, Fault> {
    let mode = match (args.keep_running, args.stay, args.switch_over) {
        (true, _, _) => Mode::KeepRunning,
        (false, true, _) => Mode::Stay,
        (false, false, true) => Mode::Handover,
        (false, false, false) => Mode::Unspecified,
    };
    let request = StopRequest { mode: mode.into(), length_ms: args.length.map_or(0, to_ms) };
    let mut daemon = session.daemon().await?;
    let answer = daemon.calls().stop(request).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
