//! Who somebody is, as a certificate says it.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_host::cert::Identity;

/// The target. An input is the text of a name in a certificate.
pub const TARGET: Target = Target {
    name: "identity",
    about: "names in certificates: one identity has one text, and no name leads out of its cluster",
    seeds,
    words: &["picket://", "witness", "node", "operator", "/", "-", "..", "%2f", "\u{0}", "\u{130}", "east"],
    check,
};

fn seeds() -> Vec<Vec<u8>> {
    let made =
        [Identity::witness("w1"), Identity::node("east", "n1"), Identity::operator("east", "ann.b-c_d")];
    made.into_iter().flatten().map(|identity| identity.to_string().into_bytes()).collect()
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let identity: Identity = match text.parse() {
        Ok(identity) => identity,
        Err(error) => {
            let told = format!("{error}");
            must!(
                !told.contains(['\n', '\r', '\u{1b}']),
                "the error shows what could drive a terminal: {told:?}"
            );
            must!(told.len() < 2000, "an error of {} bytes", told.len());
            return Ok(Answer::new(told));
        }
    };
    must!(identity.to_string() == text, "{text:?} was read as {identity}");
    let parts: Vec<&str> = text.split('/').collect();
    must!(parts.len() == 5, "{text:?} has {} parts", parts.len());
    must!(!text.contains("..") || !parts.contains(&".."), "{text:?} leads somewhere else");
    let name = identity.server_name();
    must!(name.ends_with(".picket.internal") && name.is_ascii(), "{text:?} is reached as {name:?}");
    Ok(Answer::new(format!("{}, cluster {}", identity.role(), identity.cluster().is_some())))
}
