//! What an earlier run left in a small state, as JSON.

use picket_host::small_state::SmallState;
use serde::de::DeserializeOwned;

/// The record; none: nothing was left.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub(crate) fn load<T: DeserializeOwned>(state: &SmallState) -> Result<Option<T>, String> {
    let Some(bytes) = state.load().map_err(|error| error.to_string())? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string())
}
