//! The calls of the control service.

use super::resources::Wish;
use super::stay::Stop;
use super::words::ms;
use super::{ANSWER_MAX, Desk, explain, outcome, refused, status};
use crate::config::FenceDevice;
use crate::fencer::rounds::{Place, Tested};
use core::pin::Pin;
use core::time::Duration;
use futures_util::Stream;
use picket_core::message::OperatorRequest;
use picket_core::node::{FenceWish, NodeRequest};
use picket_proto::v1::control_server::Control;
use picket_proto::{SCHEMA, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Between two statuses of one watch: people cannot read faster, and a storm of changes must not become one of
/// statuses.
const WATCH_LEAST: Duration = Duration::from_millis(200);

/// A watch tells again after so long, also when nothing has changed: leases and times go on.
const WATCH_MOST: Duration = Duration::from_secs(1);

/// Entries of the history in one answer, unless the request says else.
const HISTORY_ENTRIES: usize = 50;

pub(super) struct Service {
    pub(super) desk: Desk,
}

type Answer = Result<Response<v1::Outcome>, Status>;

/// Goes on with a name's number, or answers with the refusal.
macro_rules! named {
    ($found:expr) => {
        match $found {
            Ok(found) => found,
            Err(outcome) => return Ok(Response::new(outcome)),
        }
    };
}

impl Service {
    async fn order<T>(&self, asked: &Request<T>, what: String, request: NodeRequest) -> Answer {
        self.desk.order(asked, what, request).await.map(Response::new)
    }

    async fn witness<T>(&self, asked: &Request<T>, what: String, request: OperatorRequest) -> Answer {
        self.order(asked, what, NodeRequest::Witness(request)).await
    }
}

#[tonic::async_trait]
impl Control for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::Status, Status>> + Send>>;

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::Status>, Status> {
        let snapshot = self.desk.snapshot().await?;
        Ok(Response::new(self.desk.status(&snapshot, request.get_ref().events_max)))
    }

    async fn watch(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (desk, events_max) = (self.desk.clone(), request.get_ref().events_max);
        let (out, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut changed = desk.changed.clone();
            loop {
                changed.mark_unchanged();
                let told = desk.snapshot().await.map(|snapshot| desk.status(&snapshot, events_max));
                let ends = told.is_err();
                if out.send(told).await.is_err() || ends {
                    return;
                }
                tokio::time::sleep(WATCH_LEAST).await;
                tokio::select! {
                    told = changed.changed() => if told.is_err() { return },
                    () = tokio::time::sleep(WATCH_MOST) => {},
                    () = out.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let tag = &request.get_ref().tag;
        let id = self.desk.config.volume_named(tag);
        let id = id.ok_or_else(|| Status::not_found(format!("{tag:?} is no volume")))?;
        let snapshot = self.desk.snapshot().await?;
        let explained = explain::explain(&self.desk.config, &snapshot, id);
        let explained = explained.ok_or_else(|| Status::not_found(format!("{tag:?} has no replica here")))?;
        Ok(Response::new(explained))
    }

    async fn r#move(&self, request: Request<v1::MoveRequest>) -> Answer {
        let asked = request.get_ref();
        let volume = named!(self.desk.volume(&asked.tag));
        let to = named!(self.desk.node(&asked.node));
        let wait = if asked.wait_ms == 0 { ANSWER_MAX } else { Duration::from_millis(asked.wait_ms) };
        self.desk.tell(&request, format!("move {} to {}", asked.tag, asked.node));
        let answer = self.desk.ask(NodeRequest::Move { volume, to }, wait.min(ANSWER_MAX)).await?;
        Ok(Response::new(outcome(&self.desk.config, answer)))
    }

    async fn restore(&self, request: Request<v1::RestoreRequest>) -> Answer {
        let asked = request.get_ref();
        let what = format!("restore {}{}", asked.tag, if asked.only { " only" } else { "" });
        self.desk.tell(&request, what);
        let wish = Wish::Restore { only: asked.only };
        Ok(Response::new(self.desk.resource(&asked.tag, wish).await))
    }

    async fn remove(&self, request: Request<v1::TagRequest>) -> Answer {
        let tag = &request.get_ref().tag;
        self.desk.tell(&request, format!("remove {tag}"));
        Ok(Response::new(self.desk.resource(tag, Wish::Remove).await))
    }

    async fn cleanup(&self, request: Request<v1::TagRequest>) -> Answer {
        let tag = &request.get_ref().tag;
        self.desk.tell(&request, format!("clean up {tag}"));
        Ok(Response::new(self.desk.resource(tag, Wish::Cleanup).await))
    }

    async fn policy(
        &self,
        request: Request<v1::PolicyRequest>,
    ) -> Result<Response<v1::PolicyAnswer>, Status> {
        let asked = request.get_ref();
        if asked.failover.is_some() || asked.local_recovery.is_some() {
            let word = |is: Option<bool>| match is {
                Some(true) => "on",
                Some(false) => "off",
                None => "as it is",
            };
            let (failover, local) = (word(asked.failover), word(asked.local_recovery));
            self.desk
                .tell(&request, format!("policy {}: failover {failover}, local recovery {local}", asked.tag));
        }
        self.desk.policy(asked).await.map(Response::new)
    }

    async fn fence(&self, request: Request<v1::FenceRequest>) -> Answer {
        let asked = request.get_ref();
        let target = named!(self.desk.node(&asked.node));
        let (word, wish) = match asked.action.as_str() {
            "" | "reboot" => ("fence", FenceWish::Reboot),
            "off" => ("fence, to stay off,", FenceWish::Off),
            "drill" => ("drill", FenceWish::Drill),
            other => {
                let text = format!("{other:?} is neither off, reboot nor drill");
                return Ok(Response::new(refused("BAD_REQUEST", text)));
            }
        };
        let what = format!("{word} {} ({})", asked.node, asked.reason);
        self.order(&request, what, NodeRequest::Fence { target, wish }).await
    }

    async fn unfence(&self, request: Request<v1::NodeRequest>) -> Answer {
        let target = named!(self.desk.node(&request.get_ref().node));
        let what = format!("unfence {}", request.get_ref().node);
        self.order(&request, what, NodeRequest::Unfence { target }).await
    }

    async fn clear(&self, request: Request<v1::NodeRequest>) -> Answer {
        let node = named!(self.desk.node(&request.get_ref().node));
        let what = format!("clear {}", request.get_ref().node);
        self.witness(&request, what, OperatorRequest::Clear { node }).await
    }

    async fn adopt(&self, request: Request<v1::AdoptRequest>) -> Answer {
        let v1::AdoptRequest { source: named, without } = request.get_ref();
        let source = if named.is_empty() { None } else { Some(named!(self.desk.node(named))) };
        let said = named!(self.desk.nodes(without));
        let missing = self.desk.snapshot().await?.status.witness.recovering;
        if let Some(missing) = missing.filter(|missing| *missing != said) {
            let missing = self.desk.config.node_names(missing).join(" ");
            let text = format!("{:?} was typed; the witness waits for {missing:?}", without.join(" "));
            return Ok(Response::new(refused("NOT_TYPED", text)));
        }
        let what = format!("adopt the witness's state, source {named:?}, without {:?}", without.join(" "));
        self.witness(&request, what, OperatorRequest::Adopt { source }).await
    }

    async fn r#override(&self, request: Request<v1::OverrideRequest>) -> Answer {
        let asked = request.get_ref();
        let volume = named!(self.desk.volume(&asked.tag));
        let dead = named!(self.desk.nodes(&asked.dead));
        if asked.dead.is_empty() || asked.typed != asked.dead.join(" ") {
            let text = format!("{:?} was typed; expected {:?}", asked.typed, asked.dead.join(" "));
            return Ok(Response::new(refused("NOT_TYPED", text)));
        }
        let longest = Duration::from_secs(24 * 3600);
        let length = if asked.length_ms == 0 { longest } else { Duration::from_millis(asked.length_ms) };
        let what = format!("override {} with {} asserted dead ({})", asked.tag, asked.typed, asked.reason);
        self.order(&request, what, NodeRequest::Override { volume, dead, length }).await
    }

    async fn confirm(&self, request: Request<v1::ConfirmRequest>) -> Answer {
        let asked = request.get_ref();
        let node = named!(self.desk.node(&asked.node));
        let Ok(challenge) = asked.challenge.trim().parse() else {
            return Ok(Response::new(refused(
                "WRONG_CHALLENGE",
                format!("{:?} is not a number", asked.challenge),
            )));
        };
        let what = format!("confirm that {} is off", asked.node);
        self.witness(&request, what, OperatorRequest::ConfirmMeatware { node, challenge }).await
    }

    async fn deny(&self, request: Request<v1::NodeRequest>) -> Answer {
        let node = named!(self.desk.node(&request.get_ref().node));
        let what = format!("deny that {} is off", request.get_ref().node);
        self.witness(&request, what, OperatorRequest::DenyMeatware { node }).await
    }

    async fn evict(&self, request: Request<v1::ReplicaRequest>) -> Answer {
        let asked = request.get_ref();
        let (node, volume) = (named!(self.desk.node(&asked.node)), named!(self.desk.volume(&asked.tag)));
        let what = format!("evict {} from {}", asked.node, asked.tag);
        self.witness(&request, what, OperatorRequest::Evict { node, volume }).await
    }

    async fn force_stale(&self, request: Request<v1::ReplicaRequest>) -> Answer {
        let asked = request.get_ref();
        let (node, volume) = (named!(self.desk.node(&asked.node)), named!(self.desk.volume(&asked.tag)));
        let what = format!("force {} stale on {}", asked.tag, asked.node);
        self.witness(&request, what, OperatorRequest::ForceStale { node, volume }).await
    }

    async fn retire(&self, request: Request<v1::RetireRequest>) -> Answer {
        let typed = &request.get_ref().typed;
        if *typed != self.desk.config.cluster {
            let text = format!("{typed:?} was typed; expected the cluster's name");
            return Ok(Response::new(refused("NOT_TYPED", text)));
        }
        self.witness(&request, "retire the witness's store".to_owned(), OperatorRequest::Retire).await
    }

    async fn standby(&self, request: Request<v1::NodeRequest>) -> Answer {
        let name = &request.get_ref().node;
        self.desk.standby(&request, name, true).await.map(Response::new)
    }

    async fn online(&self, request: Request<v1::NodeRequest>) -> Answer {
        let name = &request.get_ref().node;
        self.desk.standby(&request, name, false).await.map(Response::new)
    }

    async fn site_stop(&self, request: Request<v1::SiteStopRequest>) -> Answer {
        let degraded = request.get_ref().degraded;
        let what = if degraded { "stop of the site, degraded or not" } else { "stop of the site" };
        self.desk.tell(&request, what.to_owned());
        let ended = self.desk.site_stop(degraded).await;
        Ok(Response::new(ended))
    }

    async fn site_start(&self, request: Request<v1::SiteStartRequest>) -> Answer {
        self.desk.tell(&request, "start of the site".to_owned());
        Ok(Response::new(self.desk.site_start().await))
    }

    async fn maintenance(&self, request: Request<v1::MaintenanceRequest>) -> Answer {
        let asked = request.get_ref();
        let named = if asked.node.is_empty() { &self.desk.config.name } else { &asked.node };
        let node = named!(self.desk.node(named));
        let length = Duration::from_millis(asked.length_ms);
        let what = format!("maintenance of {named} for {length:?}");
        self.witness(&request, what, OperatorRequest::Maintenance { node, length }).await
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Answer {
        let stop = Stop::asked(request.get_ref(), self.desk.config.on_stop);
        self.desk.tell(&request, stop.title().to_owned());
        self.desk.stop(stop).await.map(Response::new)
    }

    async fn version(&self, _: Request<v1::VersionRequest>) -> Result<Response<v1::Versions>, Status> {
        Ok(Response::new(status::versions(&self.desk.witness)))
    }

    async fn fence_history(
        &self,
        request: Request<v1::FenceHistoryRequest>,
    ) -> Result<Response<v1::FenceHistoryAnswer>, Status> {
        let asked = request.get_ref();
        let wanted = usize::try_from(asked.entries_max).unwrap_or(usize::MAX);
        let entries_max = if wanted == 0 { HISTORY_ENTRIES } else { wanted };
        let entries = self.desk.fencer.history().newest(&asked.node, entries_max);
        let entry = |entry: crate::fencer::history::Entry| v1::FenceEntry {
            started_at: entry.started_at,
            ended_at: entry.ended_at,
            target: entry.target,
            fencer: entry.fencer,
            permit: entry.permit,
            level: entry.level,
            device: if entry.device == 0 { String::new() } else { entry.device.to_string() },
            agent: entry.agent,
            outcome: entry.outcome,
            manual: entry.manual,
            text: entry.text,
        };
        let entries = entries.into_iter().map(entry).collect();
        Ok(Response::new(v1::FenceHistoryAnswer { schema: SCHEMA, entries }))
    }

    async fn fence_test(
        &self,
        request: Request<v1::FenceTestRequest>,
    ) -> Result<Response<v1::FenceTestAnswer>, Status> {
        let v1::FenceTestRequest { node, device } = request.get_ref();
        let target = self.desk.config.node_named(node);
        let target = target.ok_or_else(|| Status::not_found(format!("{node:?} is no member")))?;
        let results = self.desk.tests.now(target, device).await;
        if results.is_empty() {
            let what = if device.is_empty() { "no device" } else { device };
            return Err(Status::not_found(format!("{what}: nothing of that name fences {node} from here")));
        }
        let result = |((_, level, place), tested): (Place, Tested)| {
            let found =
                self.desk.config.fencing.get(&target).and_then(|levels| levels.get(level)?.get(place));
            v1::FenceTestResult {
                target: node.clone(),
                level: u32::try_from(level + 1).unwrap_or(u32::MAX),
                device: (place + 1).to_string(),
                agent: found.map(FenceDevice::title).unwrap_or_default(),
                result: tested.word.to_owned(),
                state: tested.state.to_owned(),
                text: tested.text,
                took_ms: ms(tested.took),
            }
        };
        let results = results.into_iter().map(result).collect();
        Ok(Response::new(v1::FenceTestAnswer { schema: SCHEMA, results }))
    }
}
