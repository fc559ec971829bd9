//! What a test of fence devices found.

use super::millis;
use super::paint::Paint;
use super::table::{Cell, Table};
use picket_proto::v1::FenceTestResult;

/// A line for each device.
#[must_use]
pub fn lines(results: &[FenceTestResult], paint: Paint) -> Vec<String> {
    let mut table = Table::new(["TARGET", "LEVEL", "DEVICE", "AGENT", "TEST", "STATE", "TOOK", "NOTES"]);
    for result in results {
        table.row([
            Cell::from(&result.target),
            result.level.to_string().into(),
            Cell::from(&result.device),
            Cell::from(&result.agent),
            Cell::state(&result.result),
            Cell::from(&result.state),
            millis(result.took_ms).into(),
            Cell::from(&result.text),
        ]);
    }
    table.lines(paint)
}
