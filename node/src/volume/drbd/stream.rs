//! The stream of events: `drbdsetup events2` as a child, started again when it ends.
//!
//! Each start tells the full state first. Between two starts nothing is known, which is told as [`News::Lost`].

use super::events::{Line, next};
use super::tool::Tool;
use crate::backoff::Backoff;
use std::io;
use std::process::Stdio;
use tokio::io::BufReader;
use tokio::sync::mpsc;

/// Lines that wait for the driver: more than the full state of a resource with all its peers.
pub(super) const NEWS_MAX: usize = 256;

/// What the stream tells.
#[derive(Debug)]
pub(super) enum News {
    /// A line.
    Line(Line),
    /// What was known may be over.
    Lost(String),
}

/// Tells until nobody listens.
pub(super) async fn follow(tool: Tool, into: mpsc::Sender<News>) {
    let mut backoff = Backoff::default();
    loop {
        let why = match once(&tool, &into, &mut backoff).await {
            Ok(()) => "drbdsetup events2 ended".to_owned(),
            Err(error) => format!("drbdsetup events2: {error}"),
        };
        if into.send(News::Lost(why)).await.is_err() {
            return;
        }
        tokio::time::sleep(backoff.wait()).await;
    }
}

async fn once(tool: &Tool, into: &mpsc::Sender<News>, backoff: &mut Backoff) -> io::Result<()> {
    let mut child = tool
        .events()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let Some(out) = child.stdout.take() else { return Err(io::Error::other("it has no output")) };
    let mut out = BufReader::new(out);
    while let Some(line) = next(&mut out).await? {
        backoff.reset();
        if into.send(News::Line(line)).await.is_err() {
            break;
        }
    }
    Ok(())
}
