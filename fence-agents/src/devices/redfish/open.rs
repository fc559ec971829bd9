//! The options of `redfish`, and what they make.

use super::client::{Client, Login};
use super::session::Endpoint;
use super::{Redfish, auth, plugs};
use crate::deadline::Deadline;
use crate::device::Device;
use crate::input::{InputError, Options};
use crate::net::tls::{Fingerprint, SYSTEM_AUTHORITIES, Tls, Trust, Words};
use crate::options::{Kind, OptionSpec};
use crate::registry::DeviceKind;
use crate::secret::{self, PASSWORD, PASSWORD_FILE, PASSWORD_SCRIPT};
use picket_host::secrets::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The `redfish` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "redfish",
    shortdesc: "Fence agent for management controllers with Redfish",
    longdesc: "Switches a machine off and on through the Redfish service of its management controller (iDRAC, iLO, \
XCC, OpenBMC and others): ComputerSystem.Reset with ForceOff or On, then the PowerState is read until it is as \
wanted.\n\n\
The controller's certificate must come from an authority in ssl_ca_file (by default those that the system trusts), \
or be the one whose fingerprint is in ssl_fingerprint; with ssl_insecure=1 it is not checked, and a warning says so \
each time.\n\n\
A controller with one computer system needs no plug; with several, plug is a system's Id, name, host name, asset \
tag, serial number or UUID, or systems_uri names it. Give uuid or serial, so that a changed address or a swapped \
controller cannot fence another machine.",
    options: &[
        OptionSpec::text("ip", "Address or name of the controller").short('a').old("ipaddr").required(),
        OptionSpec::text("ipport", "TCP port (443; without ssl 80)").short('u').kind(Kind::Integer),
        OptionSpec::text("username", "Login name").short('l').old("login").required(),
        PASSWORD,
        PASSWORD_SCRIPT,
        PASSWORD_FILE,
        OptionSpec::text("auth", "How to log in; auto: basic, or a session where basic is switched off")
            .kind(Kind::Choice(&["auto", "basic", "session"]))
            .default("auto"),
        OptionSpec::text("redfish_uri", "Path of the service root").default("/redfish/v1"),
        OptionSpec::text("systems_uri", "Path of the computer system, if there are several"),
        OptionSpec::text("uuid", "UUID that the system must have"),
        OptionSpec::text("serial", "Serial number that the system must have"),
        OptionSpec::text("ssl", "Use TLS").short('z').kind(Kind::Flag).default("1"),
        OptionSpec::text("ssl_secure", "Check the certificate (always, unless ssl_insecure)")
            .kind(Kind::Flag),
        OptionSpec::text("ssl_insecure", "Do not check the certificate").kind(Kind::Flag),
        OptionSpec::text("ssl_ca_file", "PEM file of the authorities to trust (those of the system)"),
        OptionSpec::text("ssl_fingerprint", "SHA-256 fingerprint of the one certificate to trust"),
        OptionSpec::text("ssl_server_name", "Name that the certificate is made out to, if it is not ip"),
    ],
    // A controller with one system is named by its address.
    plug_option: Some("ip"),
    open,
    ..DeviceKind::BASE
};

const WORDS: Words = Words {
    authorities: "ssl_ca_file",
    pin: Some("ssl_fingerprint"),
    name: "ssl_server_name",
    port: "ipport, or set ssl=0 if it really has no TLS",
};

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let login = login(options)?;
    let root = path(options, "redfish_uri")?.unwrap_or_else(|| "/redfish/v1".to_owned());
    let systems_uri = path(options, "systems_uri")?;
    let machines = plugs(options);
    if systems_uri.is_some() && machines.len() > 1 {
        let what = format!("one systems_uri, but {} machines in plug", machines.len());
        return Err(InputError::Unusable(what));
    }
    let mut warnings = Vec::new();
    let endpoint = Arc::new(endpoint(options, &mut warnings)?);
    let auth = auth(&options.get("auth").unwrap_or_default().to_ascii_lowercase());
    let text = |name| options.get(name).map(str::to_owned);
    Ok(Box::new(Redfish {
        client: Client::new(endpoint, login, auth, &root),
        root,
        systems_uri,
        uuid: text("uuid"),
        serial: text("serial"),
        plugs: machines,
        plug_is_own: options.plug_is_own(),
        warnings,
        known: BTreeMap::new(),
        task: None,
    }))
}

fn login(options: &Options) -> Result<Login, InputError> {
    let username = options.need("username")?.to_owned();
    // A script that prints the password is part of logging in.
    let span = options.seconds("login_timeout")?;
    let until = Deadline::after_or_never((!span.is_zero()).then_some(span));
    let missing = "option password_file, password_script or password is required";
    let password: Secret =
        secret::password(options, until)?.ok_or_else(|| InputError::Unusable(missing.to_owned()))?;
    if std::str::from_utf8(password.expose()).is_err() {
        return Err(InputError::Unusable("the password is not UTF-8".to_owned()));
    }
    Ok(Login { username, password })
}

