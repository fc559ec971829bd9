use super::{
    Connector, Credentials, Error, Expect, Trust, accept, channel, expiry_of, identity_of, peer_identity,
};
use crate::cert::{Authority, CERTIFICATE_DAYS, Identity, Role};
use crate::clock::wall;
use crate::config::HostPort;
use core::time::Duration;
use rcgen::{CertificateParams, KeyPair, SanType};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

fn node(name: &str) -> Identity {
    Identity::node("c1", name).unwrap()
}

fn witness() -> Identity {
    Identity::witness("w1").unwrap()
}

fn issue(authority: &Authority, identity: &Identity, reached_as: &[&str], days: u32) -> Credentials {
    let reached_as: Vec<String> = reached_as.iter().map(|name| (*name).to_owned()).collect();
    let issued = authority.issue(identity, &reached_as, days).unwrap();
    Credentials::from_pem(authority.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap()
}

/// What client and server see of each other when the one connects to the other.
async fn meet(server: &Credentials, client: &Credentials, expect: Expect) -> io::Result<Identity> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let mut accepted = accept(listener, server.server_config().unwrap());
    let connector = Connector::new(client, HostPort { host: "127.0.0.1".to_owned(), port }, expect).unwrap();
    let mut to_server = connector.connect().await?;
    to_server.write_all(b"hello").await?;
    // In TLS 1.3 a client learns only from its first read that the server refused it.
    let serve = async {
        let mut stream = accepted.next().await.unwrap()?;
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"hello");
        stream.write_all(b"!").await?;
        stream.flush().await?;
        assert!(stream.get_ref().0.nodelay()?);
        let mut request = tonic::Request::new(());
        request.extensions_mut().insert(stream.connect_info());
        Ok(peer_identity(&request).unwrap())
    };
    tokio::select! {
        served = serve => served,
        refused = async { let mut byte = [0]; to_server.read_exact(&mut byte).await.err() } => {
            match refused { Some(error) => Err(error), None => Err(io::Error::other("the server hung up")) }
        }
    }
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let authority = Authority::create("test").unwrap();
    let server = issue(&authority, &witness(), &["127.0.0.1"], CERTIFICATE_DAYS);
    let client = issue(&authority, &node("n1"), &[], CERTIFICATE_DAYS);
    for expect in [Expect::Identity(witness()), Expect::Role(Role::Witness)] {
        assert_eq!(meet(&server, &client, expect).await.unwrap(), node("n1"));
    }
}

#[tokio::test]
async fn a_server_that_is_somebody_else_is_refused() {
    let authority = Authority::create("test").unwrap();
    let client = issue(&authority, &node("n1"), &[], CERTIFICATE_DAYS);
    let other = issue(&authority, &node("n2"), &["127.0.0.1"], CERTIFICATE_DAYS);
    let error = meet(&other, &client, Expect::Identity(node("n3"))).await.unwrap_err();
    assert!(error.to_string().contains("n3.node.c1.picket.internal"), "{error}");
    let error = meet(&other, &client, Expect::Role(Role::Witness)).await.unwrap_err();
    let expected = "the peer is picket://c1/node/n2; expected any witness of our authority";
    assert_eq!(error.to_string(), expected);
    let elsewhere = issue(&authority, &witness(), &["10.9.9.9"], CERTIFICATE_DAYS);
    assert!(
        meet(&elsewhere, &client, Expect::Role(Role::Witness)).await.is_err(),
        "the address is not in it"
    );
}

