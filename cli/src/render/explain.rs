//! Why a volume is, or is not, active here.

use super::paint::{Paint, tone_of};
use picket_proto::v1::Explanation;

/// The explanation, line by line.
#[must_use]
pub fn lines(explanation: &Explanation, paint: Paint) -> Vec<String> {
    let mut lines = vec![paint.heading(&format!("{}: {}", explanation.tag, explanation.summary))];
    for step in &explanation.steps {
        // The longest of the four words is 7 letters.
        let state = paint.text(tone_of(&step.state), &format!("{:<7}", step.state));
        let detail = if step.detail.is_empty() { String::new() } else { format!(": {}", step.detail) };
        lines.push(format!("  {state}  {}{detail}", step.condition));
    }
    lines
}
