//! The switchboard of the known-wrong rules, for the commands.

/// The number of a known-wrong rule, as `12` or `M12`.
///
/// # Errors
/// It is the number of none.
pub fn number(text: &str) -> Result<u8, String> {
    text.trim_start_matches(['M', 'm']).parse().map_err(|_| "the number of no known-wrong rule".to_owned())
}

/// Puts a known-wrong rule into the protocol, in a build that has them.
///
/// # Errors
/// There is no such rule.
#[cfg(picket_mutants)]
pub fn on(number: u8) -> Result<(), String> {
    use picket_core::mutant::{Mutant, switch};
    let found = Mutant::ALL.iter().find(|mutant| mutant.number() == number);
    switch(&[*found.ok_or_else(|| format!("there is no known-wrong rule M{number}"))?]);
    Ok(())
}

/// Puts a known-wrong rule into the protocol, in a build that has them.
///
/// # Errors
/// This build has none.
#[cfg(not(picket_mutants))]
pub fn on(_number: u8) -> Result<(), String> {
    Err("this build holds no known-wrong rules: build with RUSTFLAGS=\"--cfg picket_mutants\"".into())
}
