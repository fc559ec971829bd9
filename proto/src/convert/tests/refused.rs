//! What does not fit is refused with the path of the field.

use super::samples::*;
use crate::convert::{Fault, SIGNATURE_BYTES_MAX, TEXT_BYTES_MAX, from_wire, to_wire};
use crate::{PROTOCOL, VOLUMES_MAX, v1};
use picket_core::error::Refusal;
use picket_core::ids::*;
use picket_core::message::{FromWitness, PeerBody, PeerMessage, Request, ToWitness};

/// The error for the first sample of the kind, after `spoil` changed it.
fn refused(want: fn(&Request) -> bool, spoil: impl Fn(&mut v1::request::Kind)) -> (String, Fault) {
    let request = every_request().into_iter().rev().find(want).expect("there is a sample");
    let mut wire = to_wire(&to_witness(request));
    let kind = wire.body.as_mut().and_then(|body| body.kind.as_mut()).expect("the sample has a body");
    spoil(kind);
    let error = from_wire::<ToWitness>(wire).expect_err("it is spoilt");
    (error.path().to_owned(), error.fault().clone())
}

fn spoilt_register(spoil: impl Fn(&mut v1::Register)) -> (String, Fault) {
    refused(
        |request| matches!(request, Request::Register(register) if !register.replicas.is_empty()),
        |kind| match kind {
            v1::request::Kind::Register(register) => spoil(register),
            _ => unreachable!(),
        },
    )
}

#[test]
fn a_missing_field_is_named() {
    assert_eq!(spoilt_register(|r| r.boot = None), ("body.Register.boot".into(), Fault::Missing));
    assert_eq!(
        spoilt_register(|r| r.replicas[1].complete = None),
        ("body.Register.replicas[1].complete".into(), Fault::Missing)
    );
    assert_eq!(spoilt_register(|r| r.self_fence = None), ("body.Register.self_fence".into(), Fault::Missing));
}

#[test]
fn identifiers_have_exactly_sixteen_bytes() {
    let (path, fault) = spoilt_register(|r| r.nonce = Some(vec![0; 15]));
    assert_eq!(
        (path.as_str(), fault),
        ("body.Register.nonce", Fault::WrongLength { came: 15, expected: 16 })
    );
    let (path, fault) = spoilt_register(|r| {
        let generation = r.replicas[0].generation.as_mut().expect("sample");
        generation.history[31] = vec![0; 17];
    });
    assert_eq!(path, "body.Register.replicas[0].generation.history[31]");
    assert_eq!(fault, Fault::WrongLength { came: 17, expected: 16 });
}

#[test]
fn volumes_beyond_sixteen_bits_are_refused() {
    let (path, fault) = spoilt_register(|r| r.replicas[0].volume = Some(65_536));
    assert_eq!(path, "body.Register.replicas[0].volume");
    assert_eq!(fault, Fault::OutOfRange { came: 65_536, min: 0, max: 65_535 });
}

/// A number that counts on from the largest would overflow; the largest must never get in.
#[test]
fn a_number_that_cannot_be_counted_on_from_is_refused() {
    let far = crate::COUNT_MAX + 1;
    let expected = Fault::OutOfRange { came: far, min: 0, max: crate::COUNT_MAX };
    let (path, fault) = spoilt_register(|register| register.replicas[0].max_epoch = Some(far));
    assert_eq!((path.as_str(), fault), ("body.Register.replicas[0].max_epoch", expected.clone()));
    let (_, fault) = spoilt_register(|register| register.replicas[0].isr_version = Some(far));
    assert_eq!(fault, expected);
    let mut message = to_wire(&to_witness(Request::DeclareFailed));
    message.seen.as_mut().unwrap().commit = Some(far);
    assert_eq!(from_wire::<ToWitness>(message).unwrap_err().fault(), &expected);
}

