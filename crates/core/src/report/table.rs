//! Lines and columns: wrapping, cutting, aligning. Widths are counted in characters.

use super::clean;

/// Breaks at spaces; a word longer than `width` is broken where it must be. Line breaks of `text` are preserved.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_whitespace() {
            for piece in pieces(word, width) {
                let length = piece.chars().count();
                if used > 0 && used + 1 + length > width {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                if used > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(&piece);
                used += length;
            }
        }
        lines.push(line);
    }
    lines
}

/// `text` in pieces of at most `width` characters, none of them empty.
pub(super) fn pieces(text: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width.max(1)).map(|c| c.iter().collect()).collect()
}

/// How a cell is painted where colour is wanted: on a terminal, and on the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Soft,
    Good,
    Warn,
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub ink: Ink,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ink: Ink::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Ink {
    pub(super) fn cell(self, text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            ink: self,
        }
    }
    /// With the terminal's own colours (ECMA-48 SGR), so it fits light and dark ones.
    pub(super) fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Ink::Plain => return text.to_owned(),
            Ink::Soft => 2,
            Ink::Good => 32,
            Ink::Warn => 33,
            Ink::Bad => 31,
        };
        if color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Columns a last cell has at least on a terminal that is too narrow: the line then overflows.
const LAST_MIN: usize = 16;

/// Rows in aligned columns, two spaces apart, no trailing space. Only the last column is cut to fit `width`.
pub(super) fn columns<const N: usize>(rows: &[[Cell; N]], width: usize, color: bool) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (cell, w) in row.iter().zip(&mut widths) {
            *w = cell.text.chars().count().max(*w);
        }
    }
    let before_last: usize = widths.iter().take(N.saturating_sub(1)).map(|w| w + 2).sum();
    let last_width = width.saturating_sub(before_last).max(LAST_MIN);
    let mut out = String::new();
    for row in rows {
        let mut gap = 0;
        for (i, (cell, w)) in row.iter().zip(widths).enumerate() {
            let text = if i + 1 == N {
                clean::shortened(&cell.text, last_width)
            } else {
                cell.text.clone()
            };
            if !text.is_empty() {
                out.push_str(&" ".repeat(gap));
                out.push_str(&cell.ink.paint(&text, color));
                gap = 0;
            }
            gap += w + 2 - text.chars().count().min(w);
        }
        out.push('\n');
    }
    out
}

/// Columns a last cell gets, before others are shortened for it.
const LAST_WIDE: usize = 20;

/// As [`columns`] if everything fits `width`. Otherwise the columns of `shrink` (index and minimum width) are cut one
/// after the other, and the last column continues on further lines: it has the explanation, so none of it is lost.
pub(super) fn fitted<const N: usize>(
    rows: &[[Cell; N]],
    shrink: &[(usize, usize)],
    width: usize,
    color: bool,
) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (cell, w) in row.iter().zip(&mut widths) {
            *w = cell.text.chars().count().max(*w);
        }
    }
    let whole: usize = widths.iter().map(|w| w + 2).sum::<usize>().saturating_sub(2);
    if whole <= width {
        return columns(rows, width, color);
    }
    let last = widths[N - 1].min(LAST_WIDE);
    for (column, least) in shrink {
        let before: usize = widths.iter().take(N - 1).map(|w| w + 2).sum();
        let surplus = (before + last).saturating_sub(width);
        widths[*column] = widths[*column].saturating_sub(surplus).max(widths[*column].min(*least));
    }
    let before: usize = widths.iter().take(N - 1).map(|w| w + 2).sum();
    let last = width.saturating_sub(before).max(LAST_MIN);
    let mut out = Vec::new();
    for row in rows {
        let mut lines = wrap(&row[N - 1].text, last).into_iter();
        let mut first = row.clone();
        for (cell, w) in first.iter_mut().zip(widths).take(N - 1) {
            cell.text = clean::shortened(&cell.text, w);
        }
        first[N - 1].text = lines.next().unwrap_or_default();
        out.push(first);
        out.extend(lines.map(|line| {
            let mut next: [Cell; N] = std::array::from_fn(|_| Cell::from(""));
            next[N - 1] = row[N - 1].ink.cell(line);
            next
        }));
    }
    columns(&out, width, color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aaaaaaa b", 5), ["aaaaa", "aa b"]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn a_table_that_does_not_fit_loses_nothing_of_its_last_column(
            cells in proptest::collection::vec(("[a-z]{0,40}", "[a-z]{1,9}", "[a-z]{0,30}( [a-z]{1,14}){0,12}"), 1..6)
        ) {
            let rows: Vec<[Cell; 3]> = cells.iter().map(|(a, b, c)| [a.as_str().into(), b.as_str().into(), c.as_str().into()]).collect();
            let shown = fitted(&rows, &[(0, 12)], 60, false);
            prop_assert!(shown.lines().all(|l| l.chars().count() <= 60), "{}", shown);
            let words: Vec<&str> = shown.split_whitespace().collect();
            for (_, _, text) in &cells {
                prop_assert!(text.split_whitespace().filter(|w| w.len() < 15).all(|w| words.contains(&w)), "{}\n{}", text, shown);
            }
        }

        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "[a-zé →]{0,200}", width in 1usize..80) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|l| l.chars().count() <= width));
            let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
