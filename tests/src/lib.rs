//! Tests that run several programs together. What they share lives here; the tests are in `tests/`.
