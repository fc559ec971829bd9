//! The play: the stage is set, the acts follow each other, everything is cleaned up, and the checker judges.

use super::acts::{ALL, Act};
use super::cluster::{Cluster, ClusterSpec, Ended, LabError, Writers};
use super::display::{Display, stdout};
use super::error::DemoError;
use super::report::{ActReport, DemoReport};
use super::stage::{Stage, VOLUME};
use super::stall::StallWatch;
use crate::args::DemoArgs;
use crate::multicall::Program;
use crate::render::paint::Paint;
use crate::session::Session;
use core::time::Duration;
use picket_ledger::client::Ack;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the moving line moves.
const FRAME: Duration = Duration::from_millis(120);

/// How often the client writes: outages are seen to a millisecond, and two small processors are left for the rest.
const CLIENT_PACE: Duration = Duration::from_millis(1);

/// How often an act is played at most: a host that stands still three times in a row is too busy to show anything.
const TRIES_MAX: u32 = 3;

/// What to play, and how to show it.
pub struct Demo {
    acts: Vec<Act>,
    spec: ClusterSpec,
    display: Display,
    interactive: bool,
    keep: bool,
    json: bool,
}

/// Whatever ends a program from outside.
struct Interrupts {
    signals: [Signal; 3],
}

impl Interrupts {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    async fn come(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

impl Demo {
    /// From the command line.
    ///
    /// # Errors
    /// An act that there is not, or this program cannot be found.
    pub fn from_args(args: &DemoArgs, session: &Session) -> Result<Self, DemoError> {
        let named = |id: &String| Act::named(id).ok_or_else(|| DemoError::NoSuchAct(id.clone()));
        let mut acts = args.acts.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        if acts.is_empty() {
            acts = ALL.to_vec();
        }
        let moving = session.terminal && !args.plain && !session.json;
        let paint = if args.plain { Paint::new(false) } else { session.paint };
        Ok(Self {
            acts,
            spec: ClusterSpec {
                dir: args.dir.clone(),
                client_pace: Some(CLIENT_PACE),
                ..ClusterSpec::new(2, std::env::current_exe()?)
            },
            display: Display::new(stdout(), paint, moving),
            interactive: args.interactive,
            keep: args.keep,
            json: session.json,
        })
    }

    /// Plays, cleans up and shows the result.
    ///
    /// # Errors
    /// The lab could not be set up or judged, or it was interrupted. Acts that went wrong are in the report.
    pub async fn play(self) -> Result<DemoReport, DemoError> {
        let mut interrupts = Interrupts::watch()?;
        self.display.line(
            "Picket keeps a replicated volume from being active twice, whatever breaks. A demonstration:",
        );
        let cluster = Cluster::start(self.spec.clone()).await?;
        let mut stage = Stage::new(cluster, self.display.clone(), self.interactive)?;
        let mut report = DemoReport::new();
        let went_on = tokio::select! {
            () = self.acts(&mut stage, &mut report.acts) => true,
            () = interrupts.come() => false,
        };
        if went_on && self.keep {
            self.tell_how_to_look(&stage);
            interrupts.come().await;
        }
        self.display.still();
        close(stage, &mut report).await?;
        if !went_on {
            return Err(DemoError::Interrupted);
        }
        self.show(&report)?;
        Ok(report)
    }

    async fn acts(&self, stage: &mut Stage, reports: &mut Vec<ActReport>) {
        for (number, act) in (1..).zip(&self.acts) {
            self.display.heading(&format!("Act {number} of {}: {}", self.acts.len(), act.title()));
            let ended = self.undisturbed(*act, stage).await;
            let names =
                ActReport { id: act.id().to_owned(), name: act.title().to_owned(), ..ActReport::default() };
            reports.push(match ended {
                Ok(report) => ActReport { id: names.id, name: names.name, ok: true, ..report },
                Err(why) => {
                    self.display.bad(&why);
                    ActReport { why: Some(why), ..names }
                }
            });
        }
    }

    /// Plays an act again if it went wrong while the host stood still.
    async fn undisturbed(&self, act: Act, stage: &mut Stage) -> Result<ActReport, String> {
        let stalls = StallWatch::start();
        for _ in 1..TRIES_MAX {
            let ended = self.act(act, stage).await;
            let (Err(why), Some(stall)) = (&ended, stalls.take()) else { return ended };
            self.display.bad(why.lines().next().unwrap_or_default());
            self.display.tell(&format!(
                "But this host stood still for {} ms meanwhile, and every daemon with it; once more.",
                stall.as_millis()
            ));
        }
        self.act(act, stage).await
    }

    /// An act on a healthy stage, with the moving line below it.
    async fn act(&self, act: Act, stage: &mut Stage) -> Result<ActReport, String> {
        let (view, display) = (stage.cluster.view(), self.display.clone());
        let frames = async {
            let mut frames = tokio::time::interval(FRAME);
            loop {
                frames.tick().await;
                let line = moving_line(&view.borrow());
                display.moving(&line);
            }
        };
        let played = async {
            // Act 3 begins where act 2 ended: with one machine gone.
            if act != Act::RejoinAndMove {
                stage.heal().await.map_err(|error| error.to_string())?;
            }
            act.play(stage).await.map_err(|error| error.to_string())
        };
        if !self.display.is_moving() {
            return played.await;
        }
        tokio::select! {
            ended = played => ended,
            () = frames => Err("the display ended".to_owned()),
        }
    }

    fn tell_how_to_look(&self, stage: &Stage) {
        let bin = stage.cluster.dir().join("bin").join(Program::Picket.name());
        self.display.heading("The cluster runs on. In another terminal, for example:");
        for node in stage.cluster.spec().node_names() {
            let socket = stage.cluster.control_socket(&node);
            self.display.line(&format!("  {} --socket {} status", bin.display(), socket.display()));
        }
        let machine = stage.cluster.dir().join("n1/control.sock");
        self.display.line(&format!(
            "  {} demo --machine {} off      # pull n1's plug; also: on, reboot, status, kill picketd",
            bin.display(),
            machine.display()
        ));
        self.display.line("Ctrl-C ends it and leaves nothing behind.");
    }

    fn show(&self, report: &DemoReport) -> Result<(), DemoError> {
        self.display.line("");
        for line in report.lines(self.display.paint()) {
            self.display.line(&line);
        }
        if self.json {
            self.display.line(&report.json()?);
        }
        Ok(())
    }
}

fn moving_line(view: &super::cluster::View) -> String {
    let nodes = view.nodes().map(|(name, status)| {
        let volume = status.volumes.iter().find(|volume| volume.tag == VOLUME);
        let state = volume.map_or("?", |volume| if volume.frozen { "frozen" } else { &volume.state });
        format!("{name} {state}")
    });
    let witness = if view.witness().is_some() { "witness up" } else { "witness down" };
    nodes.chain([witness.to_owned()]).collect::<Vec<_>>().join("   ")
}

/// Ends everything, judges what is left, and removes it.
async fn close(stage: Stage, report: &mut DemoReport) -> Result<(), DemoError> {
    let Stage { cluster, writers, starting, others, .. } = stage;
    if let Some(starting) = starting
        && let Ok(Ok(half)) = starting.await
    {
        half.end().await?.remove()?;
    }
    // Everything is ended, also when judging one of them fails.
    let mut judged = judge(cluster, writers, report).await;
    for (cluster, writers) in others {
        judged = judged.and(judge(cluster, writers, report).await);
    }
    judged
}

async fn judge(cluster: Cluster, writers: Writers, report: &mut DemoReport) -> Result<(), DemoError> {
    let primary = last_holder(&cluster);
    let acks = writers.stop().await.map_err(LabError::Client);
    let ended = cluster.end().await?;
    let checked = acks.and_then(|acks| check(&ended, primary.as_deref(), &acks));
    let removed = ended.remove();
    report.add_check(&checked?);
    Ok(removed?)
}

/// Who has the volume; if nobody says so now, who held it by the newest record.
fn last_holder(cluster: &Cluster) -> Option<String> {
    let view = cluster.view().borrow().clone();
    let newest = |view: &super::cluster::View| {
        let volumes = view.nodes().filter_map(|(name, _)| view.volume(name, VOLUME));
        let newest = volumes.filter(|volume| !volume.holder.is_empty()).max_by_key(|volume| volume.epoch);
        newest.map(|volume| volume.holder.clone())
    };
    view.in_service(VOLUME).or_else(|| newest(&view))
}

/// Without a known holder, whoever acknowledged last must have everything.
fn check(
    ended: &Ended,
    primary: Option<&str>,
    acks: &[Ack],
) -> Result<picket_ledger::checker::Report, LabError> {
    let last = acks.last().map(|ack| super::cluster::node_name(usize::from(ack.node.0)));
    let primary = primary.map(str::to_owned).or(last).unwrap_or_else(|| super::cluster::node_name(1));
    ended.check(VOLUME, &primary, acks)
}
