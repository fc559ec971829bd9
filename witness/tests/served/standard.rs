//! The standard services beside our own: health, for whoever watches servers, and reflection, for whoever looks.

use crate::site::{Site, in_time};
use picket_host::cert::Identity;
use picket_host::config::HostPort;
use picket_host::files::FaultyFiles;
use picket_host::tls::{Expect, channel};
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

async fn open(site: &Site, witness: &picket_witness::server::Running) -> Channel {
    let operator = Identity::operator("east", "ann").expect("a name");
    let address = HostPort { host: "127.0.0.1".to_owned(), port: witness.address().port() };
    let expect = Expect::Identity(Identity::witness("w1").expect("a name"));
    channel(&site.credentials(&operator), &address, expect, Duration::from_secs(10)).expect("a channel")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_service_answers_for_the_witness_and_for_nothing_else() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let mut health = HealthClient::new(open(&site, &witness).await);
    let mut ask = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        in_time("health", health.check(request)).await.map(|answer| answer.into_inner().status())
    };
    assert_eq!(ask("picket.v1.Witness").await.expect("known"), ServingStatus::Serving);
    assert_eq!(ask("").await.expect("the server"), ServingStatus::Serving);
    assert_eq!(ask("picket.v1.Nothing").await.expect_err("unknown").code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_and_describes_the_services() {
    let site = Site::new();
    let witness = site.start(Arc::new(FaultyFiles::new())).await.expect("started");
    let mut reflection = ServerReflectionClient::new(open(&site, &witness).await);
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("picket.v1.Witness".to_owned())),
    ];
    let asked = reflection.server_reflection_info(tokio_stream::iter(requests));
    let mut answers = in_time("reflection", asked).await.expect("answered").into_inner();
    let mut next = async || {
        let answer = in_time("an answer", answers.message()).await.expect("good").expect("one more");
        answer.message_response.expect("a body")
    };
    let MessageResponse::ListServicesResponse(list) = next().await else { panic!("no list") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"picket.v1.Witness".to_owned()), "{names:?}");
    let MessageResponse::FileDescriptorResponse(files) = next().await else { panic!("no descriptor") };
    let holds = |file: &Vec<u8>| file.windows(7).any(|window| window == b"Session");
    assert!(files.file_descriptor_proto.iter().any(holds), "the service's methods are described");
}
