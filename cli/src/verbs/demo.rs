//! `picket demo`: outages on real processes, on this host.

use crate::args::DemoArgs;
use crate::demo::{self, Demo};
use crate::exit::{Exit, Fault};
use crate::session::Session;

pub(super) async fn run(args: DemoArgs, session: &mut Session) -> Result<Exit, Fault> {
    if args.list {
        for act in demo::acts::ALL {
            writeln!(session.out, "{:<18} {}", act.id(), act.title())?;
        }
        return Ok(Exit::Done);
    }
    let demo = Demo::from_args(&args, session)?;
    let report = demo.play().await?;
    Ok(if report.ok() { Exit::Done } else { Exit::Failed })
}
