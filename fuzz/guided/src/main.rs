//! The fuzz targets under libFuzzer. Which one is named by `PICKET_FUZZ_TARGET`; `tests/lib/guided` builds and runs it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Target, targets};
use std::sync::LazyLock;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PICKET_FUZZ_TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("PICKET_FUZZ_TARGET={name:?} is no target"))
});

fuzz_target!(|input: &[u8]| {
    if let Err(broken) = (TARGET.check)(input) {
        panic!("{}: BROKEN: {broken}", TARGET.name);
    }
});