#[test]
fn nodes_are_one_to_sixteen() {
    for bad in [0, 17, 255, 256, 257, u32::MAX] {
        let (path, fault) = refused(
            |request| matches!(request, Request::RequestFence(_)),
            |kind| match kind {
                v1::request::Kind::RequestFence(fence) => fence.target = Some(bad),
                _ => unreachable!(),
            },
        );
        assert_eq!(path, "body.RequestFence.target");
        assert_eq!(fault, Fault::OutOfRange { came: bad.into(), min: 1, max: 16 });
    }
    for bad in [1, 1 << 17, u32::MAX] {
        let (path, fault) = spoilt_register(|r| r.replicas[0].isr = Some(bad));
        assert_eq!(path, "body.Register.replicas[0].isr");
        assert_eq!(fault, Fault::NotANodeSet { came: bad });
    }
}

#[test]
fn unspecified_and_unknown_values_are_refused() {
    for bad in [0, 4, -1, i32::MAX] {
        let (path, fault) = refused(
            |request| matches!(request, Request::ReportFence(_)),
            |kind| match kind {
                v1::request::Kind::ReportFence(report) => report.outcome = Some(bad),
                _ => unreachable!(),
            },
        );
        assert_eq!(path, "body.ReportFence.outcome");
        assert_eq!(fault, Fault::UnknownValue { came: bad });
    }
}

#[test]
fn long_lists_texts_and_signatures_are_refused() {
    let (path, fault) = spoilt_register(|r| r.replicas = vec![r.replicas[0].clone(); VOLUMES_MAX + 1]);
    assert_eq!(path, "body.Register.replicas");
    assert_eq!(fault, Fault::TooLong { came: VOLUMES_MAX + 1, max: VOLUMES_MAX });
    let (_, fault) = spoilt_register(|r| {
        r.replicas[0].generation.as_mut().expect("sample").history.push(vec![0; 16]);
    });
    assert_eq!(fault, Fault::TooLong { came: 33, max: 32 });
    let text = Refusal::WrongState { expected: "x".repeat(TEXT_BYTES_MAX + 1) };
    let error = from_wire::<Refusal>(to_wire(&text)).expect_err("too long");
    assert_eq!(error.path(), "WrongState.expected");
    let release = picket_core::message::SignedRelease {
        volume: VolumeId(1),
        epoch: Epoch(1),
        boot: BootId(1),
        signature: vec![0; SIGNATURE_BYTES_MAX + 1],
    };
    let message = to_wire(&peer_message(PeerBody::RelayRelease { release }));
    let error = from_wire::<PeerMessage>(message).expect_err("too long");
    assert_eq!(error.path(), "body.RelayRelease.release.signature");
}

#[test]
fn an_empty_choice_is_missing() {
    let error = from_wire::<ToWitness>(v1::ToWitness {
        body: Some(v1::Request { kind: None }),
        ..to_wire(&to_witness(Request::DeclareFailed))
    })
    .expect_err("nothing is said");
    assert_eq!((error.path(), error.fault()), ("body", &Fault::Missing));
    let empty = v1::Verdict { kind: None };
    let message = v1::PeerEnvelope {
        body: Some(v1::PeerBody {
            kind: Some(v1::peer_body::Kind::HandoverAnswer(v1::peer_body::HandoverAnswer {
                request: Some(1),
                volume: Some(1),
                ready: Some(empty),
            })),
        }),
        ..to_wire(&peer_message(PeerBody::MoveRequest { volume: VolumeId(1), to: NodeId(1) }))
    };
    let error = from_wire::<PeerMessage>(message).expect_err("neither yes nor no");
    assert_eq!((error.path(), error.fault()), ("body.HandoverAnswer.ready", &Fault::Missing));
}

#[test]
fn another_version_is_refused_before_all_else() {
    let other = v1::FromWitness { protocol: Some(2), ..v1::FromWitness::default() };
    let error = from_wire::<FromWitness>(other).expect_err("version 2");
    assert_eq!(error.fault(), &Fault::OtherProtocol { came: 2, ours: PROTOCOL });
    assert_eq!(error.to_string(), "protocol: written in protocol version 2, version 1 is spoken here");
    let error = from_wire::<FromWitness>(v1::FromWitness::default()).expect_err("no version");
    assert_eq!((error.path(), error.fault()), ("protocol", &Fault::Missing));
}
