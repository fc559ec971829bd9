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

/// The line, cut to so many columns: a terminal that does not wrap would write what is too much over the last one.
/// Colours take no column, and end with the line.
#[must_use]
pub fn clip(line: &str, columns: usize) -> String {
    let visible = |text: &str| Pieces(text).filter(|piece| !piece.starts_with(ESCAPE)).count();
    if visible(line) <= columns {
        return line.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut clipped = String::new();
    for piece in Pieces(line) {
        if piece.starts_with(ESCAPE) {
            clipped.push_str(piece);
        } else if left > 0 {
            clipped.push_str(piece);
            left -= 1;
        }
    }
    if columns > 0 {
        clipped.push('…');
    }
    clipped
}

const ESCAPE: char = '\u{1b}';

/// The letters of a text, and its colours as one piece each.
struct Pieces<'t>(&'t str);

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let first = self.0.chars().next()?;
        let end = match self.0.find('m').filter(|_| first == ESCAPE) {
            Some(end) => end + 1,
            None => first.len_utf8(),
        };
        let (piece, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(clip("täglich", 7), "täglich");
        assert_eq!(clip("täglich", 6), "tägli…");
        assert_eq!(clip("x", 0), "");
        let painted = format!("a {} b", Paint::new(true).text(Tone::Good, "green"));
        assert_eq!(clip(&painted, 9), painted);
        assert_eq!(clip(&painted, 5), "a \u{1b}[32mgr\u{1b}[0m…");
    }
}
