//! What came out: one line per act, and the verdict of the checker.

use crate::render::paint::{Paint, Tone};
use crate::render::table::{Cell, Table};
use picket_ledger::checker::Report as CheckerReport;
use picket_proto::SCHEMA;
use serde::Serialize;

/// Why a result cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("the result cannot be written as JSON: {0}")]
pub struct ReportError(#[from] serde_json::Error);

/// How an act ended. Times are in milliseconds, counted from the fault by the daemons' own event logs; the outage
/// is the longest time in which the client got no acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActReport {
    /// The act's stable name.
    pub id: String,
    /// In words.
    pub name: String,
    /// It ended as expected.
    pub ok: bool,
    /// The longest time without an acknowledgement.
    pub outage_ms: Option<u64>,
    /// Until the peer's silence was noticed.
    pub detection_ms: Option<u64>,
    /// Until the old holder was proven inactive and the grant was given.
    pub proof_ms: Option<u64>,
    /// Until the volume was in service again.
    pub promotion_ms: Option<u64>,
    /// What proved it, as a stable word.
    pub proof: Option<String>,
    /// Why it did not end as expected.
    pub why: Option<String>,
}

/// The result of a demonstration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DemoReport {
    /// Grows with each change of this object's meaning.
    pub schema: u32,
    /// In the order in which they were played.
    pub acts: Vec<ActReport>,
    /// Writes that clients were told to be safe.
    pub acknowledged: u64,
    /// Of those, the ones that are not there any more.
    pub lost: u64,
    /// Moments with two writable nodes: times at which two would have acknowledged a write, by their own logs. Each
    /// of them was written to all the time.
    pub dual_active: u64,
    /// Anything else that the checker found: writes twice or missing at the other node, damaged files,
    /// acknowledgements that nobody logged, or that came by an old epoch after a newer one had begun.
    pub other_findings: u64,
}

impl DemoReport {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { schema: SCHEMA, ..Self::default() }
    }

    /// Adds what the checker found on one cluster's volume.
    pub fn add_check(&mut self, check: &CheckerReport) {
        self.acknowledged += check.acknowledged;
        self.lost += check.lost.count;
        self.dual_active += check.both_writable.count;
        self.other_findings += check.dual_active.count + check.holes.count;
        self.other_findings += check.duplicates.count + check.damage.count + check.unlogged.count;
    }

    /// Every act ended as expected, nothing was lost, and there never were two writers.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.is_safe() && !self.acts.is_empty() && self.acts.iter().all(|act| act.ok)
    }

    /// Nothing was lost, and there never were two writers.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.lost == 0 && self.dual_active == 0 && self.other_findings == 0
    }

    /// As one line of JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string(self)?)
    }

    /// As a table and the verdict.
    #[must_use]
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let heads = ["ACT", "ENDED", "OUTAGE", "DETECTION", "PROOF AFTER", "PROMOTION", "PROOF"];
        let mut table = Table::new(heads);
        for act in &self.acts {
            let ended = if act.ok {
                Cell::toned(Tone::Good, "as expected")
            } else {
                Cell::toned(Tone::Bad, "NOT as expected")
            };
            table.row([
                Cell::from(&act.id),
                ended,
                ms(act.outage_ms),
                ms(act.detection_ms),
                ms(act.proof_ms),
                ms(act.promotion_ms),
                act.proof.clone().unwrap_or_default().into(),
            ]);
        }
        let mut lines = table.lines(paint);
        let wrong = self.acts.iter().filter_map(|act| Some(format!("{}: {}", act.id, act.why.as_ref()?)));
        lines.extend(wrong);
        lines.push(String::new());
        lines.push(format!("Acknowledged writes:               {}", self.acknowledged));
        lines.push(format!("Lost of them:                      {}", zero(self.lost, paint)));
        lines.push(format!("Moments with two writable nodes:   {}", zero(self.dual_active, paint)));
        if self.other_findings > 0 {
            lines.push(format!("Other findings of the checker:     {}", zero(self.other_findings, paint)));
        }
        lines
    }
}

fn ms(ms: Option<u64>) -> Cell {
    ms.map_or_else(Cell::default, |ms| format!("{ms} ms").into())
}

fn zero(count: u64, paint: Paint) -> String {
    paint.text(if count == 0 { Tone::Good } else { Tone::Bad }, &count.to_string())
}

#[cfg(test)]
mod tests;
