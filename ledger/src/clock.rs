//! CLOCK_BOOTTIME in nanoseconds. All machines of a lab share it, because they share the kernel, which
//! makes the intervals of different nodes comparable.

/// Nanoseconds since the kernel booted, suspend included; 64 bits last for 584 years.
#[must_use]
pub(crate) fn boottime_ns() -> u64 {
    u64::try_from(picket_host::clock::boottime().as_nanos()).unwrap_or(u64::MAX)
}
