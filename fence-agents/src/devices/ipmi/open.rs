//! The options of `ipmi`, and what they make.

use super::Controller;
use super::chassis::Behind;
use super::line::{Line, Target};
use super::session::crypto::Suite;
use super::session::login::{LAN_PASSWORD_MAX, Login, Privilege, SECRET_MAX, USER_MAX, Way};
use super::session::wire::LanAuth;
use crate::deadline::Deadline;
use crate::device::Device;
use crate::input::{InputError, Options};
use crate::options::{Kind, OptionSpec};
use crate::registry::DeviceKind;
use crate::secret::{self, PASSWORD, PASSWORD_FILE, PASSWORD_SCRIPT};
use crate::uuid::Uuid;
use ipmi_rs::connection::{Address, Channel};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The `ipmi` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "ipmi",
    shortdesc: "Fence agent for management controllers with IPMI over LAN",
    longdesc: "Switches a machine off and on through its management controller with IPMI over LAN, without any other \
program. Off is sent, then the chassis status is read until the controller says off, within power_timeout; a \
controller that accepts and does nothing is a failure.\n\n\
IPMI 2.0 (RMCP+) with cipher suite 17; suite 3, which many controllers still need, is used only if cipher says so \
(cipher=3, or cipher=17,3 for either). IPMI 1.5 only with lanplus=0 or interface=lan; it hides nothing.\n\n\
privlvl=operator is enough to fence. The controller must be on another power feed than the machine: one without \
power gives no answer, and no answer is not off. Give uuid, so that a changed address or a swapped controller cannot \
fence another machine.\n\n\
diag sends a diagnostic interrupt (for a crash dump); it is no fence, and Pacemaker is told so.",
    options: &[
        OptionSpec::text("ip", "Address or name of the controller").short('a').old("ipaddr"),
        OptionSpec::text("ipport", "UDP port").short('u').kind(Kind::Integer).default("623"),
        OptionSpec::text("username", "Login name, at most 16 bytes").short('l').old("login"),
        PASSWORD,
        PASSWORD_SCRIPT,
        PASSWORD_FILE,
        OptionSpec::text("lanplus", "Use IPMI 2.0 (0: IPMI 1.5)").short('P').kind(Kind::Flag).default("1"),
        OptionSpec::text("interface", "The same as a word; lan is lanplus=0")
            .kind(Kind::Choice(&["lan", "lanplus"])),
        OptionSpec::text("cipher", "Cipher suites that are allowed, in the order to try them: 17, 3 or 17,3")
            .short('C')
            .default("17"),
        OptionSpec::text("auth", "Authentication of IPMI 1.5")
            .short('A')
            .kind(Kind::Choice(&["md5", "password", "none"]))
            .default("md5"),
        OptionSpec::text("privlvl", "Privilege to work at; operator can fence")
            .short('L')
            .kind(Kind::Choice(&["callback", "user", "operator", "administrator"]))
            .default("administrator"),
        OptionSpec::text("kg", "The controller's key K_G, as text").secret(),
        OptionSpec::text("hexadecimal_kg", "The controller's key K_G, as hexadecimal digits").secret(),
        OptionSpec::text("target", "Address of another controller behind this one, as 0x82"),
        OptionSpec::text("uuid", "UUID that the machine must have, checked before anything else is asked"),
        OptionSpec::text("port_as_ip", "The plug is the address of the controller").kind(Kind::Flag),
    ],
    plug_option: Some("ip"),
    lists: false,
    diagnoses: true,
    open,
    external_names: &["ipmi"],
    external_options: &[
        ("hostname", "plug"),
        ("userid", "username"),
        ("passwd", "password"),
        ("priv", "privlvl"),
    ],
    ..DeviceKind::BASE
};

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let plugs = options.plugs().unwrap_or_default();
    // One controller has one machine: two names would be answered by one and the same state.
    if plugs.len() > 1 {
        let what = format!("one controller, but {} machines in plug; use a device for each", plugs.len());
        return Err(InputError::Unusable(what));
    }
    let plug = plugs.into_iter().next().unwrap_or_default();
    let host = if options.truth("port_as_ip")? == Some(true) { plug.as_str() } else { options.need("ip")? };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'/') {
        return Err(bad("ip", host, "an address or a name; the port is ipport"));
    }
    let port = u16::try_from(options.integer("ipport", u16::MAX.into())?).unwrap_or_default();
    if port == 0 {
        return Err(bad("ipport", "0", "a UDP port from 1 to 65535"));
    }
    let mut warnings = Vec::new();
    let ways = ways(options, &mut warnings)?;
    let logins = logins(options, &ways)?;
    let behind = options.get("target").map(behind).transpose()?.flatten();
    let uuid = options.get("uuid").map(|text| Uuid::parse(text).ok_or_else(|| bad("uuid", text, "a UUID")));
    let uuid = uuid.transpose()?;
    let target = Target { host: host.to_owned(), port, logins };
    let line = Line::new(target).map_err(|error| InputError::Unusable(format!("no event: {error}")))?;
    Ok(Box::new(Controller { line: Arc::new(line), behind, plug, uuid, warnings }))
}

