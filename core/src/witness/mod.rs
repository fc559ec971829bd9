//! The witness machine.
