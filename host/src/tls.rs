//! Mutual TLS, identities of peers, and signatures for relayed messages.
//!
//! Idea: TLS 1.3 only, both sides show a certificate of the installation's authority, and the
//! identity inside it is all that a program believes about its peer. Contract: a connection that
//! comes out of [`accept`] or [`Connector`] is encrypted, its peer holds the key of a valid
//! certificate of our authority, and `TCP_NODELAY` is set. A client also knows *whom* it reached:
//! it asks for an identity, not for an address.
//!
//! With tonic: the server side gives [`accept`]'s stream to `serve_with_incoming`, and
//! [`peer_identity`] tells who sent a request; the client side gives a [`Connector`] to
//! `Endpoint::connect_with_connector_lazy`, or simply calls [`channel`]. We run the TLS ourselves
//! instead of through tonic's `ServerTlsConfig`, because that could neither be limited to
//! TLS 1.3, nor read a key file under our rules, nor check the server's identity on the client.

use crate::cert::{Identity, Role};
use crate::secrets::{self, Secret, read_secret};
use core::fmt;
use core::time::Duration;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::client::WebPkiServerVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme, crypto::CryptoProvider};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

mod net;
#[cfg(test)]
mod tests;

pub use net::{Connector, Expect, HANDSHAKE_MAX, accept, channel, peer_identity};

/// Why credentials cannot be used or a peer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key file cannot be read under the rules for secrets.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
    /// What should be PEM is not, or holds nothing of what is needed.
    #[error("{what}: not readable as PEM: {why}")]
    Pem {
        /// Which of the three parts.
        what: &'static str,
        /// What the parser said.
        why: String,
    },
    /// TLS refuses the certificate, the key or their combination.
    #[error("TLS does not accept {what}: {source}")]
    Tls {
        /// What was being set up or checked.
        what: &'static str,
        /// What it said.
        source: rustls::Error,
    },
    /// The authority's certificate is not one.
    #[error("cannot trust the authority's certificate: {0}")]
    Authority(String),
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be parsed: {0}")]
    Unparsable(String),
    /// The certificate names no identity or several.
    #[error("the certificate has {found} picket:// URIs among its names; expected exactly one")]
    Identities {
        /// How many there are.
        found: usize,
    },
    /// The URI in the certificate is not an identity.
    #[error("the certificate's identity: {0}")]
    Identity(#[from] crate::cert::NotAnIdentity),
    /// The peer is somebody else.
    #[error("the peer is {found}; expected {expected}")]
    OtherIdentity {
        /// Who it is.
        found: Identity,
        /// Who was expected.
        expected: String,
    },
    /// The signature does not fit the bytes and the certificate.
    #[error("the signature is not {signer}'s over these bytes")]
    Signature {
        /// Who is said to have signed.
        signer: Identity,
    },
}

/// What everybody trusts: the authority's certificate.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Trust({} authorities)", self.roots.len())
    }
}

impl Trust {
    /// Trusts the authority with this certificate.
    ///
    /// # Errors
    /// It is no certificate of an authority.
    pub fn from_pem(authority_pem: &str) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("the authority's certificate", authority_pem)? {
            roots.add(certificate).map_err(|error| Error::Authority(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let clients = clients.map_err(|error| Error::Authority(error.to_string()))?;
        Ok(Self { roots, clients, provider })
    }

    /// Checks that `signature` was made by [`Credentials::sign`] for the same purpose over `bytes`
    /// by the holder of the certificate in `chain`, and that this certificate is valid now.
    /// Returns who that is; whether they may say what the bytes say is the caller's question.
    ///
    /// # Errors
    /// The certificate is not of our authority, expired, names nobody, or did not sign this.
    pub fn verify(
        &self,
        purpose: &str,
        bytes: &[u8],
        signature: &[u8],
        chain: &[Vec<u8>],
    ) -> Result<Identity, Error> {
        let chain: Vec<CertificateDer<'_>> =
            chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (end, between) = chain.split_first().ok_or(Error::NoCertificate)?;
        let now =
            UnixTime::since_unix_epoch(crate::clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default());
        let tls = |source| Error::Tls { what: "the signer's certificate", source };
        self.clients.verify_client_cert(end, between, now).map_err(tls)?;
        let identity = identity_of(&chain)?;
        let parsed = parse(end)?;
        let key =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data);
        match key.verify(&signed_bytes(purpose, bytes), signature) {
            Ok(()) => Ok(identity),
            Err(_) => Err(Error::Signature { signer: identity }),
        }
    }
}

/// Our own certificate, key, and whom we trust.
pub struct Credentials {
    trust: Trust,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    identity: Identity,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({}, <secret>)", self.identity)
    }
}