/// How to log in, in the order of the user's list.
fn ways(options: &Options, warnings: &mut Vec<String>) -> Result<Vec<Way>, InputError> {
    let lanplus = match options.get("interface").map(str::to_ascii_lowercase).as_deref() {
        Some(word) => word == "lanplus",
        None => options.truth("lanplus")? != Some(false),
    };
    if !lanplus {
        return Ok(vec![Way::Lan(match options.need("auth")?.to_ascii_lowercase().as_str() {
            "none" => {
                warnings
                    .push("auth=none: anybody can forge what the controller says; use lanplus".to_owned());
                LanAuth::None
            }
            "password" => {
                warnings.push("auth=password: the password can be read on the way; use lanplus".to_owned());
                LanAuth::Password
            }
            _ => LanAuth::Md5,
        })]);
    }
    let given = options.need("cipher")?;
    let wanted = "17, 3, or both in the order to try them, as 17,3; other suites leave something unprotected";
    let mut ways = Vec::new();
    for word in given.split([',', ' ']).filter(|word| !word.is_empty()) {
        let way = Way::Plus(match word.parse() {
            Ok(3_u8) => Suite::Three,
            Ok(17) => Suite::Seventeen,
            Ok(_) | Err(_) => return Err(bad("cipher", given, wanted)),
        });
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    if ways.is_empty() { Err(bad("cipher", given, wanted)) } else { Ok(ways) }
}

fn logins(options: &Options, ways: &[Way]) -> Result<Vec<Login>, InputError> {
    let user = options.get("username").unwrap_or_default().as_bytes().to_vec();
    if user.len() > USER_MAX {
        return Err(bad("username", options.get("username").unwrap_or_default(), "at most 16 bytes long"));
    }
    let privilege = options.need("privlvl")?;
    let privilege = Privilege::ALL.into_iter().find(|(_, word)| word.eq_ignore_ascii_case(privilege));
    let privilege = privilege.map_or(Privilege::Administrator, |(level, _)| level);
    let span = options.seconds("login_timeout")?;
    // A script that prints the password is part of logging in.
    let until = Deadline::after_or_never((!span.is_zero()).then_some(span));
    let password = secret::password(options, until)?.map(|secret| secret.expose().to_vec());
    let password = Zeroizing::new(password.unwrap_or_default());
    let lan = ways.iter().any(|way| matches!(way, Way::Lan(_)));
    let most = if lan { LAN_PASSWORD_MAX } else { SECRET_MAX };
    if password.len() > most {
        let what = format!("the password is {} bytes long; IPMI has at most {most} here", password.len());
        return Err(InputError::Unusable(what));
    }
    let kg = kg(options)?;
    let login = |way: &Way| Login {
        user: user.clone(),
        password: password.clone(),
        kg: kg.clone(),
        privilege,
        way: *way,
    };
    Ok(ways.iter().map(login).collect())
}

fn kg(options: &Options) -> Result<Option<Zeroizing<Vec<u8>>>, InputError> {
    let key = match (options.get("kg"), options.get("hexadecimal_kg")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(InputError::Unusable("both kg and hexadecimal_kg are given; give one".to_owned()));
        }
        (Some(text), None) => Zeroizing::new(text.as_bytes().to_vec()),
        (None, Some(digits)) => unhex(digits).ok_or_else(|| {
            InputError::Unusable("hexadecimal_kg is not an even number of hexadecimal digits".to_owned())
        })?,
    };
    if key.len() > SECRET_MAX {
        let what = format!("the key K_G is {} bytes long; IPMI has at most {SECRET_MAX}", key.len());
        return Err(InputError::Unusable(what));
    }
    Ok(Some(key))
}

fn unhex(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

/// The controller behind, on the first bus.
fn behind(target: &str) -> Result<Behind, InputError> {
    let number = match target.strip_prefix("0x").or_else(|| target.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => target.parse().ok(),
    };
    let address = number.filter(|address| *address != 0 && address % 2 == 0);
    let address = address.ok_or_else(|| bad("target", target, "an even address on the bus, as 0x82"))?;
    // The controller's own address means itself.
    Ok((address != super::session::message::CONTROLLER).then_some((Address(address), Channel::Primary)))
}

fn bad(option: &str, given: &str, wanted: &str) -> InputError {
    InputError::BadValue { option: option.to_owned(), given: given.to_owned(), wanted: wanted.to_owned() }
}
