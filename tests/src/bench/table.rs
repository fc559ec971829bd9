//! The table of what was measured.

use crate::soak::percentile;
use core::fmt;

/// Of what a row's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
}

impl Unit {
    const fn word(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Us => "µs",
        }
    }
}

/// One thing that was measured many times.
#[derive(Clone, Debug)]
pub struct Row {
    /// What.
    pub what: String,
    /// Of what `values` are.
    pub unit: Unit,
    /// What each round took.
    pub values: Vec<u64>,
    /// The median should not be above this.
    pub target: Option<u64>,
}

/// All of them; the ratios of the last column are to the first row.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Table {
    /// Adds a row, and shows it at once.
    pub fn add(&mut self, row: Row) {
        println!("{row}");
        self.0.push(row);
    }
}

impl Row {
    /// The median; 0 of none.
    #[must_use]
    pub fn median(&self) -> u64 {
        percentile(&mut self.values.clone(), 500)
    }

    fn verdict(&self) -> String {
        match self.target {
            None => String::new(),
            Some(target) if self.median() <= target => format!("{target}, reached"),
            Some(target) => format!("{target}, NOT reached"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.values.clone();
        let (p95, longest) = (percentile(&mut values, 950), percentile(&mut values, 1000));
        let (what, n, median, unit) = (&self.what, values.len(), self.median(), self.unit.word());
        write!(f, "| {what} | {n} | {median} {unit} | {p95} {unit} | {longest} {unit} | {} |", self.verdict())
    }
}

impl fmt::Display for Table {
    /// As Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | n | median | p95 | longest | target | ratio |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        let first = self.0.first();
        for row in &self.0 {
            let same = first.filter(|first| first.unit == row.unit && first.median() > 0);
            match same {
                Some(first) => {
                    let percent = row.median() * 100 / first.median();
                    writeln!(f, "{row} {}.{:02} |", percent / 100, percent % 100)?;
                }
                None => writeln!(f, "{row} |")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_its_median_and_whether_that_is_good_enough() {
        let row = |values: &[u64]| Row {
            what: "a fault".into(),
            unit: Unit::Ms,
            values: values.to_vec(),
            target: Some(20),
        };
        assert_eq!(row(&[30, 10, 20]).to_string(), "| a fault | 3 | 20 ms | 30 ms | 30 ms | 20, reached |");
        assert!(row(&[21]).to_string().contains("NOT reached"));
        let table = Table(vec![row(&[20]), row(&[50])]).to_string();
        assert!(table.contains("| 1.00 |") && table.contains("| 2.50 |"), "{table}");
    }
}
