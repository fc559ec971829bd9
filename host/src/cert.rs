//! Certificates for our roles.
//!
//! Idea: who somebody is stands in the certificate and nowhere else: one URI
//! `picket://<cluster>/<role>/<name>` among its alternative names. One small authority per
//! installation issues them (ECDSA P-256). Contract: a private key is written with mode 0600 and
//! no file is ever overwritten; a certificate for a server also carries the names and addresses
//! under which it is reached, and always a name made from its identity
//! ([`Identity::server_name`]), so that clients can ask for the identity whatever the address.

use crate::clock::wall;
use crate::secrets::{self, Secret, read_secret, write_new_secret};
use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(test)]
mod tests;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long an authority lasts. Replacing it means touching every machine, so long.
const AUTHORITY_DAYS: u32 = 20 * 365;

/// How long a certificate lasts unless the caller says else.
pub const CERTIFICATE_DAYS: u32 = 5 * 365;

/// Certificates start this much in the past: the clocks of three sites do not agree.
const START_EARLIER: Duration = DAY;

/// The file names of an authority in its directory.
const AUTHORITY_CERTIFICATE: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";

/// What somebody is allowed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The third-site server. Belongs to no cluster.
    Witness,
    /// A member of a cluster.
    Node,
    /// A person who types commands.
    Operator,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Who somebody is, by certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    cluster: Option<String>,
    role: Role,
    name: String,
}

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not an identity: {what}; expected picket://<cluster>/<role>/<name>")]
pub struct NotAnIdentity {
    found: String,
    what: &'static str,
}

impl Identity {
    /// A witness.
    ///
    /// # Errors
    /// The name is not made of 1 to 63 letters, digits, `-`, `_` and `.`.
    pub fn witness(name: &str) -> Result<Self, NotAnIdentity> {
        format!("picket://-/witness/{name}").parse()
    }

    /// A node of a cluster.
    ///
    /// # Errors
    /// A name is not made of 1 to 63 letters, digits, `-`, `_` and `.`.
    pub fn node(cluster: &str, name: &str) -> Result<Self, NotAnIdentity> {
        format!("picket://{cluster}/node/{name}").parse()
    }

    /// An operator of a cluster.
    ///
    /// # Errors
    /// A name is not made of 1 to 63 letters, digits, `-`, `_` and `.`.
    pub fn operator(cluster: &str, name: &str) -> Result<Self, NotAnIdentity> {
        format!("picket://{cluster}/operator/{name}").parse()
    }

    /// The cluster; nothing for a witness.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The name within cluster and role.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The DNS name that every certificate of this identity carries, wherever it is reached.
    #[must_use]
    pub fn server_name(&self) -> String {
        match &self.cluster {
            Some(cluster) => format!("{}.{}.{cluster}.picket.internal", self.name, self.role),
            None => format!("{}.{}.picket.internal", self.name, self.role),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.cluster.as_deref().unwrap_or("-");
        write!(formatter, "picket://{cluster}/{}/{}", self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what| NotAnIdentity { found: text.chars().take(200).collect(), what };
        let rest = text.strip_prefix("picket://").ok_or_else(|| wrong("another scheme"))?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [cluster, role, name] = parts.as_slice() else { return Err(wrong("not three parts")) };
        let role =
            [Role::Witness, Role::Node, Role::Operator].into_iter().find(|known| known.word() == *role);
        let role = role.ok_or_else(|| wrong("an unknown role"))?;
        let cluster = match (role, *cluster) {
            (Role::Witness, "-") => None,
            (Role::Witness, _) => return Err(wrong("a witness with a cluster")),
            (Role::Node | Role::Operator, cluster) if is_name(cluster) => Some(cluster.to_owned()),
            (Role::Node | Role::Operator, _) => return Err(wrong("not a cluster's name")),
        };
        if !is_name(name) {
            return Err(wrong("not a name"));
        }
        Ok(Self { cluster, role, name: (*name).to_owned() })
    }
}

/// The same names as in the configuration.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

/// Why a certificate could not be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file exists; nothing is overwritten.
    #[error("{} exists already and is not overwritten; move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file cannot be read or written.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// The certificate cannot be made from what was given.
    #[error("cannot make the certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A server's name is neither a DNS name nor an address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// The key file is not text.
    #[error("{}: not a key in PEM form", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
}

/// A certificate with its private key, in PEM form.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: Secret,
}

