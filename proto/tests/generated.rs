//! The generated code is checked in; this test makes it again aside and fails when the two differ.
//! `PICKET_PROTO_WRITE=1 cargo test -p picket-proto --test generated` writes it; change the schema and write it *before* `src/convert/` names
//! what is new, because the library must compile for that.
#![allow(clippy::expect_used)] // helpers of a test

use prost::Message as _;
use std::path::{Path, PathBuf};

const PROTOS: [&str; 4] =
    ["picket/v1/types.proto", "picket/v1/peer.proto", "picket/v1/witness.proto", "picket/v1/control.proto"];
const FILES: [&str; 2] = ["picket.v1.rs", "descriptor.bin"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate(out: &Path) {
    let descriptors = protox::compile(PROTOS, [root()]).expect("the .proto files compile");
    let for_reflection = prost_types::FileDescriptorSet {
        // Comments and places are for the code only.
        file: descriptors
            .file
            .iter()
            .cloned()
            .map(|mut file| {
                file.source_code_info = None;
                file
            })
            .collect(),
    };
    std::fs::write(out.join("descriptor.bin"), for_reflection.encode_to_vec()).expect("written");
    tonic_prost_build::configure()
        .out_dir(out)
        .codec_path("crate::codec::SmallCodec")
        .type_attribute(".picket.v1", "#[derive(serde::Serialize)]")
        .compile_fds(descriptors)
        .expect("the code is generated");
}

#[test]
fn the_checked_in_code_is_the_one_that_the_schema_makes() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    generate(scratch.path());
    let kept = root().join("src/gen");
    for file in FILES {
        let fresh = std::fs::read(scratch.path().join(file)).expect("generated");
        if std::env::var_os("PICKET_PROTO_WRITE").is_some() {
            std::fs::write(kept.join(file), &fresh).expect("written");
        }
        let old = std::fs::read(kept.join(file)).unwrap_or_default();
        assert!(
            fresh == old,
            "{file} differs from the schema; PICKET_PROTO_WRITE=1 cargo test -p picket-proto --test generated"
        );
    }
}