fn path(options: &Options, name: &str) -> Result<Option<String>, InputError> {
    let Some(path) = options.get(name) else { return Ok(None) };
    if super::model::is_local_path(path) {
        return Ok(Some(path.to_owned()));
    }
    Err(InputError::BadValue {
        option: name.to_owned(),
        given: path.to_owned(),
        wanted: "a path that begins with /".to_owned(),
    })
}

fn endpoint(options: &Options, warnings: &mut Vec<String>) -> Result<Endpoint, InputError> {
    let ssl = options.truth("ssl")? != Some(false);
    let (host, glued_port) = host_and_port(options.need("ip")?)?;
    let given = options.integer("ipport", u32::from(u16::MAX))?;
    let given = u16::try_from(given).ok().filter(|port| *port != 0);
    let port = glued_port.or(given).unwrap_or(if ssl { 443 } else { 80 });
    let tls = if ssl { Some(tls(options, &host, warnings)?) } else { None };
    if tls.is_none() {
        let checks = ["ssl_secure", "ssl_ca_file", "ssl_fingerprint", "ssl_server_name"];
        let checked = checks.iter().find(|name| match options.get(name) {
            Some(value) => **name != "ssl_secure" || !matches!(value, "0" | "no" | "off" | "false"),
            None => false,
        });
        if let Some(checked) = checked {
            return Err(InputError::Unusable(format!(
                "{checked} has no meaning with ssl=0; leave out one of them"
            )));
        }
        warnings.push(
            "ssl=0: password and orders go through the network open to everybody; leave it out, and give \
             ssl_fingerprint or ssl_ca_file"
                .to_owned(),
        );
    }
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let usual = if ssl { 443 } else { 80 };
    let authority = if port == usual { shown } else { format!("{shown}:{port}") };
    Ok(Endpoint { authority, host, port, tls })
}

/// `bmc`, `bmc:8443`, `[fd00::1]:8443`, `fd00::1`.
fn host_and_port(ip: &str) -> Result<(String, Option<u16>), InputError> {
    let bad = || InputError::BadValue {
        option: "ip".to_owned(),
        given: ip.to_owned(),
        wanted: "an address or a name, with :port at most".to_owned(),
    };
    let (host, port) = if let Some(rest) = ip.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(bad)?) })
    } else if ip.matches(':').count() == 1 {
        ip.split_once(':').map_or((ip, None), |(host, port)| (host, Some(port)))
    } else {
        (ip, None)
    };
    let port = port.map(|port| port.parse::<u16>().map_err(|_| bad())).transpose()?;
    let usable = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if usable { Ok((host.to_owned(), port)) } else { Err(bad()) }
}

fn tls(options: &Options, host: &str, warnings: &mut Vec<String>) -> Result<(Tls, String), InputError> {
    let insecure = options.truth("ssl_insecure")? == Some(true);
    if insecure && options.truth("ssl_secure")? == Some(true) {
        let what = "ssl_secure and ssl_insecure contradict each other; give one of them";
        return Err(InputError::Unusable(what.to_owned()));
    }
    let trust = match (options.get("ssl_fingerprint"), options.get("ssl_ca_file"), insecure) {
        (Some(pin), None, false) => {
            Trust::Pinned(Fingerprint::parse(pin).ok_or_else(|| InputError::BadValue {
                option: "ssl_fingerprint".to_owned(),
                given: pin.to_owned(),
                wanted: "a SHA-256 fingerprint, 64 hexadecimal digits".to_owned(),
            })?)
        }
        (None, Some(file), false) => Trust::Authorities(PathBuf::from(file)),
        (None, None, false) => {
            let bundle = SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.is_file());
            let none = "no ssl_ca_file given and the system has none; set ssl_ca_file or ssl_fingerprint";
            Trust::Authorities(bundle.ok_or_else(|| InputError::Unusable(none.to_owned()))?.to_owned())
        }
        (None, None, true) => {
            warnings.push(
                "ssl_insecure=1: the controller's certificate is not checked; set ssl_fingerprint instead"
                    .to_owned(),
            );
            Trust::Anybody
        }
        _ => {
            let what =
                "ssl_fingerprint, ssl_ca_file and ssl_insecure contradict each other; give one of them";
            return Err(InputError::Unusable(what.to_owned()));
        }
    };
    let tls = Tls::new(&trust, None, WORDS).map_err(|error| InputError::Unusable(error.to_string()))?;
    Ok((tls, options.get("ssl_server_name").unwrap_or(host).to_owned()))
}