#[tokio::test]
async fn another_authority_is_refused_on_both_sides() {
    let (ours, theirs) = (Authority::create("test").unwrap(), Authority::create("test").unwrap());
    let server = issue(&ours, &witness(), &["127.0.0.1"], CERTIFICATE_DAYS);
    let stranger = issue(&theirs, &node("n1"), &[], CERTIFICATE_DAYS);
    assert!(meet(&server, &stranger, Expect::Identity(witness())).await.is_err());
    // One who trusts our authority but shows a certificate of another.
    let issued = theirs.issue(&node("n1"), &[], 30).unwrap();
    let disguised =
        Credentials::from_pem(ours.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap();
    assert!(meet(&server, &disguised, Expect::Identity(witness())).await.is_err());
}

#[tokio::test]
async fn an_operator_cannot_serve_and_a_witness_cannot_ask() {
    let authority = Authority::create("test").unwrap();
    let operator = issue(&authority, &Identity::operator("c1", "anna").unwrap(), &["127.0.0.1"], 30);
    let server = issue(&authority, &witness(), &["127.0.0.1"], 30);
    let client = issue(&authority, &node("n1"), &[], 30);
    assert!(meet(&operator, &client, Expect::Role(Role::Operator)).await.is_err());
    assert!(meet(&client, &server, Expect::Identity(node("n1"))).await.is_err());
    assert!(meet(&server, &operator, Expect::Identity(witness())).await.is_ok());
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::create("test").unwrap();
    let server = issue(&authority, &witness(), &["127.0.0.1"], 30);
    let ended = wall() - Duration::from_secs(2);
    let issued = authority.issue_until(&node("n1"), &[], ended).unwrap();
    let expired =
        Credentials::from_pem(authority.certificate_pem(), &issued.certificate_pem, &issued.key_pem).unwrap();
    assert!(expired.expires().unwrap() <= ended);
    assert!(meet(&server, &expired, Expect::Identity(witness())).await.is_err());
    let signature = expired.sign("release", b"x").unwrap();
    assert!(server.trust().verify("release", b"x", &signature, &expired.chain()).is_err());
}

#[tokio::test]
async fn a_client_without_certificate_or_with_an_older_tls_is_refused() {
    let authority = Authority::create("test").unwrap();
    let server = issue(&authority, &witness(), &["127.0.0.1"], 30);
    let client = issue(&authority, &node("n1"), &[], 30);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(client.trust().roots.clone())
    };
    let without = builder(&[&rustls::version::TLS13]).with_no_client_auth();
    let old = builder(&[&rustls::version::TLS12])
        .with_client_auth_cert(client.chain.clone(), client.key.clone_key())
        .unwrap();
    for config in [without, old] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = accept(listener, server.server_config().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let connected = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        if let Ok(mut stream) = connected {
            assert!(stream.read_u8().await.is_err(), "the server should have refused");
        }
        drop(accepted);
    }
}

#[tokio::test]
async fn a_silent_client_holds_up_nobody() {
    let authority = Authority::create("test").unwrap();
    let server = issue(&authority, &witness(), &["127.0.0.1"], 30);
    let client = issue(&authority, &node("n1"), &[], 30);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut accepted = accept(listener, server.server_config().unwrap());
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let address = HostPort { host: "127.0.0.1".to_owned(), port };
    let connector = Connector::new(&client, address, Expect::Identity(witness())).unwrap();
    let (connected, served) = tokio::join!(connector.connect(), accepted.next());
    assert!(connected.is_ok() && served.unwrap().is_ok());
}

/// Serves gRPC without any service on the listener's port.
async fn serve_nothing(server: &Credentials, listener: TcpListener) {
    let routes = tonic::service::Routes::default();
    let incoming = accept(listener, server.server_config().unwrap());
    tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming).await.unwrap();
}

async fn ask_for_nothing(
    channel: &mut tonic::transport::Channel,
) -> Result<Option<String>, tonic::transport::Error> {
    use tower::{Service, ServiceExt};
    let request = http::Request::post("/picket.None/Nothing").body(tonic::body::Body::empty()).unwrap();
    let response = channel.ready().await?.call(request).await?;
    Ok(response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned()))
}

#[tokio::test]
async fn a_channel_talks_grpc_and_connects_again_after_the_server_was_away() {
    const UNIMPLEMENTED: &str = "12";
    let authority = Authority::create("test").unwrap();
    let server = issue(&authority, &witness(), &[], 30);
    let client = issue(&authority, &node("n1"), &[], 30);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let host_port = HostPort { host: "127.0.0.1".to_owned(), port: address.port() };
    let expect = Expect::Identity(witness());
    let mut channel = channel(&client, &host_port, expect, Duration::from_secs(60)).unwrap();
    let server = Arc::new(server);
    drop(listener);
    for _ in 0..2 {
        // A runtime of its own, so that its end takes the server's connections along.
        let machine =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, (is_up, up)) = (server.clone(), tokio::sync::oneshot::channel());
        machine.spawn(async move {
            let listener = loop {
                // The one before may still be on its way out.
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            is_up.send(()).unwrap();
            serve_nothing(&server, listener).await;
        });
        up.await.unwrap();
        // The first word after a server's restart may still go to the dead connection.
        let status = match ask_for_nothing(&mut channel).await {
            Err(_) => ask_for_nothing(&mut channel).await,
            answered => answered,
        };
        assert_eq!(status.unwrap().as_deref(), Some(UNIMPLEMENTED));
        machine.shutdown_background();
    }
}

