//! Switches that put known-wrong rules back into the protocol, for the checkers to find.
//!
//! Each mutant is a protocol that looked right and broke in a model. Only a build with `--cfg picket_mutants` can
//! switch one on; in every other build [`on`] is the constant `false` and the wrong branch is not compiled in.

macro_rules! mutants {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// The known-wrong rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $(#[doc = $text] $name = $number,)*
        }

        impl Mutant {
            /// Every mutant, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is wrong in it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }
        }
    };
}

mutants! {
    M1 = 1, "lease counted from the reply";
    M2 = 2, "no guard, with drift";
    M3 = 3, "witness restart forgets leases";
    M4 = 4, "no watchdog, and a stalled daemon";
    M5 = 5, "petting not bound to the lease";
    M6 = 6, "failsafe acknowledgement without a promise";
    M7 = 7, "failsafe acknowledgement that leaves an attempt alive";
    M8 = 8, "no start quarantine";
    M9 = 9, "fence UNKNOWN taken as success";
    M10 = 10, "no in-sync check";
    M11 = 11, "local solo by timeout";
    M12 = 12, "in-sync set changes without compare-and-swap";
    M13 = 13, "minimal instead of maximal view of the in-sync set";
    M14 = 14, "stale in-sync reply accepted";
    M15 = 15, "daemon session used as boot id";
    M16 = 16, "fence confirmation not bound to the boot";
    M17 = 17, "release not bound to the epoch";
    M18 = 18, "lease proof for a VM that can be paused";
    M19 = 19, "witness restored from a backup";
    M20 = 20, "fencing without a permit";
    M21 = 21, "no durable maximum epoch: stale failsafe acknowledgement";
    M22 = 22, "no durable maximum epoch: duplicate grant";
    M23 = 23, "permit that outlives the target's incarnation";
    M24 = 24, "boot ids without order";
    M25 = 25, "grow intent not durable";
    M26 = 26, "a late pet outlives the lease";
    M27 = 27, "petting if any volume qualifies";
    M28 = 28, "declaration not bound to the boot";
    M29 = 29, "declaration taken as proof";
    M30 = 30, "permit that leaves the target's UpdateInSync open";
    M31 = 31, "permit for membership in any in-sync set";
    M32 = 32, "no SOLO_ELSEWHERE";
    M33 = 33, "fastboot beside a solo volume";
    M34 = 34, "barrier lifted without an accepted removal";
    M35 = 35, "Acquire not idempotent";
    M36 = 36, "failsafe while a fence agent runs";
    M37 = 37, "failsafe after a refused renewal";
    M38 = 38, "permit that ends before its agent";
    M39 = 39, "misses counted from the witness's start";
    M40 = 40, "what was seen of the store not synced";
    M41 = 41, "override at the maximum plus one";
    M42 = 42, "takeover that strips healthy members";
    M43 = 43, "a fenced reporter strips others";
    M44 = 44, "an agent's run that may outlast its permit";
    M45 = 45, "a daemon that has said it stops asks again";
    M46 = 46, "left running counted at every start";
    M47 = 47, "a registration before the volumes have reported";
    M48 = 48, "a refused renewal forgotten by a restart";
    M49 = 49, "a promise that counts for the time before it";
    M50 = 50, "a solo holder whose grant was revoked never asks again";
    M51 = 51, "a registration that nobody answers is waited for without end";
    M52 = 52, "an override's time that outlives the witness's record of it";
    M53 = 53, "a replica that is only about to be required is reported as in sync";
    M54 = 54, "a standby that is acknowledged before it is durable";
    M55 = 55, "a promotion that is overtaken or given up taken as over";
    M56 = 56, "a volume on its way out of service is left running";
    M57 = 57, "a word of the witness that was overtaken taken for its newest";
    M58 = 58, "a lonely holder grows the in-sync set without a lease";
    M59 = 59, "a register of before the grant that is held taken";
    M60 = 60, "whose data was named counts where the claims agree";
    M61 = 61, "an adoption does without a member that is heard";
    M62 = 62, "a grant that its holder does not want is not given back";
    M63 = 63, "an override's time that outlives a daemon which died between its two records";
    M64 = 64, "a thaw that its driver cannot tell of taken as not done";
    M65 = 65, "a promise for one's own lease to whoever has a longer one";
    M66 = 66, "a boot waits for its own timings, and not for those it promised by";
    M67 = 67, "what a promotion was told to require taken for what its driver requires";
    M68 = 68, "members that are on their way removed right after a promotion";
    M69 = 69, "members removed on the word of a driver that does not see its own volume";
    M70 = 70, "a volume released while what a dead daemon ordered may still be done";
    M71 = 71, "a volume that is promoted while it is frozen stays frozen";
    M72 = 72, "the lease that begins with what was left running is in no record";
    M73 = 73, "a witness that was stalled judges before it has read what came meanwhile";
    M74 = 74, "a change of the in-sync set that was refused is asked for again at once";
    M80 = 80, "an adoption does without whoever has gone since";
    M81 = 81, "a person's word counts before a witness that slept has read what speaks against it";
    M82 = 82, "whoever is alone forgets it with its daemon";
    M83 = 83, "a volume on its way into service or out of it gets no promises";
    M84 = 84, "a promotion that a freeze has ended is thawed into service";
    M85 = 85, "a node's own sleep taken for its peers' silence";
    M86 = 86, "a person's word counts before a lease of longer timings is over";
    M87 = 87, "an adoption does without whoever came after it and went again";
    M88 = 88, "whoever is to be fenced may fence";
    M89 = 89, "a grow whose end is not known is recorded before the replica has followed";
    M90 = 90, "what is held and no longer configured forgotten by the next daemon";
    M91 = 91, "what was seen of the store forgotten with the session";
    M92 = 92, "a grow that was refused taken as ended without a newer version";
    M93 = 93, "a fenced holder taken out before anybody is granted what it held";
}

