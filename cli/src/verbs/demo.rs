//! `picket demo`: outages on real processes, on this host.

use crate::args::DemoArgs;
use crate::demo::{self, Demo};
use crate::exit::{Exit, Fault};
use crate::session::Session;
use std::path::Path;

pub(super) async fn run(args: DemoArgs, session: &mut Session) -> Result<Exit, Fault> {
    if args.list {
        for act in demo::acts::ALL {
            writeln!(session.out, "{:<18} {}", act.id(), act.title())?;
        }
        return Ok(Exit::Done);
    }
    if let [socket, what @ ..] = args.machine.as_slice() {
        let answer = demo::play_fate(Path::new(socket), &what.join(" ")).await.map_err(Fault::Missing)?;
        writeln!(session.out, "{}", if answer.is_empty() { "done" } else { &answer })?;
        return Ok(Exit::Done);
    }
    let demo = Demo::from_args(&args, session)?;
    let report = demo.play().await?;
    Ok(if report.ok() { Exit::Done } else { Exit::Failed })
}
