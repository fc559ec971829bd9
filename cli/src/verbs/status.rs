//! `picket status`: everything, once or live.

use crate::args::StatusArgs;
use crate::exit::{Exit, Fault};
use crate::render::paint::clip;
use crate::render::{json, status};
use crate::session::Session;
use core::time::Duration;
use crossterm::{cursor, execute, queue, terminal};
use picket_host::clock::{rfc3339, wall};
use picket_proto::v1::{Status, StatusRequest};
use std::io::{self, Write};

/// How soon a live view looks again for a daemon that is gone: a person notices no difference.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &StatusArgs, session: &mut Session) -> Result<Exit, Fault> {
    let live = session.terminal && !args.once && !session.json;
    if !live && !args.follow {
        let status = session.daemon().await?.status(args.events).await?;
        show(&status, session)?;
        return Ok(Exit::Done);
    }
    if !live {
        return follow(args.events, session).await;
    }
    // The first look before the screen is taken: who has no daemon shall read why.
    session.daemon().await?;
    let screen = Screen::enter()?;
    tokio::select! {
        ended = watch(args.events, session) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    drop(screen);
    Ok(Exit::Done)
}

fn show(status: &Status, session: &mut Session) -> Result<(), Fault> {
    if session.json {
        writeln!(session.out, "{}", json::line(status)?)?;
    } else {
        for line in status::lines(status, session.paint) {
            writeln!(session.out, "{line}")?;
        }
    }
    Ok(session.out.flush()?)
}

/// One status after the other until the daemon ends.
async fn follow(events_max: u32, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let stream = daemon.calls().watch(StatusRequest { events_max }).await;
    let mut stream = stream.map_err(|status| daemon.fault(&status))?.into_inner();
    while let Some(status) = stream.message().await.map_err(|status| daemon.fault(&status))? {
        show(&status, session)?;
        if !session.json {
            writeln!(session.out)?;
        }
    }
    Err(Fault::Unreachable { socket: session.socket.clone(), why: "the daemon has ended".to_owned() })
}

/// Draws each status; stays when the daemon goes, and says so. Only an error of the terminal ends it.
async fn watch(events_max: u32, session: &mut Session) -> Result<(), Fault> {
    let mut last: Option<Status> = None;
    loop {
        let gone = match observe(events_max, session, &mut last).await {
            Ok(()) => "the daemon has ended".to_owned(),
            Err(Fault::Terminal(error)) => return Err(Fault::Terminal(error)),
            Err(fault) => fault.to_string(),
        };
        let mut lines = vec![format!("NO DAEMON since {}: {gone}", rfc3339(wall()))];
        if let Some(status) = &last {
            lines.push(format!("What follows is old ({}):", status.at));
            lines.push(String::new());
            lines.extend(status::lines(status, session.paint));
        }
        draw(&lines, session)?;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn observe(events_max: u32, session: &mut Session, last: &mut Option<Status>) -> Result<(), Fault> {
    let mut daemon = session.daemon().await?;
    let stream = daemon.calls().watch(StatusRequest { events_max }).await;
    let mut stream = stream.map_err(|status| daemon.fault(&status))?.into_inner();
    while let Some(status) = stream.message().await.map_err(|status| daemon.fault(&status))? {
        let mut lines = status::lines(&status, session.paint);
        lines.push(String::new());
        lines.push("Ctrl-C ends.".to_owned());
        draw(&lines, session)?;
        *last = Some(status);
    }
    Ok(())
}

fn draw(lines: &[String], session: &mut Session) -> Result<(), Fault> {
    let (width, height) = terminal::size()?;
    queue!(session.out, cursor::MoveTo(0, 0))?;
    // What does not fit is cut: scrolling would let the top, which matters most, go.
    for line in lines.iter().take(usize::from(height.saturating_sub(1))) {
        write!(session.out, "{}", clip(line, usize::from(width)))?;
        queue!(session.out, terminal::Clear(terminal::ClearType::UntilNewLine), cursor::MoveToNextLine(1))?;
    }
    queue!(session.out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
    Ok(session.out.flush()?)
}

/// The terminal's other screen, given back when dropped.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide, terminal::DisableLineWrap)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ =
            execute!(io::stdout(), terminal::EnableLineWrap, cursor::Show, terminal::LeaveAlternateScreen);
    }
}
