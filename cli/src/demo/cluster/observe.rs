//! The observer: follows the status stream of every daemon and keeps what it saw.

use super::WITNESS;
use super::view::{Occurred, View};
use crate::client::Daemon;
use core::time::Duration;
use picket_host::cert::Identity;
use picket_host::config::HostPort;
use picket_host::tls::{Credentials, Expect, channel};
use picket_proto::MESSAGE_BYTES_MAX;
use picket_proto::v1::witness_client::WitnessClient;
use picket_proto::v1::{StatusEvent, StatusRequest, WitnessStatusRequest};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How soon a daemon that does not answer is tried again. There is no event for a socket that begins to listen in a
/// directory that is emptied; this is short against every timing that is measured.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// How long a connection to the witness may take before it is tried anew.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How many of its last events a daemon is asked for with each status: more than one change brings.
const EVENTS_EACH: u32 = 50;

/// How many events are kept: hours of a lab. The oldest go first, so many at a time that making room costs little.
const EVENTS_MAX: usize = 100_000;

/// See [`EVENTS_MAX`].
const FORGOTTEN_AT_ONCE: usize = EVENTS_MAX / 4;

#[derive(Debug)]
pub(super) struct Observer {
    view: Arc<watch::Sender<View>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Observer {
    pub(super) fn new(nodes: impl Iterator<Item = String>) -> Self {
        let view = View { nodes: nodes.map(|name| (name, None)).collect(), ..View::default() };
        Self { view: Arc::new(watch::Sender::new(view)), tasks: Vec::new() }
    }

    pub(super) fn watch_node(&mut self, name: String, socket: PathBuf) {
        let view = Arc::clone(&self.view);
        self.tasks.push(tokio::spawn(async move {
            loop {
                follow_node(&name, &socket, &view).await;
                let is_news =
                    |view: &mut View| view.nodes.get_mut(&name).is_some_and(|last| last.take().is_some());
                view.send_if_modified(is_news);
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }));
    }

    pub(super) fn watch_witness(
        &mut self,
        address: SocketAddr,
        identity: Identity,
        operator: Arc<Credentials>,
    ) {
        let view = Arc::clone(&self.view);
        self.tasks.push(tokio::spawn(async move {
            loop {
                follow_witness(address, &identity, &operator, &view).await;
                view.send_if_modified(|view| view.witness.take().is_some());
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }));
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Until the daemon goes. Why it went shows in what is seen of it next.
async fn follow_node(name: &str, socket: &std::path::Path, view: &watch::Sender<View>) {
    let Ok(mut daemon) = Daemon::connect(socket).await else { return };
    let Ok(stream) = daemon.calls().watch(StatusRequest { events_max: EVENTS_EACH }).await else { return };
    let mut stream = stream.into_inner();
    while let Ok(Some(mut status)) = stream.message().await {
        let events = std::mem::take(&mut status.events);
        view.send_modify(|view| {
            add(view, name, &events);
            view.nodes.insert(name.to_owned(), Some(status));
        });
    }
}

async fn follow_witness(
    address: SocketAddr,
    identity: &Identity,
    operator: &Credentials,
    view: &watch::Sender<View>,
) {
    let address = HostPort { host: address.ip().to_string(), port: address.port() };
    let Ok(channel) = channel(operator, &address, Expect::Identity(identity.clone()), CONNECT_MAX) else {
        return;
    };
    let mut client = WitnessClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let Ok(stream) = client.watch(WitnessStatusRequest {}).await else { return };
    let mut stream = stream.into_inner();
    while let Ok(Some(mut status)) = stream.message().await {
        let events = std::mem::take(&mut status.events);
        view.send_modify(|view| {
            add(view, WITNESS, &events);
            view.witness = Some(status);
        });
    }
}

/// Adds what is new, in the order of the times. A daemon tells its last events again with each status.
fn add(view: &mut View, by: &str, events: &[StatusEvent]) {
    let was_kept = |event: &Occurred| event.at_ms > view.forgotten_ms;
    let new: Vec<Occurred> =
        events.iter().filter_map(|event| Occurred::new(by, event)).filter(was_kept).collect();
    let Some(oldest) = new.iter().map(|event| event.at_ms).min() else { return };
    let all = &mut view.events;
    let from = all.partition_point(|event| event.at_ms < oldest);
    let known: BTreeSet<&Occurred> = all[from..].iter().collect();
    let fresh: Vec<Occurred> = new.into_iter().filter(|event| !known.contains(event)).collect();
    if fresh.is_empty() {
        return;
    }
    all.extend(fresh);
    all[from..].sort_by_key(|event| event.at_ms);
    if all.len() > EVENTS_MAX {
        forget(view);
    }
}

/// Makes room for what will come. Who asks about a time of which something was forgotten is told so.
fn forget(view: &mut View) {
    let gone = view.events.drain(..FORGOTTEN_AT_ONCE).map(|event| event.at_ms).max();
    view.forgotten_ms = gone.unwrap_or_default().max(view.forgotten_ms);
    // What happened in the same millisecond would be taken for new when it is told again.
    view.events.retain(|event| event.at_ms > view.forgotten_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::cluster::wall_ms;

    fn told(second: u32, text: &str) -> StatusEvent {
        StatusEvent {
            at: format!("2026-01-31T12:34:{second:02}.000Z"),
            number: 1305,
            name: "promoted".into(),
            level: "NOTIFY".into(),
            text: text.into(),
        }
    }

    #[test]
    fn an_event_that_is_told_again_is_kept_once_and_in_order() {
        let mut view = View::default();
        add(&mut view, "n1", &[told(1, "a"), told(3, "c")]);
        add(&mut view, "n2", &[told(2, "b")]);
        add(&mut view, "n1", &[told(1, "a"), told(3, "c"), told(4, "d")]);
        let texts: Vec<&str> = view.events().iter().map(|event| event.text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c", "d"]);
    }

    #[test]
    fn the_same_words_of_another_machine_are_another_event() {
        let mut view = View::default();
        add(&mut view, "n1", &[told(1, "a")]);
        add(&mut view, "n2", &[told(1, "a")]);
        assert_eq!(view.events().len(), 2);
    }

    #[test]
    fn the_oldest_events_make_room_for_new_ones_and_that_is_known() {
        let mut view = View::default();
        let many: Vec<StatusEvent> = (0..EVENTS_MAX).map(|number| told(1, &number.to_string())).collect();
        add(&mut view, "n1", &many);
        let second = |second: u32| wall_ms(&told(second, "").at).unwrap();
        let of = |view: &View, at| view.first("n1", "promoted", second(at)).is_some();
        assert!(view.remembers(second(1)) && of(&view, 1));
        add(&mut view, "n1", &[told(1, "0"), told(2, "news")]);
        assert!(of(&view, 2), "what is new is never dropped");
        assert!(!view.remembers(second(1)) && view.remembers(second(2)));
        add(&mut view, "n1", &[told(1, "0"), told(2, "news")]);
        assert_eq!(view.events().len(), 1, "what was forgotten and is told again is not new");
    }
}
