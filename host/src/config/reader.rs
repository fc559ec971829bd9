//! Readers: how one value is understood, and what is expected of it.

use super::words::quoted;
use core::fmt::Display;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;

/// Something wrong inside a value: where, which part of it (`[2]`, or nothing), what, and what was expected.
pub(super) struct Wrong {
    pub(super) span: Range<usize>,
    pub(super) part: String,
    pub(super) what: String,
    pub(super) expected: String,
}

type Read<T> = dyn Fn(&Spanned<DeValue<'_>>, &mut Vec<Wrong>) -> Option<T>;

/// Understands one kind of value.
pub struct Reader<T> {
    pub(super) expected: String,
    read: Box<Read<T>>,
}

impl<T: 'static> Reader<T> {
    /// A reader of single values. `expected` completes "expected …"; `read` says what is wrong.
    fn of_value(
        expected: impl Into<String>,
        read: impl Fn(&DeValue<'_>) -> Result<T, String> + 'static,
    ) -> Self {
        let expected = expected.into();
        let told = expected.clone();
        let read = move |value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>| match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(what) => {
                let (span, part, expected) = (value.span(), String::new(), told.clone());
                wrong.push(Wrong { span, part, what, expected });
                None
            }
        };
        Self { expected, read: Box::new(read) }
    }

    /// Looks further at what was read: `check` gives the final value or says what is wrong with
    /// it, and `expected` says what was expected instead.
    #[must_use]
    pub fn check<U: 'static>(
        self,
        expected: impl Into<String>,
        check: impl Fn(T) -> Result<U, String> + 'static,
    ) -> Reader<U> {
        let expected = expected.into();
        let told = expected.clone();
        let read =
            move |value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>| match check(self.read(value, wrong)?)
            {
                Ok(checked) => Some(checked),
                Err(what) => {
                    let (span, part, expected) = (value.span(), String::new(), told.clone());
                    wrong.push(Wrong { span, part, what, expected });
                    None
                }
            };
        Reader { expected, read: Box::new(read) }
    }

    /// Turns what was read into something else that it always is.
    #[must_use]
    pub fn map<U: 'static>(self, map: impl Fn(T) -> U + 'static) -> Reader<U> {
        let expected = self.expected.clone();
        let read =
            move |value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>| self.read(value, wrong).map(&map);
        Reader { expected, read: Box::new(read) }
    }

    pub(super) fn read(&self, value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>) -> Option<T> {
        (self.read)(value, wrong)
    }
}

/// "found …" for a value of any type.
pub(super) fn found(value: &DeValue<'_>) -> String {
    if let Some(text) = value.as_str() {
        return format!("found {}", quoted(text));
    }
    if let Some(truth) = value.as_bool() {
        return format!("found {truth}");
    }
    if let Some(number) = value.as_integer() {
        return format!("found {}", number.as_str());
    }
    format!("found {} {}", article(value.type_str()), value.type_str())
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn of_text<T: 'static>(expected: impl Into<String>, read: impl Fn(&str) -> Option<T> + 'static) -> Reader<T> {
    Reader::of_value(expected, move |value| value.as_str().and_then(&read).ok_or_else(|| found(value)))
}

/// Any text that is not empty.
#[must_use]
pub fn string() -> Reader<String> {
    of_text("a text that is not empty", |text| (!text.is_empty()).then(|| text.to_owned()))
}

/// A name of at most 63 letters, digits, `-`, `_` and `.`, which starts with a letter or digit.
#[must_use]
pub fn name() -> Reader<String> {
    const NAME_CHARS_MAX: usize = 63;
    of_text(
        "a name of 1 to 63 letters, digits, \"-\", \"_\" or \".\", starting with a letter or digit",
        |text| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
            (starts_well && text.len() <= NAME_CHARS_MAX && text.chars().all(allowed))
                .then(|| text.to_owned())
        },
    )
}

/// `true` or `false`.
#[must_use]
pub fn boolean() -> Reader<bool> {
    Reader::of_value("true or false", |value| value.as_bool().ok_or_else(|| found(value)))
}

/// A whole number within the range.
#[must_use]
pub fn integer<T>(range: RangeInclusive<T>) -> Reader<T>
where
    T: TryFrom<i64> + PartialOrd + Display + 'static,
{
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    Reader::of_value(expected, move |value| {
        let number = value
            .as_integer()
            .and_then(|number| i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok());
        let number =
            number.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| found(value))
    })
}

