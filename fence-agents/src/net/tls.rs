//! TLS towards a device, and who must be at the other side.
//!
//! Three rules, and nothing in between: the certificate comes from an authority in a file and is made
//! out to the name that we asked for; or it is exactly the one whose SHA-256 fingerprint is given; or,
//! only if the options say so in as many words, it is not looked at. With the first two the other side
//! also proves that it holds the certificate's key.

use crate::device::DeviceError;
use crate::net::Timed;
use picket_host::secrets::{hex, parse_hex, read_secret};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error};
use rustls::{RootCertStore, SignatureScheme, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(test)]
mod tests;

/// Where distributions keep the authorities that the whole machine trusts.
pub const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// SHA-256 of a certificate in its DER form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads `[sha256:]AB:CD:…` or the digits alone, in any case: as `openssl x509 -fingerprint
    /// -sha256` prints it, with or without what stands before.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().to_ascii_lowercase().replace("sha256", "").replace("fingerprint", "");
        let digits: String = digits.chars().filter(|c| !matches!(c, ':' | '=' | ' ')).collect();
        Some(Self(parse_hex(&digits)?.try_into().ok()?))
    }

    /// That of this certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, from)| *byte = *from);
        Self(bytes)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

/// Whom to believe.
#[derive(Clone, Debug)]
pub enum Trust {
    /// A certificate of one of the authorities in this PEM file, made out to the name asked for.
    Authorities(PathBuf),
    /// This very certificate, whatever it says.
    Pinned(Fingerprint),
    /// Anybody. Somebody in the network can then read the password and play the device.
    Anybody,
}

/// How we show who we are: PEM files of our certificate and its key.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key; nobody but the owner may read the file.
    pub key: PathBuf,
}

/// The words of the device at hand for the options that decide about certificates.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What to set so that another authority is trusted.
    pub authorities: &'static str,
    /// What to set so that one certificate is trusted, if there is such an option.
    pub pin: Option<&'static str>,
    /// What to set so that another name is expected.
    pub name: &'static str,
    /// What to look at if the other side speaks no TLS.
    pub port: &'static str,
}

/// A prepared TLS client.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    seen: Arc<Verifier>,
    words: Words,
}

