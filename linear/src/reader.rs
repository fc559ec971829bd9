//! An operator who looks at the witness's status again and again: reads that no session orders.

use crate::history::{History, Moment};
use crate::register::{Call, Holder, Outcome, View};
use crate::rng::Rng;
use crate::site::{Failed, Site, VOLUMES, boot_named, node_named, nodes_named};
use core::time::Duration;
use picket_core::ids::VolumeId;
use picket_host::tls::channel;
use picket_proto::v1::witness_client::WitnessClient;
use picket_proto::v1::{WitnessStatus, WitnessStatusRequest, WitnessVolume};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::transport::Channel;

/// The longest pause between two looks, in milliseconds.
const PAUSE_MS_MAX: u64 = 25;

/// A look that takes longer is given up: the program may be stopped just then.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What a look shows.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Each register.
    pub views: BTreeMap<VolumeId, View>,
    /// The witness may lack history.
    pub recovering: bool,
    /// When it had been taken.
    pub at: Moment,
}

/// Somebody who looks.
pub struct Reader {
    client: WitnessClient<Channel>,
    history: Arc<History>,
}

impl Reader {
    /// An operator of the site.
    ///
    /// # Errors
    /// There is no certificate for one.
    pub fn new(site: &Site, history: Arc<History>) -> Result<Self, Failed> {
        let (address, expect) = site.witness()?;
        let channel = channel(&site.operator_credentials()?, &address, expect, LOOK_MAX)?;
        Ok(Self { client: WitnessClient::new(channel), history })
    }

    /// One look, which is recorded; nothing: there was no answer.
    pub async fn look(&mut self) -> Option<Look> {
        let life = self.history.life();
        let asked = VOLUMES.map(|volume| (volume, self.history.ask(volume, life, Call::Read)));
        let answer =
            tokio::time::timeout(LOOK_MAX, self.client.status(WitnessStatusRequest::default())).await;
        let mut look = understand(&answer.ok()?.ok()?.into_inner())?;
        for (volume, pending) in asked {
            if let Some(view) = look.views.get(&volume) {
                self.history.answer(pending, Outcome::Told(*view));
            }
        }
        look.at = self.history.now();
        Some(look)
    }

    /// Looks until `stop` says so.
    pub async fn run(mut self, mut rng: Rng, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.look().await;
            let pause = Duration::from_millis(1 + rng.below(PAUSE_MS_MAX));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => {}
            }
        }
    }
}

fn understand(status: &WitnessStatus) -> Option<Look> {
    let views: Option<_> = status.volumes.iter().map(view).collect();
    Some(Look { views: views?, recovering: status.recovering, at: 0 })
}

fn view(volume: &WitnessVolume) -> Option<(VolumeId, View)> {
    let holder = match volume.holder.as_str() {
        "" => None,
        name => Some(Holder { node: node_named(name)?, boot: boot_named(&volume.holder_boot)? }),
    };
    let view =
        View { epoch: volume.epoch, holder, isr: nodes_named(&volume.isr), version: volume.isr_version };
    Some((VolumeId(u16::try_from(volume.id).ok()?), view))
}
