//! The option table: what an agent understands, in one place.
//!
//! Parser, validation, metadata, `--help` and manual page are all made from these rows, so that
//! they cannot disagree. Names are written with `_`; `-` means the same everywhere.

/// What an option's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value on the command line; yes or no in `key=value` form.
    Flag,
    /// Any text.
    Text,
    /// Seconds, decimals allowed.
    Seconds,
    /// A whole number, not negative.
    Integer,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its name, with `_`.
    pub name: &'static str,
    /// The older name that means the same, shown as deprecated.
    pub old: Option<&'static str>,
    /// Its one-letter form.
    pub short: Option<char>,
    /// What its value must be.
    pub kind: Kind,
    /// Its value when it is not given.
    pub default: Option<&'static str>,
    /// Whether an action on a machine needs it.
    pub required: bool,
    /// Whether its value is a secret.
    pub secret: bool,
    /// What it is for, in one line.
    pub text: &'static str,
}

impl OptionSpec {
    /// An optional text without default; the starting point of the rows below and in `devices/`.
    #[must_use]
    pub const fn text(name: &'static str, text: &'static str) -> Self {
        let (old, short, default) = (None, None, None);
        Self { name, old, short, kind: Kind::Text, default, required: false, secret: false, text }
    }

    /// The same with another kind of value.
    #[must_use]
    pub const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same with a one-letter form.
    #[must_use]
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// The same with an older name.
    #[must_use]
    pub const fn old(self, old: &'static str) -> Self {
        Self { old: Some(old), ..self }
    }

    /// The same with a default.
    #[must_use]
    pub const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, but required.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, but its value is a secret.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Whether `key`, in either spelling, names this option.
    #[must_use]
    pub fn is_named(&self, key: &str) -> bool {
        let key = key.replace('-', "_");
        key == self.name || self.old == Some(key.as_str())
    }

    /// The long form as typed: `power-timeout`.
    #[must_use]
    pub fn long(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// Options that every agent has, before those of its device.
pub const FIRST: &[OptionSpec] = &[
    OptionSpec::text("action", "Fencing action").short('o').default("reboot").required(),
    OptionSpec::text("plug", "Name of the machine at the device").short('n').old("port").required(),
];

/// Options that every agent has, after those of its device.
pub const LAST: &[OptionSpec] = &[
    OptionSpec::text("method", "Method to fence; both mean off, verified off, then on")
        .short('m')
        .kind(Kind::Choice(&["onoff", "cycle"]))
        .default("onoff"),
    OptionSpec::text("plug_separator", "What separates several names in plug").default(","),
    OptionSpec::text("separator", "Separator of the columns that list writes").short('C').default(","),
    OptionSpec::text("quiet", "Do not write messages to standard error").short('q').kind(Kind::Flag),
    OptionSpec::text("verbose", "Say what is done").short('v').kind(Kind::Flag),
    OptionSpec::text("verbose_level", "Level of detail, from 0").kind(Kind::Integer),
    OptionSpec::text("debug_file", "Also write messages to this file").short('D').old("debug"),
    OptionSpec::text("version", "Show the version and exit").short('V').kind(Kind::Flag),
    OptionSpec::text("help", "Show this help and exit").short('h').kind(Kind::Flag),
    OptionSpec::text("delay", "Wait this long before off and reboot").kind(Kind::Seconds).default("0"),
    OptionSpec::text("disable_timeout", "The caller's timeout is the only one (default under Pacemaker)"),
    OptionSpec::text("login_timeout", "Time to connect and log in").kind(Kind::Seconds).default("5"),
    OptionSpec::text("power_timeout", "Time to see the wanted power state after on or off")
        .kind(Kind::Seconds)
        .default("20"),
    OptionSpec::text("power_wait", "Wait this long after on or off was sent")
        .kind(Kind::Seconds)
        .default("0"),
    OptionSpec::text("shell_timeout", "Time for the answer to one command").kind(Kind::Seconds).default("3"),
    OptionSpec::text("stonith_status_sleep", "Longest pause between two looks at the power state")
        .kind(Kind::Seconds)
        .default("1"),
    OptionSpec::text("retry_on", "How often power on is tried again").kind(Kind::Integer).default("1"),
];