impl Tls {
    /// Reads the files and prepares.
    ///
    /// # Errors
    /// A file is missing, unfit, or (the key's) open to others.
    pub fn new(trust: &Trust, own: Option<&OwnCertificate>, words: Words) -> Result<Self, DeviceError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let rule = match trust {
            Trust::Authorities(file) => Rule::Chain(chain_rule(file, &provider, words)?),
            Trust::Pinned(fingerprint) => Rule::Pin(*fingerprint),
            Trust::Anybody => Rule::Anybody,
        };
        let seen = Arc::new(Verifier { rule, provider: Arc::clone(&provider), seen: Mutex::new(None) });
        let unfit = |error: Error| DeviceError::Refused(format!("TLS cannot be prepared: {error}"));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unfit)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (chain, key) = read_own(own)?;
                builder.with_client_auth_cert(chain, key).map_err(unfit)?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), seen, words })
    }

    /// Shakes hands and checks the other side, which must be `host`.
    ///
    /// # Errors
    /// The certificate is not believed (definite), or the connection failed.
    pub fn handshake(
        &self,
        timed: Timed,
        host: &str,
    ) -> Result<StreamOwned<ClientConnection, Timed>, DeviceError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            DeviceError::Refused(format!(
                "{host:?} can be no name in a certificate; check {}",
                self.words.name
            ))
        })?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name);
        let connection =
            connection.map_err(|error| DeviceError::Refused(format!("TLS cannot be prepared: {error}")))?;
        let mut stream = StreamOwned::new(connection, timed);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                return Err(self.explained(host, &error));
            }
        }
        Ok(stream)
    }

    fn explained(&self, host: &str, error: &io::Error) -> DeviceError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(why)) => DeviceError::Refused(self.disbelieved(host, why)),
            Some(Error::AlertReceived(alert)) => DeviceError::Refused(format!(
                "{host} broke off TLS ({alert:?}); it may want another certificate of ours, or an older TLS than 1.2"
            )),
            Some(Error::InvalidMessage(_)) => DeviceError::Refused(format!(
                "{host} does not speak TLS on this port; check {}",
                self.words.port
            )),
            Some(other) => DeviceError::Refused(format!("no TLS with {host}: {other}")),
            None if error.kind() == io::ErrorKind::TimedOut => DeviceError::NoAnswer(format!(
                "{host} did not finish the TLS handshake in time; it may be busy, or give a larger login_timeout"
            )),
            None => DeviceError::NoAnswer(format!(
                "{host} broke off the TLS handshake ({error}); check {}",
                self.words.port
            )),
        }
    }

    /// The cause and the cure of a certificate that is not believed.
    fn disbelieved(&self, host: &str, why: &CertificateError) -> String {
        let words = self.words;
        let shown = *self.seen.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Rule::Pin(pin), Some(shown)) = (&self.seen.rule, shown)
            && *pin == shown
        {
            return format!(
                "{host} shows the pinned certificate, but did not prove that it holds its key ({why}); it is somebody \
                 else, or the certificate is unfit for TLS (RSA under 2048 bits, version 1): give it a new one"
            );
        }
        let or_pin = match (words.pin, shown) {
            (Some(pin), Some(shown)) => format!(", or pin this one with {pin}={shown}"),
            _ => String::new(),
        };
        match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired; renew it{or_pin}")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet; set the clocks{or_pin}")
            }
            CertificateError::UnknownIssuer => format!(
                "the certificate of {host} comes from no authority in {}; name its authority there{or_pin}",
                words.authorities
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "the certificate is not made out to {host}; set {} to a name in it{or_pin}",
                    words.name
                )
            }
            CertificateError::ApplicationVerificationFailure => match (words.pin, shown) {
                (Some(pin), Some(shown)) => format!(
                    "{host} shows another certificate, {shown}, than {pin} says; if it was renewed on purpose, \
                     set {pin} to this"
                ),
                _ => format!("{host} shows another certificate than expected"),
            },
            CertificateError::BadSignature => format!(
                "a signature of {host} is wrong: its certificate is not that of an authority in {0}, or it does not hold \
                 the certificate's key; look who answers there, and name its authority in {0}{or_pin}",
                words.authorities
            ),
            other => format!("the certificate of {host} is not accepted ({other}); renew it{or_pin}"),
        }
    }
}

fn chain_rule(
    file: &Path,
    provider: &Arc<CryptoProvider>,
    words: Words,
) -> Result<Arc<WebPkiServerVerifier>, DeviceError> {
    let unfit = |why: String| {
        DeviceError::Refused(format!("authorities {}: {why}; check {}", file.display(), words.authorities))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unfit(error.to_string()))? {
        // Bundles hold the odd old certificate that cannot be used; the others can.
        let _ = roots.add(certificate.map_err(|error| unfit(error.to_string()))?);
    }
    if roots.is_empty() {
        return Err(unfit("no certificate in it".to_owned()));
    }
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    built.map_err(|error| unfit(error.to_string()))
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read_own(own: &OwnCertificate) -> Result<Own, DeviceError> {
    let unfit = |file: &Path, why: String| DeviceError::Refused(format!("{}: {why}", file.display()));
    let chain = CertificateDer::pem_file_iter(&own.certificate).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| unfit(&own.certificate, error.to_string()))?;
    let key = read_secret(&own.key).map_err(|error| DeviceError::Refused(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.expose()).map_err(|error| unfit(&own.key, error.to_string()))?;
    Ok((chain, key))
}

#[derive(Debug)]
enum Rule {
    Chain(Arc<WebPkiServerVerifier>),
    Pin(Fingerprint),
    Anybody,
}

/// Applies the rule, and remembers the fingerprint of what was shown, for the error line.
#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    /// Whoever need not be the owner of the certificate need not prove it.
    fn signature(
        &self,
        verify: impl FnOnce(&WebPkiSupportedAlgorithms) -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.rule {
            Rule::Anybody => Ok(HandshakeSignatureValid::assertion()),
            Rule::Chain(_) | Rule::Pin(_) => verify(&self.provider.signature_verification_algorithms),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match &self.rule {
            Rule::Chain(chain) => chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now),
            Rule::Pin(pin) if *pin == shown => Ok(ServerCertVerified::assertion()),
            Rule::Pin(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Rule::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(|algorithms| verify_tls12_signature(message, certificate, signed, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(|algorithms| verify_tls13_signature(message, certificate, signed, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
