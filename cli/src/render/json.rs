//! Machine-readable output: one object, `schema` in it, nothing else on standard output.
//!
//! Field names are those of `picket/v1/control.proto`; what is absent there is `null` here.

use picket_proto::SCHEMA;
use picket_proto::v1::{Outcome, outcome};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer of the daemon as one line. One that carries no schema of its own gets ours.
///
/// # Errors
/// It cannot be written as JSON.
pub fn line(answer: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(answer)?;
    if let Value::Object(fields) = &mut value
        && !fields.contains_key("schema")
    {
        fields.insert("schema".to_owned(), SCHEMA.into());
    }
    serde_json::to_string(&value)
}

/// How a request ended, as one line: `result` is `done`, `refused`, `underway` or `unknown`.
///
/// # Errors
/// It cannot be written as JSON.
pub fn outcome(answer: &Outcome) -> Result<String, serde_json::Error> {
    let value = match &answer.result {
        Some(outcome::Result::Done(done)) => json!({
            "schema": SCHEMA, "result": "done", "text": done.text, "effective_in_ms": done.effective_in_ms,
        }),
        Some(outcome::Result::Refused(refused)) => json!({
            "schema": SCHEMA, "result": "refused", "word": refused.word, "text": refused.text,
        }),
        Some(outcome::Result::Underway(underway)) => json!({
            "schema": SCHEMA, "result": "underway", "text": underway.text,
        }),
        None => json!({ "schema": SCHEMA, "result": "unknown" }),
    };
    serde_json::to_string(&value)
}