impl Issued {
    /// Writes `<name>.pem` (0644) and `<name>.key` (0600) into the directory.
    ///
    /// # Errors
    /// One of the files exists (then nothing is written), or cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> Result<(), Error> {
        let (certificate, key) =
            (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        write_pair(&certificate, &self.certificate_pem, &key, &self.key_pem)
    }
}

/// The authority that issues all certificates of an installation.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl Authority {
    /// A new authority, in memory.
    ///
    /// # Errors
    /// No randomness, or a name that cannot stand in a certificate.
    pub fn create(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("{name} (Picket authority)"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, wall() + DAY * AUTHORITY_DAYS);
        let certificate_pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)?;
        Ok(Self { issuer, certificate_pem })
    }

    /// A new authority, written to `ca.pem` and `ca.key` in the directory.
    ///
    /// # Errors
    /// One of the files exists (then nothing is written), or cannot be written.
    pub fn init(directory: &Path, name: &str) -> Result<Self, Error> {
        let authority = Self::create(name)?;
        let key_pem = Secret::new(authority.issuer.key().serialize_pem().into_bytes());
        let (certificate, key) = (directory.join(AUTHORITY_CERTIFICATE), directory.join(AUTHORITY_KEY));
        write_pair(&certificate, &authority.certificate_pem, &key, &key_pem)?;
        Ok(authority)
    }

    /// The authority that [`Authority::init`] wrote to the directory.
    ///
    /// # Errors
    /// A file is missing, unreadable, or its key can be used by others than its owner.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let (certificate, key) = (directory.join(AUTHORITY_CERTIFICATE), directory.join(AUTHORITY_KEY));
        let certificate_pem =
            fs::read_to_string(&certificate).map_err(|source| Error::Io { path: certificate, source })?;
        let secret = read_secret(&key)?;
        let key_pem = core::str::from_utf8(secret.expose()).map_err(|_| Error::NotPem { path: key })?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, KeyPair::from_pem(key_pem)?)?;
        Ok(Self { issuer, certificate_pem })
    }

    /// The authority's certificate, which everybody needs to check others.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate for `identity`, valid for so many days. `reached_as` are the DNS names
    /// and IP addresses under which a server is reached.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn issue(&self, identity: &Identity, reached_as: &[String], days: u32) -> Result<Issued, Error> {
        self.issue_until(identity, reached_as, wall() + DAY * days)
    }

    pub(crate) fn issue_until(
        &self,
        identity: &Identity,
        reached_as: &[String],
        until: SystemTime,
    ) -> Result<Issued, Error> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(identity.name());
        params.subject_alt_names = vec![
            SanType::URI(identity.to_string().try_into()?),
            SanType::DnsName(identity.server_name().try_into()?),
        ];
        for name in reached_as {
            params.subject_alt_names.push(server_name(name)?);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match identity.role() {
            Role::Witness => vec![ServerAuth],
            Role::Node => vec![ServerAuth, ClientAuth],
            Role::Operator => vec![ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, until);
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: Secret::new(key.serialize_pem().into_bytes()) })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "Picket");
    names.push(DnType::CommonName, name);
    names
}

fn server_name(name: &str) -> Result<SanType, Error> {
    if let Ok(address) = IpAddr::from_str(name) {
        return Ok(SanType::IpAddress(address));
    }
    rustls_pki_types::DnsName::try_from(name).map_err(|_| Error::ServerName(name.to_owned()))?;
    Ok(SanType::DnsName(name.to_owned().try_into()?))
}

fn set_validity(params: &mut CertificateParams, until: SystemTime) {
    params.not_before = (wall() - START_EARLIER).into();
    params.not_after = until.into();
}

fn write_pair(certificate: &Path, certificate_pem: &str, key: &Path, key_pem: &Secret) -> Result<(), Error> {
    for path in [certificate, key] {
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
    }
    write_new_secret(key, key_pem.expose())?;
    let written = fs::File::create_new(certificate).and_then(|mut file| {
        file.write_all(certificate_pem.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| Error::Io { path: certificate.to_owned(), source })
}