#[cfg(not(picket_mutants))]
mod switch {
    use super::Mutant;

    /// Whether the mutant is switched on: never, in this build.
    #[inline(always)]
    #[must_use]
    pub const fn on(_mutant: Mutant) -> bool {
        false
    }
}

#[cfg(picket_mutants)]
mod switch {
    use super::Mutant;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// One bit for each number.
    static ON: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

    /// In every program that could switch a known-wrong rule on, so that one that is released can be seen to hold none.
    static MARK: &str = "picket: known-wrong rules can be switched on";

    /// Whether the mutant is switched on.
    #[inline]
    #[must_use]
    pub fn on(mutant: Mutant) -> bool {
        core::hint::black_box(MARK);
        let number = usize::from(mutant.number());
        ON[number / 64].load(Ordering::Relaxed) & 1 << (number % 64) != 0
    }

    /// Switches on just these, for the whole process.
    pub fn switch(mutants: &[Mutant]) {
        let bits = mutants.iter().fold(0, |bits, mutant| bits | 1_u128 << mutant.number());
        #[expect(clippy::cast_possible_truncation, reason = "each half is of its own size")]
        for (half, word) in ON.iter().enumerate() {
            word.store((bits >> (64 * half)) as u64, Ordering::Relaxed);
        }
    }
}

pub use switch::*;

/// Unit tests can be run with one known-wrong rule put in, to see that they notice: `PICKET_MUTANT` is its number.
#[cfg(all(test, picket_mutants))]
pub(crate) fn switch_by_environment() {
    extern crate std;
    let number = std::env::var("PICKET_MUTANT").ok().and_then(|text| text.parse::<u8>().ok());
    let chosen: alloc::vec::Vec<Mutant> =
        Mutant::ALL.iter().copied().filter(|mutant| Some(mutant.number()) == number).collect();
    switch(&chosen);
}
