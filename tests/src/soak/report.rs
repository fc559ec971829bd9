//! What a run has come to.

use super::fault::{Kind, Takeover};
use super::quiet::False;
use core::fmt;
use picket::demo::links::Tally;

/// So far.
#[derive(Debug, Default)]
pub struct Report {
    /// Of the quiet times.
    pub quiet: False,
    /// Quiet seconds.
    pub quiet_s: u64,
    /// Takeovers after faults.
    pub takeovers: Vec<Takeover>,
    /// What the checker found, and what did not happen in time.
    pub findings: Vec<String>,
    /// How often the host stood still in a quiet time, and so says nothing about false takeovers.
    pub stalls: u64,
    /// Acknowledgements that were judged.
    pub judged: usize,
    /// What has become of the heartbeats, by the cables' own count.
    pub heartbeats: Tally,
}

/// The value that so many per mille of the values do not exceed; 0 of none.
#[must_use]
pub fn percentile(values: &mut [u64], per_mille: usize) -> u64 {
    values.sort_unstable();
    let at = (values.len() * per_mille).div_ceil(1000).saturating_sub(1);
    values.get(at).copied().unwrap_or_default()
}

impl Report {
    /// Nothing that must not be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.quiet.is_none() && self.findings.is_empty() && !self.is_late() && self.is_telling()
    }

    /// The takeovers during which the host did not stand still.
    fn timed(&self) -> impl Iterator<Item = &Takeover> {
        self.takeovers.iter().filter(|takeover| takeover.stalled.is_none())
    }

    /// More than one of them in a thousand took longer than its formula says.
    fn is_late(&self) -> bool {
        let late = self.timed().filter(|takeover| takeover.is_late()).count();
        late * 1000 > self.timed().count()
    }

    /// Half of all takeovers have a time that counts: otherwise the times of the run show nothing.
    fn is_telling(&self) -> bool {
        2 * self.timed().count() >= self.takeovers.len()
    }

    /// Adds what became of one cluster's heartbeats.
    pub const fn count(&mut self, tally: Tally) {
        self.heartbeats.carried += tally.carried;
        self.heartbeats.lost += tally.lost;
        self.heartbeats.cut += tally.cut;
    }

    /// Heartbeats lost by noise, in a million of those that were not cut; 0 of none.
    #[must_use]
    pub fn lost_ppm(&self) -> u64 {
        let Tally { carried, lost, .. } = self.heartbeats;
        (lost * 1_000_000).checked_div(carried + lost).unwrap_or(0)
    }

    fn of(&self, kind: Kind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_kind: Vec<&Takeover> =
            self.takeovers.iter().filter(|takeover| takeover.kind == kind).collect();
        let mut outages: Vec<u64> = of_kind.iter().map(|takeover| takeover.outage_ms).collect();
        let mut detections: Vec<u64> = of_kind.iter().map(|takeover| takeover.detection_ms).collect();
        let mut promises: Vec<u64> = of_kind.iter().map(|takeover| takeover.promised_ms).collect();
        let mut promotions: Vec<u64> = of_kind.iter().map(|takeover| takeover.promotion_ms).collect();
        let late = of_kind.iter().filter(|takeover| takeover.is_late() && takeover.stalled.is_none()).count();
        let stalled = of_kind.iter().filter(|takeover| takeover.stalled.is_some()).count();
        let mut at = |per_mille| percentile(&mut outages, per_mille);
        writeln!(
            f,
            "{:8} n {:5}  outage p50 {} p99 {} p99.9 {} ms; promised p50 {} ms, longer {late}, excused {stalled}; \
             detection p99.9 {} ms, promotion p99.9 {} ms",
            format!("{kind:?}").to_lowercase(),
            of_kind.len(),
            at(500),
            at(990),
            at(999),
            percentile(&mut promises, 500),
            percentile(&mut detections, 999),
            percentile(&mut promotions, 999)
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "quiet {} s: {}; the host stood still {} times", self.quiet_s, self.quiet, self.stalls)?;
        self.quiet.moves.iter().try_for_each(|text| writeln!(f, "  FALSE {text}"))?;
        let Tally { carried, lost, cut } = self.heartbeats;
        let (ppm, sent) = (self.lost_ppm(), carried + lost + cut);
        writeln!(
            f,
            "heartbeats, as the cables counted: {sent} sent, {lost} lost by noise ({}.{:02} %), {cut} cut, {carried} carried",
            ppm / 10_000,
            ppm % 10_000 / 100
        )?;
        self.of(Kind::Fence, f)?;
        self.of(Kind::Lease, f)?;
        writeln!(f, "{} acknowledgements judged, {} findings", self.judged, self.findings.len())?;
        self.findings.iter().try_for_each(|text| writeln!(f, "  {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn what_was_cut_is_not_in_the_loss() {
        let mut report = Report::default();
        assert_eq!(report.lost_ppm(), 0);
        report.count(Tally { carried: 90, lost: 10, cut: 700 });
        report.count(Tally { carried: 810, lost: 90, cut: 0 });
        assert_eq!(report.lost_ppm(), 100_000);
        assert!(report.to_string().contains("1700 sent, 100 lost by noise (10.00 %), 700 cut"));
    }

    #[test]
    fn more_than_one_late_takeover_in_a_thousand_is_too_many() {
        let took = |outage_ms| Takeover {
            kind: Kind::Lease,
            detection_ms: 0,
            outage_ms,
            promised_ms: 700,
            promotion_ms: 0,
            proof: "LEASE".to_owned(),
            stalled: None,
        };
        let mut report = Report { takeovers: vec![took(700); 999], ..Report::default() };
        report.takeovers.push(took(701));
        assert!(report.is_good());
        report.takeovers.push(took(701));
        assert!(!report.is_good());
        report.stalls = 1;
        assert!(!report.is_good(), "the host stood still, but in a quiet time");
        report.takeovers[1000].stalled = Some(Duration::from_millis(300));
        assert!(report.is_good(), "it stood still in that one");
        assert!(report.to_string().contains("longer 1, excused 1;"), "{report}");
    }

    #[test]
    fn a_host_that_stood_still_most_of_the_time_shows_nothing() {
        let stalled = Some(Duration::from_millis(300));
        let takeover = Takeover {
            kind: Kind::Fence,
            detection_ms: 0,
            outage_ms: 9000,
            promised_ms: 700,
            promotion_ms: 0,
            proof: "FENCED".to_owned(),
            stalled,
        };
        let in_time = Takeover { outage_ms: 600, stalled: None, ..takeover.clone() };
        let mut report = Report { takeovers: vec![takeover.clone(), in_time], ..Report::default() };
        assert!(report.is_good());
        report.takeovers.push(takeover);
        assert!(!report.is_good());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let mut values: Vec<u64> = (1..=1000).rev().collect();
        assert_eq!(percentile(&mut values, 500), 500);
        assert_eq!(percentile(&mut values, 999), 999);
        assert_eq!(percentile(&mut values, 1000), 1000);
        assert_eq!(percentile(&mut [7], 1), 7);
        assert_eq!(percentile(&mut [], 999), 0);
    }
}