/// A length of time as text: `"100ms"`, `"1.5s"`, `"2min"`.
#[must_use]
pub fn duration() -> Reader<Duration> {
    of_text("a duration such as \"100ms\", \"1.5s\" or \"2min\"", parse_duration)
}

/// A length of time within the range.
#[must_use]
pub fn duration_within(range: RangeInclusive<Duration>) -> Reader<Duration> {
    let expected = format!(
        "a duration with its unit, such as \"1s\", from {} to {}",
        told(*range.start()),
        told(*range.end())
    );
    of_text(expected, move |text| parse_duration(text).filter(|duration| range.contains(duration)))
}

/// Understands `<number><unit>` with the units `ns`, `us`, `ms`, `s`, `min` (or `m`) and `h`; the
/// number may have a fraction as long as the result is a whole number of nanoseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ns: u128 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction_ns = fraction.parse::<u128>().ok()? * unit_ns;
    if !fraction_ns.is_multiple_of(scale) {
        return None;
    }
    let nanos = whole.parse::<u128>().ok()? * unit_ns + fraction_ns / scale;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// An IP address and a port.
#[must_use]
pub fn socket_address() -> Reader<SocketAddr> {
    of_text("an IP address and port such as \"192.0.2.1:7000\" or \"[2001:db8::1]:7000\"", |text| {
        text.parse().ok()
    })
}

/// An IP address.
#[must_use]
pub fn ip_address() -> Reader<IpAddr> {
    of_text("an IP address such as \"192.0.2.1\" or \"2001:db8::1\"", |text| text.parse().ok())
}

/// A host by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A DNS name or an IP address (without brackets).
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

impl Display for HostPort {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.host.contains(':') {
            return write!(formatter, "[{}]:{}", self.host, self.port);
        }
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// A host by name or address, and a port.
#[must_use]
pub fn host_port() -> Reader<HostPort> {
    of_text("a host and port such as \"witness.example.org:7443\" or \"192.0.2.1:7443\"", |text| {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = match bare {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let labels = host.split('.').all(|label| {
                    !label.is_empty()
                        && label.len() <= 63
                        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                });
                labels && host.len() <= 253
            }
        };
        is_host.then(|| HostPort { host: bare.unwrap_or(host).to_owned(), port })
    })
}

/// An absolute path.
#[must_use]
pub fn path() -> Reader<PathBuf> {
    let is_path = |text: &str| text.starts_with('/') && !text.contains(char::is_control);
    of_text("an absolute path", move |text| is_path(text).then(|| PathBuf::from(text)))
}

/// One of the given words, each with its value.
#[must_use]
pub fn one_of<T: Clone + 'static>(words: impl IntoIterator<Item = (&'static str, T)>) -> Reader<T> {
    let words: Vec<(&'static str, T)> = words.into_iter().collect();
    let list: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
    of_text(format!("one of {}", list.join(", ")), move |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
    })
}

/// A list of values. Each wrong one is told on its own.
#[must_use]
pub fn list_of<T: 'static>(item: Reader<T>) -> Reader<Vec<T>> {
    let expected = format!("a list, each {}", item.expected);
    let told = expected.clone();
    let read = move |value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Wrong>| {
        let Some(items) = value.get_ref().as_array() else {
            let (span, part, what) = (value.span(), String::new(), found(value.get_ref()));
            wrong.push(Wrong { span, part, what, expected: told.clone() });
            return None;
        };
        let mut all = Some(Vec::new());
        for (number, element) in items.iter().enumerate() {
            let before = wrong.len();
            let read = item.read(element, wrong);
            for wrong in wrong.iter_mut().skip(before) {
                wrong.part.insert_str(0, &format!("[{number}]"));
            }
            all = all.zip(read).map(|(mut all, read)| {
                all.push(read);
                all
            });
        }
        all
    };
    Reader { expected, read: Box::new(read) }
}

/// A length as people write it: whole hours and zero without fractions of a unit.
fn told(length: Duration) -> String {
    match length.as_secs() {
        _ if length.is_zero() => "0s".to_owned(),
        hours if length.subsec_nanos() == 0 && hours.is_multiple_of(3600) => format!("{}h", hours / 3600),
        _ => format!("{length:?}"),
    }
}