impl Credentials {
    /// Reads the three files. The key file must be its owner's alone.
    ///
    /// # Errors
    /// A file is missing or unfit, or the key is not the certificate's.
    pub fn read(authority: &Path, certificate: &Path, key: &Path) -> Result<Self, Error> {
        let text = |path: &Path| {
            fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })
        };
        Self::from_pem(&text(authority)?, &text(certificate)?, &read_secret(key)?)
    }

    /// The same from memory.
    ///
    /// # Errors
    /// One of the three is unfit, or the key is not the certificate's.
    pub fn from_pem(authority_pem: &str, certificate_pem: &str, key_pem: &Secret) -> Result<Self, Error> {
        let trust = Trust::from_pem(authority_pem)?;
        let chain = certificates("the certificate", certificate_pem)?;
        let identity = identity_of(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose());
        let key = key.map_err(|error| Error::Pem { what: "the private key", why: error.to_string() })?;
        let credentials = Self { trust, chain, key, identity };
        credentials.server_config()?;
        Ok(credentials)
    }

    /// Who we are.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whom we trust.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// When our certificate ends.
    ///
    /// # Errors
    /// It cannot be parsed.
    pub fn expires(&self) -> Result<SystemTime, Error> {
        expiry_of(&self.chain)
    }

    /// Our certificate chain as DER, to go along with a signature.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.iter().map(|certificate| certificate.to_vec()).collect()
    }

    /// The configuration of a server that demands a certificate of our authority.
    ///
    /// # Errors
    /// TLS refuses our certificate or key.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, Error> {
        let tls = |source| Error::Tls { what: "our certificate for a server", source };
        let mut config = ServerConfig::builder_with_provider(self.trust.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(self.trust.clients.clone())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Every connection checks the certificate anew; an expired one must not live on in a ticket.
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// The configuration of a client that shows our certificate and demands one of our authority.
    /// Whether the server is the one we want is [`Connector`]'s check.
    ///
    /// # Errors
    /// TLS refuses our certificate or key.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let tls = |source| Error::Tls { what: "our certificate for a client", source };
        let verifier = WebPkiServerVerifier::builder_with_provider(
            self.trust.roots.clone(),
            self.trust.provider.clone(),
        )
        .build()
        .map_err(|error| Error::Authority(error.to_string()))?;
        let mut config = ClientConfig::builder_with_provider(self.trust.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// Signs `bytes` for one purpose; a signature for another purpose does not verify.
    ///
    /// # Errors
    /// The key cannot sign with ECDSA P-256.
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let tls = |source| Error::Tls { what: "our key for signing", source };
        let key = self.trust.provider.key_provider.load_private_key(self.key.clone_key()).map_err(tls)?;
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
        let signer =
            signer.ok_or_else(|| tls(rustls::Error::General("not an ECDSA P-256 key".to_owned())))?;
        signer.sign(&signed_bytes(purpose, bytes)).map_err(tls)
    }
}

/// Wipes our copy of the key. (The copies inside the TLS configurations live as long as those.)
impl Drop for Credentials {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// Who the holder of a certificate chain is. Says nothing about whether it is valid: that is TLS's
/// and [`Trust::verify`]'s matter.
///
/// # Errors
/// There is no certificate, or it does not name exactly one identity.
pub fn identity_of(chain: &[CertificateDer<'_>]) -> Result<Identity, Error> {
    let parsed = parse(chain.first().ok_or(Error::NoCertificate)?)?;
    let names = parsed.subject_alternative_name().map_err(|error| Error::Unparsable(error.to_string()))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) if uri.starts_with("picket://") => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris.as_slice() else { return Err(Error::Identities { found: uris.len() }) };
    Ok(uri.parse()?)
}

/// When the first certificate of a chain ends.
///
/// # Errors
/// There is none, or it cannot be parsed.
pub fn expiry_of(chain: &[CertificateDer<'_>]) -> Result<SystemTime, Error> {
    let parsed = parse(chain.first().ok_or(Error::NoCertificate)?)?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(Error::Unparsable(error.to_string())),
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Error::Pem { what, why: "it holds no certificate".to_owned() }),
        Ok(all) => Ok(all),
        Err(error) => Err(Error::Pem { what, why: error.to_string() }),
    }
}

/// What is really signed: the length of the purpose keeps purpose and bytes apart.
fn signed_bytes(purpose: &str, bytes: &[u8]) -> Vec<u8> {
    let mut all = b"picket-signature-1\0".to_vec();
    all.extend((purpose.len() as u64).to_le_bytes());
    all.extend(purpose.as_bytes());
    all.extend(bytes);
    all
}

/// The role of a peer, for messages.
fn role_text(role: Role) -> String {
    format!("any {role} of our authority")
}
