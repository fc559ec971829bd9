//! What the machine is: its watchdog, whether it may be paused unseen, and whether it is a lab machine.

use super::timing::length;
use super::{Lab, WatchdogConfig, WatchdogKind};
use core::time::Duration;
use picket_core::params::Params;
use picket_host::config::{Table, boolean, one_of, path};
use picket_host::sys::{Machine, is_virtual_machine};

/// W of a machine in a cluster without a lease proof, where any watchdog is good enough.
const EFFECTIVE: Duration = Duration::from_secs(1);

/// Reads `[lab]`.
pub(super) fn lab(root: &Table<'_, '_>) -> Option<Option<Lab>> {
    let Some(table) = root.table("lab") else { return Some(None) };
    let boot_id_file = table.required("boot_id_file", path());
    let power_socket = table.optional("power_socket", path());
    Some(Some(Lab { boot_id_file: boot_id_file?, power_socket }))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Device,
    SelfReset,
    Lab,
    None,
}

/// Reads `[watchdog]`.
pub(super) fn watchdog(
    root: &Table<'_, '_>,
    params: Option<&Params>,
    lab: bool,
    warnings: &mut Vec<String>,
) -> Option<WatchdogConfig> {
    let timing = params.and_then(|params| params.watchdog);
    let effective = timing.map_or(EFFECTIVE, |watchdog| watchdog.effective);
    let pet = timing.map_or(effective / 10, |watchdog| watchdog.pet);
    let Some(table) = root.table("watchdog") else {
        warnings
            .push("there is no watchdog: a lease that runs out proves nothing about this machine".to_owned());
        return Some(WatchdogConfig { kind: WatchdogKind::None, effective, pet, counts: None });
    };
    let kinds =
        [("device", Kind::Device), ("self-reset", Kind::SelfReset), ("lab", Kind::Lab), ("none", Kind::None)];
    let kind = table.required("kind", one_of(kinds));
    let own = table.or("effective", length(), effective);
    let counts = table.optional("counts", boolean());
    let device = kind.and_then(|kind| device(&table, kind));
    check(&table, kind, counts, lab);
    if own > effective && timing.is_some() {
        let what = format!("it takes {own:?} to reset this machine, and the timings allow W = {effective:?}");
        table.wrong("effective", what, format!("at most {effective:?}, or a profile for slower watchdogs"));
    }
    if let Some(WatchdogKind::Device { timeout_s, .. }) = &device {
        let set = timeout_s.map_or(own.as_secs(), u64::from);
        if set == 0 || Duration::from_secs(set) > own {
            let what =
                format!("a device is set in whole seconds: {set} s, and the effective time is {own:?}");
            table.wrong("timeout", what, "at least 1 s, and at most the effective time");
        }
    }
    Some(WatchdogConfig { kind: device?, effective: own, pet: pet.min(own / 4), counts })
}

fn device(table: &Table<'_, '_>, kind: Kind) -> Option<WatchdogKind> {
    Some(match kind {
        Kind::Device => {
            let timeout_s = table.optional(
                "timeout",
                length().check("whole seconds", |length| {
                    let whole = u32::try_from(length.as_secs()).ok().filter(|_| length.subsec_nanos() == 0);
                    whole.ok_or_else(|| format!("found {length:?}"))
                }),
            );
            WatchdogKind::Device { path: table.required("device", path())?, timeout_s }
        }
        Kind::SelfReset => WatchdogKind::SelfReset,
        Kind::Lab => WatchdogKind::Lab { socket: table.required("device", path())? },
        Kind::None => WatchdogKind::None,
    })
}

fn check(table: &Table<'_, '_>, kind: Option<Kind>, counts: Option<bool>, lab: bool) {
    match kind {
        Some(Kind::Device | Kind::SelfReset) if lab => {
            table.wrong(
                "kind",
                "a lab machine would reset the real machine",
                "\"lab\" or \"none\" under [lab]",
            );
        }
        Some(Kind::Lab) if !lab => {
            table.wrong(
                "kind",
                "this is a lab machine's watchdog, and there is no [lab]",
                "\"device\", \"self-reset\" or \"none\"",
            );
        }
        Some(Kind::Device | Kind::SelfReset | Kind::Lab | Kind::None) | None => {}
    }
    let never = matches!(kind, Some(Kind::SelfReset | Kind::None));
    if never && counts == Some(true) {
        table.wrong(
            "counts",
            "it dies with the kernel, or there is none",
            "counts = true only with a real watchdog",
        );
    }
}

/// Whether the machine's clocks and watchdog go on while it is paused from outside.
pub(super) fn pause_visible(node: &Table<'_, '_>, lab: bool, warnings: &mut Vec<String>) -> bool {
    let said = node.optional("pause_visible", boolean());
    if lab {
        // What is paused there are processes; the clocks of the host run on.
        return said.unwrap_or(true);
    }
    match (is_virtual_machine(), said) {
        (Machine::Physical, said) => said.unwrap_or(true),
        (Machine::Virtual { found }, Some(true)) => {
            warnings.push(format!(
                "pause_visible = true on a virtual machine ({found}): a pause would not be seen"
            ));
            true
        }
        (Machine::Virtual { found }, Some(false) | None) => {
            warnings
                .push(format!("a virtual machine ({found}): a lease that runs out proves nothing about it"));
            false
        }
        (Machine::Unknown { .. }, Some(said)) => said,
        (Machine::Unknown { reason }, None) => {
            warnings
                .push(format!("it is not known whether this is a virtual machine ({reason}); taken for one"));
            false
        }
    }
}
