//! Colours, where a terminal shows them.

/// What a word means for whoever looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Not as it should be.
    Bad,
    /// Less important.
    Faint,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// With or without colours.
    #[must_use]
    pub const fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// The text in its tone.
    #[must_use]
    pub fn text(self, tone: Tone, text: &str) -> String {
        // Select Graphic Rendition (ECMA-48); the basic colours follow the terminal's own theme.
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31;1",
            Tone::Faint => "2",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A heading.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.text(Tone::Strong, text)
    }
}

/// The tone of a stable state word.
#[must_use]
pub fn tone_of(word: &str) -> Tone {
    match word {
        "ISP" | "ALIVE" | "QUORATE" | "OK" | "YES" | "CONFIRMED_OFF" | "PRIMARY" => Tone::Good,
        "OSF" | "DEAD" | "NO_QUORUM" | "STALE_CONFIG" | "FAILED" | "NO" => Tone::Bad,
        "SUSPECT" | "UNKNOWN" | "QUARANTINED" | "WAITING" | "UNTESTED" | "NOT_STARTED" => Tone::Warn,
        _ => Tone::Plain,
    }
}
