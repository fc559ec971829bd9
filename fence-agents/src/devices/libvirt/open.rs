//! The options of `libvirt`, and the device made from them.

use super::daemon::Daemon;
use super::shell::Virsh;
use super::uri::{Transport, Uri};
use super::{Hypervisor, Libvirt};
use crate::device::Device;
use crate::input::{InputError, Options};
use crate::net::tls::{OwnCertificate, Tls, Trust, Words};
use crate::options::OptionSpec;
use crate::reach::{IDENTITY_FILE, Reach, SSH_OPTIONS, SSH_PATH, SSH_PORT, Target};
use crate::registry::DeviceKind;
use std::path::{Path, PathBuf};

/// The `libvirt` device.
pub const KIND: DeviceKind = DeviceKind {
    name: "libvirt",
    shortdesc: "Fence agent for libvirt domains",
    longdesc: "Destroys and starts a domain of one or several hypervisors: by the libvirt daemon's own protocol \
(Unix socket, TLS), or by virsh on the hypervisor (ssh). Off means that every hypervisor answered, that the domain \
is shut off, and that none has it in another state.\n\n\
Name in uri (or in ip) every hypervisor that the domain may migrate to. plug is its name or, better, its UUID. A \
domain that was only created and not defined vanishes when it ends, and is then never seen off: define it.\n\n\
By ssh: the key in identity_file must let username run virsh there without a password; the host's key must be known \
already.",
    options: &[
        OptionSpec::text("uri", "libvirt URIs, separated by commas or blanks (qemu:///system)")
            .old("hypervisor_uri"),
        OptionSpec::text("ip", "Hypervisors to reach by ssh, separated by commas, instead of uri")
            .short('a')
            .old("ipaddr"),
        SSH_PORT,
        OptionSpec::text("username", "Login for ssh (root)").short('l').old("login"),
        IDENTITY_FILE,
        SSH_OPTIONS,
        OptionSpec::text("tls_ca_file", "PEM file of the authorities to trust")
            .default("/etc/pki/CA/cacert.pem"),
        OptionSpec::text("tls_cert_file", "PEM file of our certificate")
            .default("/etc/pki/libvirt/clientcert.pem"),
        OptionSpec::text("tls_key_file", "PEM file of its key, readable by root only")
            .default("/etc/pki/libvirt/private/clientkey.pem"),
        OptionSpec::text("virsh_path", "The virsh program at the hypervisors").default("virsh"),
        SSH_PATH,
    ],
    external_names: &["libvirt"],
    open,
    ..DeviceKind::BASE
};

/// Where a domain is looked for if nothing is said.
const HERE: &str = "qemu:///system";

/// Hypervisors that a domain may be on. They are asked side by side, and a domain that may be anywhere
/// in a larger pool is fenced through what manages the pool.
const HOSTS_MAX: usize = 16;

const WORDS: Words =
    Words { authorities: "tls_ca_file", pin: None, name: "the host in uri", port: "the port in uri" };

fn open(options: &Options) -> Result<Box<dyn Device>, InputError> {
    let uris = uris(options)?;
    let hosts = uris.into_iter().map(|uri| host(options, uri)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(Libvirt { hosts, plugs: options.plugs().unwrap_or_default() }))
}

fn uris(options: &Options) -> Result<Vec<Uri>, InputError> {
    let words = |name: &str| -> Vec<String> {
        let text = options.get(name).unwrap_or_default();
        text.split([',', ' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let texts = match (words("uri"), words("ip")) {
        (uris, ips) if uris.is_empty() && ips.is_empty() => vec![HERE.to_owned()],
        (uris, ips) if ips.is_empty() => uris,
        (uris, ips) if uris.is_empty() => ips.iter().map(|host| by_ssh(host)).collect(),
        _ => {
            let what = "uri and ip both name hypervisors; put all of them into uri, or all into ip";
            return Err(InputError::Unusable(what.to_owned()));
        }
    };
    if texts.len() > HOSTS_MAX {
        return Err(InputError::Unusable(format!("{} hypervisors; at most {HOSTS_MAX}", texts.len())));
    }
    texts.iter().map(|text| Uri::parse(text).map_err(InputError::Unusable)).collect()
}

fn by_ssh(host: &str) -> String {
    let brackets = host.contains(':') && !host.starts_with('[');
    if brackets { format!("qemu+ssh://[{host}]/system") } else { format!("qemu+ssh://{host}/system") }
}

fn host(options: &Options, uri: Uri) -> Result<Box<dyn Hypervisor>, InputError> {
    match &uri.transport {
        Transport::Unix(_) => Ok(Box::new(Daemon::new(uri, None))),
        Transport::Tls { pki, .. } => {
            let tls = tls(options, pki.as_deref())?;
            Ok(Box::new(Daemon::new(uri, Some(tls))))
        }
        Transport::Ssh { host, user, port, key } => {
            let username = user.as_deref().or_else(|| options.get("username")).unwrap_or("root");
            let target = Target { username: Some(username), port: *port, identity_file: key.as_deref() };
            let reach = Reach::read(options, Some(host), target)?;
            let program = options.need("virsh_path")?.to_owned();
            Ok(Box::new(Virsh::new(uri.text.clone(), reach, program, uri.remote)))
        }
    }
}

fn tls(options: &Options, pki: Option<&Path>) -> Result<Tls, InputError> {
    let file = |option: &'static str, below: &str| -> Result<PathBuf, InputError> {
        Ok(match pki {
            Some(pki) => pki.join(below),
            None => PathBuf::from(options.need(option)?),
        })
    };
    let own = OwnCertificate {
        certificate: file("tls_cert_file", "clientcert.pem")?,
        key: file("tls_key_file", "clientkey.pem")?,
    };
    let trust = Trust::Authorities(file("tls_ca_file", "cacert.pem")?);
    Tls::new(&trust, Some(&own), WORDS).map_err(|error| InputError::Unusable(error.to_string()))
}