#[test]
fn a_signature_binds_purpose_bytes_and_signer() {
    let authority = Authority::create("test").unwrap();
    let (n1, n2) = (issue(&authority, &node("n1"), &[], 30), issue(&authority, &node("n2"), &[], 30));
    let trust = Trust::from_pem(authority.certificate_pem()).unwrap();
    let signature = n1.sign("release", b"volume 7").unwrap();
    assert_eq!(trust.verify("release", b"volume 7", &signature, &n1.chain()).unwrap(), node("n1"));
    let mut damaged = signature.clone();
    damaged[10] ^= 1;
    let wrong: [(&str, &[u8], &[u8], &Credentials); 5] = [
        ("release", b"volume 8", &signature, &n1),
        ("releas", b"evolume 7", &signature, &n1),
        ("release", b"volume 7", &damaged, &n1),
        ("release", b"volume 7", b"", &n1),
        ("release", b"volume 7", &signature, &n2),
    ];
    for (purpose, bytes, signature, who) in wrong {
        let error = trust.verify(purpose, bytes, signature, &who.chain()).unwrap_err();
        assert!(matches!(error, Error::Signature { .. }), "{error}");
    }
    assert!(matches!(trust.verify("release", b"volume 7", &signature, &[]), Err(Error::NoCertificate)));
    let stranger = Trust::from_pem(Authority::create("test").unwrap().certificate_pem()).unwrap();
    assert!(matches!(
        stranger.verify("release", b"volume 7", &signature, &n1.chain()),
        Err(Error::Tls { .. })
    ));
}

#[test]
fn credentials_are_read_from_files_and_show_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), "test").unwrap();
    authority.issue(&node("n1"), &[], 30).unwrap().write(directory.path(), "n1").unwrap();
    authority.issue(&node("n2"), &[], 30).unwrap().write(directory.path(), "n2").unwrap();
    let at = |name: &str| directory.path().join(name);
    let credentials = Credentials::read(&at("ca.pem"), &at("n1.pem"), &at("n1.key")).unwrap();
    assert_eq!(*credentials.identity(), node("n1"));
    assert_eq!(format!("{credentials:?}"), "Credentials(picket://c1/node/n1, <secret>)");
    let left = credentials.expires().unwrap().duration_since(wall()).unwrap();
    assert!(left > Duration::from_secs(29 * 86_400) && left <= Duration::from_secs(30 * 86_400), "{left:?}");
    let error = Credentials::read(&at("ca.pem"), &at("n1.pem"), &at("n2.key")).unwrap_err();
    assert!(error.to_string().starts_with("TLS does not accept our certificate for a server"), "{error}");
    let error = Credentials::read(&at("ca.pem"), &at("n1.pem"), &at("n1.pem")).unwrap_err();
    assert!(error.to_string().contains("mode is 0644"), "{error}");
    let error = Credentials::read(&at("ca.key"), &at("n1.pem"), &at("n1.key")).unwrap_err();
    assert!(error.to_string().contains("it holds no certificate"), "{error}");
    assert!(Credentials::read(&at("absent"), &at("n1.pem"), &at("n1.key")).is_err());
}

#[test]
fn a_certificate_that_names_none_or_two_is_nobodys() {
    for uris in [vec![], vec!["picket://c1/node/n1", "picket://c1/node/n2"], vec!["https://c1/node/n1"]] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let error = identity_of(&[certificate.der().clone()]).unwrap_err();
        assert!(matches!(error, Error::Identities { found } if found != 1), "{uris:?}: {error}");
    }
    assert!(matches!(identity_of(&[]), Err(Error::NoCertificate)));
    assert!(matches!(identity_of(&[b"junk".to_vec().into()]), Err(Error::Unparsable(_))));
    assert!(matches!(expiry_of(&[]), Err(Error::NoCertificate)));
}
