//! Golden files: what cluster managers and people see changes only on purpose. To write them anew,
//! run the test with `PICKET_WRITE_GOLDEN=1` and read the difference.

use super::*;
use crate::registry::DEVICES;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Where the distribution installs the schema.
const SCHEMAS: [&str; 2] = ["/usr/share/cluster/relaxng/metadata.rng", "/usr/share/cluster/metadata.rng"];

fn xml_of(kind: &DeviceKind) -> String {
    let mut out = Vec::new();
    xml(kind, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn metadata_is_as_in_the_golden_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for kind in DEVICES {
        let path = dir.join(format!("{}.xml", kind.agent_name()));
        if env::var_os("PICKET_WRITE_GOLDEN").is_some() {
            fs::write(&path, xml_of(kind)).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert!(xml_of(kind) == golden, "{} differs", path.display());
    }
    let files = fs::read_dir(dir).unwrap().count();
    assert_eq!(files, DEVICES.len(), "one golden file per device");
}

/// The schema and `xmllint` may also be named by environment variables, where they are not installed.
#[test]
fn metadata_validates_against_the_distributions_schema() {
    let schema = env::var_os("PICKET_METADATA_RNG").map(PathBuf::from);
    let schema = schema.into_iter().chain(SCHEMAS.map(PathBuf::from)).find(|path| path.exists());
    let xmllint = env::var_os("PICKET_XMLLINT").unwrap_or_else(|| "xmllint".into());
    let there = Command::new(&xmllint).arg("--version").stderr(Stdio::null()).status().is_ok();
    let (Some(schema), true) = (schema, there) else {
        eprintln!("LEFT OUT: no metadata.rng (Debian: fence-agents) or no xmllint (libxml2-utils)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for kind in DEVICES {
        let file = dir.path().join(kind.name);
        fs::write(&file, xml_of(kind)).unwrap();
        let check =
            Command::new(&xmllint).args(["--noout", "--relaxng"]).args([&schema, &file]).output().unwrap();
        assert!(check.status.success(), "{}: {}", kind.name, String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn no_two_options_share_a_name_or_a_letter() {
    for kind in DEVICES {
        let (mut names, mut letters) = (BTreeSet::new(), BTreeSet::new());
        for spec in kind.all_options() {
            assert!(names.insert(spec.name), "{}: {}", kind.name, spec.name);
            assert!(spec.old.is_none_or(|old| names.insert(old)), "{}: {:?}", kind.name, spec.old);
            assert!(
                spec.short.is_none_or(|letter| letters.insert(letter)),
                "{}: {:?}",
                kind.name,
                spec.short
            );
            assert!(!spec.name.contains('-'));
        }
        for (name, _) in kind.defaults {
            assert!(names.contains(name), "{}: default of {name}, which is no option", kind.name);
        }
    }
}

#[test]
fn help_and_manual_page_name_every_option() {
    for kind in DEVICES {
        let (mut help_text, mut page) = (Vec::new(), Vec::new());
        help(kind, &mut help_text).unwrap();
        manual(kind, &mut page).unwrap();
        let (help_text, page) = (String::from_utf8(help_text).unwrap(), String::from_utf8(page).unwrap());
        for spec in kind.all_options() {
            assert!(help_text.contains(&format!("--{}", spec.long())), "{}", spec.name);
            assert!(page.contains(&roff(&spec.long())), "{}", spec.name);
        }
    }
}

#[test]
fn what_xml_and_roff_would_misread_is_escaped() {
    assert_eq!(escaped("<a & 'b'>\""), "&lt;a &amp; &apos;b&apos;&gt;&quot;");
    assert_eq!(roff(".x\n'y-\\"), "\\&.x\n\\&'y\\-\\e");
}
