//! Applies the differences that cargo-mutants prints: what results is, byte for byte, the file that it would compile.

/// The text with the hunks of one file's unified diff applied.
///
/// # Errors
/// A hunk that does not fit the text.
pub fn apply(text: &str, diff: &str) -> Result<String, String> {
    let old: Vec<&str> = text.split_inclusive('\n').collect();
    let (mut new, mut taken) = (String::new(), 0);
    let mut lines = diff.split_inclusive('\n').skip_while(|line| !line.starts_with("@@ ")).peekable();
    while let Some(head) = lines.next() {
        let from = first_line(head).ok_or_else(|| format!("no head of a hunk: {head}"))?;
        new.extend(old.get(taken..from).ok_or("hunks overlap")?.iter().copied());
        taken = from;
        while let Some(line) = lines.next_if(|line| !line.starts_with("@@ ")) {
            let (sign, rest) = line.split_at_checked(1).ok_or("an empty line")?;
            match sign {
                "+" => new.push_str(rest),
                "-" | " " if old.get(taken) == Some(&rest) => {
                    taken += 1;
                    if sign == " " {
                        new.push_str(rest);
                    }
                }
                _ => return Err(format!("does not fit line {}: {line}", taken + 1)),
            }
        }
    }
    new.extend(old.get(taken..).ok_or("a hunk beyond the end")?.iter().copied());
    Ok(new)
}

/// Of `@@ -12,5 +12,5 @@`: the first line, counted from nought.
fn first_line(head: &str) -> Option<usize> {
    let number = head.strip_prefix("@@ -")?.split([',', ' ']).next()?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::apply;

    const TEXT: &str = "one\ntwo\nthree\nfour\n";

    #[test]
    fn hunks_replace_what_they_name() {
        let diff = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n-one\n+eins\n two\n@@ -4 +4 @@\n-four\n+vier\n";
        assert_eq!(apply(TEXT, diff).unwrap(), "eins\ntwo\nthree\nvier\n");
    }

    #[test]
    fn a_hunk_of_another_text_is_refused() {
        let diff = "--- a\n+++ b\n@@ -2,1 +2,1 @@\n-zwei\n+deux\n";
        assert_eq!(apply(TEXT, diff).unwrap_err(), "does not fit line 2: -zwei\n");
        assert!(apply(TEXT, "@@ -9 +9 @@\n-nine\n").is_err());
    }
}
