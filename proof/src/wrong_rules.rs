//! The switchboard of the known-wrong rules, for the commands.

#[cfg(picket_mutants)]
use picket_core::mutant::Mutant;

/// The number of a known-wrong rule, as `12` or `M12`.
///
/// # Errors
/// It is the number of none.
pub fn number(text: &str) -> Result<u8, String> {
    text.trim_start_matches(['M', 'm']).parse().map_err(|_| "the number of no known-wrong rule".to_owned())
}

/// The one with this number, or all.
///
/// # Errors
/// There is no such rule.
#[cfg(picket_mutants)]
pub fn chosen(only: Option<u8>) -> Result<Vec<Mutant>, String> {
    let Some(number) = only else { return Ok(Mutant::ALL.to_vec()) };
    let found = Mutant::ALL.iter().find(|mutant| mutant.number() == number);
    found.map(|mutant| vec![*mutant]).ok_or_else(|| format!("there is no known-wrong rule M{number}"))
}

/// Puts a known-wrong rule into the protocol, in a build that has them.
///
/// # Errors
/// There is no such rule.
#[cfg(picket_mutants)]
pub fn on(number: u8) -> Result<(), String> {
    picket_core::mutant::switch(&chosen(Some(number))?);
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
