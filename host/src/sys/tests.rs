use super::machine::{Machine, judge};
use super::supervisor::{first_entry, parent_in_stat};
use super::{Permitted, boot_id, end_on_panic, forbid_core_dumps, parse_uuid};
use std::fs;
use std::path::Path;

#[test]
fn the_boot_id_is_stable_and_not_empty() {
    let id = boot_id().unwrap();
    assert_ne!(id, [0; 16]);
    assert_eq!(boot_id().unwrap(), id);
}

#[test]
fn uuids_are_parsed_whole_or_not_at_all() {
    let parsed = parse_uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap();
    assert_eq!(
        parsed,
        [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]
    );
    for wrong in [
        "",
        "-",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeefg",
        "001122334455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff-",
    ] {
        assert_eq!(parse_uuid(wrong), None, "{wrong}");
    }
}

#[test]
fn a_realtime_priority_out_of_range_is_refused_with_the_reason() {
    let Permitted::No { reason } = super::realtime_priority(200) else { panic!("granted") };
    assert!(reason.contains("200"), "{reason}");
}

#[test]
fn a_stat_line_is_parsed_whatever_the_name_holds() {
    let table: [(&[u8], Option<i32>); 6] = [
        (b"42 (sh) S 7 42 42 0", Some(7)),
        (b"42 (a) S 1 (b) R 8 1 1", Some(8)),
        (b"42 () \n) Z 1234567 1", Some(1_234_567)),
        (b"42 (sh) S", None),
        (b"42 (sh", None),
        (b"", None),
    ];
    for (line, expected) in table {
        assert_eq!(parent_in_stat(line), expected, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_directory_entry_is_parsed_within_its_bounds() {
    let mut entry = vec![0_u8; 32];
    entry[16] = 32;
    entry[19..22].copy_from_slice(b"417");
    assert_eq!(first_entry(&entry), Some((Some(417), 32)));
    entry[19..23].copy_from_slice(b"self");
    assert_eq!(first_entry(&entry), Some((None, 32)));
    for length in 0..32 {
        assert_eq!(first_entry(&entry[..length]), None, "cut to {length}");
    }
    entry[16] = 3;
    assert_eq!(first_entry(&entry), None);
}

fn machine_with(files: &[(&str, &str)]) -> Machine {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }
    judge(root.path())
}

#[test]
fn a_virtual_machine_is_told_by_any_of_its_signs() {
    let physical = [("proc/cpuinfo", "flags\t\t: fpu vme\n"), ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n")];
    assert_eq!(machine_with(&physical), Machine::Physical);
    let virtual_ones = [
        ("proc/cpuinfo", "processor: 0\nflags\t\t: fpu hypervisor vme\n", "hypervisor"),
        ("sys/class/dmi/id/sys_vendor", "QEMU\n", "QEMU"),
        ("sys/class/dmi/id/product_name", "VMware Virtual Platform\n", "VMware"),
        ("sys/hypervisor/type", "xen\n", "xen"),
        ("proc/device-tree/hypervisor/compatible", "linux,kvm\0", "linux,kvm"),
    ];
    for (path, text, expected) in virtual_ones {
        let Machine::Virtual { found } = machine_with(&[(path, text)]) else { panic!("{path} was not seen") };
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_machine_that_says_nothing_is_not_called_physical() {
    assert!(matches!(machine_with(&[]), Machine::Unknown { .. }));
    assert!(matches!(machine_with(&[("proc/cpuinfo", "Features: fp asimd\n")]), Machine::Unknown { .. }));
}

/// Set for the child that is to panic.
const PANICS: &str = "PICKET_TEST_PANICS";

#[test]
fn a_panic_in_any_thread_ends_the_process() {
    if std::env::var_os(PANICS).is_some() {
        forbid_core_dumps().unwrap();
        end_on_panic();
        let ended = std::thread::spawn(|| panic!("as it is to")).join();
        panic!("it went on: {ended:?}");
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "sys::tests::a_panic_in_any_thread_ends_the_process", "--nocapture"]);
    let ended = child.env(PANICS, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6), "{said}");
    assert!(said.contains("as it is to") && !said.contains("it went on"), "{said}");
}
