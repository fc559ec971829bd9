//! Whether this machine is a virtual one, and how we know.
//!
//! A virtual machine can be paused without noticing, so its lease proves nothing (safety rules,
//! "Pauses nobody sees"). The question has three answers: what cannot be read is not "physical".

use std::fs;
use std::path::Path;

/// What the machine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    /// Runs under a hypervisor.
    Virtual {
        /// The file and the words that say so.
        found: String,
    },
    /// Every source could be read and none names a hypervisor.
    Physical,
    /// No source that would name a hypervisor could be read.
    Unknown {
        /// What was missing.
        reason: String,
    },
}

/// Words in the firmware's vendor and product names that only virtual machines carry.
const FIRMWARE_WORDS: [&str; 14] = [
    "qemu",
    "kvm",
    "vmware",
    "virtualbox",
    "innotek",
    "xen",
    "bochs",
    "parallels",
    "bhyve",
    "virtual machine",
    "openstack",
    "google compute engine",
    "apple virtualization",
    "firecracker",
];

/// Looks at the CPU flags, the hypervisor's own entries and the firmware's names.
#[must_use]
pub fn is_virtual_machine() -> Machine {
    judge(Path::new("/"))
}

pub(super) fn judge(root: &Path) -> Machine {
    let sources =
        [hypervisor_entry(root), device_tree(root), cpu_flag(root), firmware(root)].into_iter().flatten();
    if let Some(found) = sources.into_iter().next() {
        return Machine::Virtual { found };
    }
    // x86 sets the flag under every hypervisor that does not hide; other CPUs have no such flag,
    // and there only the firmware can speak.
    let flags_readable =
        read(root, "proc/cpuinfo").is_some_and(|text| text.lines().any(|line| line.starts_with("flags")));
    if flags_readable || read(root, "sys/class/dmi/id/sys_vendor").is_some() {
        return Machine::Physical;
    }
    Machine::Unknown { reason: "neither /proc/cpuinfo flags nor firmware names can be read".to_owned() }
}

fn hypervisor_entry(root: &Path) -> Option<String> {
    let kind = read(root, "sys/hypervisor/type")?;
    Some(format!("/sys/hypervisor/type says {:?}", kind.trim()))
}

fn device_tree(root: &Path) -> Option<String> {
    let kind = read(root, "proc/device-tree/hypervisor/compatible")?;
    Some(format!("/proc/device-tree/hypervisor/compatible says {:?}", kind.trim_end_matches('\0')))
}

fn cpu_flag(root: &Path) -> Option<String> {
    let text = read(root, "proc/cpuinfo")?;
    let mut flags = text.lines().filter(|line| line.starts_with("flags")).flat_map(str::split_whitespace);
    flags.any(|flag| flag == "hypervisor").then(|| "/proc/cpuinfo has the CPU flag \"hypervisor\"".to_owned())
}

fn firmware(root: &Path) -> Option<String> {
    for name in ["sys_vendor", "product_name", "product_version", "board_vendor", "bios_vendor"] {
        let path = format!("sys/class/dmi/id/{name}");
        let Some(text) = read(root, &path) else { continue };
        let lower = text.to_lowercase();
        if FIRMWARE_WORDS.iter().any(|word| lower.contains(word)) {
            return Some(format!("/{path} says {:?}", text.trim()));
        }
    }
    None
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}
