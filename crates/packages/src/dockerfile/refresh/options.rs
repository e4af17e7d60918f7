//! Options of package managers, as far as it has to be known which word is whose value.

use super::values::Field;

/// What a program takes. Short ones are letters; long ones come without their dashes.
pub(crate) struct Known {
    pub(crate) short: &'static str,
    pub(crate) short_valued: &'static str,
    pub(crate) long: &'static [&'static str],
    pub(crate) long_valued: &'static [&'static str],
}

#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The first word, if it is known.
    pub(crate) verb: Option<String>,
    /// What follows it.
    pub(crate) words: Vec<Field>,
    /// Options without value, long or short, without dashes.
    pub(crate) flags: Vec<String>,
    /// Options and their values.
    pub(crate) values: Vec<(String, Field)>,
    /// Every option and word is known, so nothing of the above is a guess.
    pub(crate) clear: bool,
    /// An option is not known: it may take the word after it for its value.
    pub(crate) odd: bool,
}

impl Parsed {
    pub(crate) fn has(&self, flags: &[&str]) -> bool {
        self.flags.iter().any(|flag| flags.contains(&flag.as_str()))
    }
}

pub(crate) fn parse(words: &[Field], known: &Known) -> Parsed {
    let mut parsed = Parsed {
        clear: true,
        ..Parsed::default()
    };
    let mut rest = words.iter();
    let mut plain = Vec::new();
    while let Some(word) = rest.next() {
        let text = word.text.as_str();
        // What is not known may be an option, or nothing at all.
        if word.open && (text.is_empty() || text.starts_with('-') && !text.contains('=')) {
            parsed.clear = false;
        }
        if text == "--" {
            plain.extend(rest.by_ref());
        } else if let Some(long) = text.strip_prefix("--") {
            long_option(&mut parsed, word, long, known, &mut rest);
        } else if let Some(short) = text.strip_prefix('-').filter(|short| !short.is_empty()) {
            short_options(&mut parsed, word, short, known, &mut rest);
        } else {
            plain.push(word);
        }
    }
    let mut plain = plain.into_iter();
    match plain.next() {
        Some(verb) if verb.open => parsed.clear = false,
        Some(verb) => parsed.verb = Some(verb.text.clone()),
        None => {}
    }
    parsed.words = plain.cloned().collect();
    parsed
}

type Rest<'a> = std::slice::Iter<'a, Field>;

fn long_option(parsed: &mut Parsed, word: &Field, long: &str, known: &Known, rest: &mut Rest<'_>) {
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    if known.long_valued.contains(&name) {
        let value = match value {
            Some(value) => Field {
                text: value.to_owned(),
                open: word.open,
            },
            None => rest.next().cloned().unwrap_or_default(),
        };
        parsed.values.push((name.to_owned(), value));
    } else if known.long.contains(&name) && value.is_none() {
        parsed.flags.push(name.to_owned());
    } else {
        (parsed.clear, parsed.odd) = (false, true);
    }
}

fn short_options(parsed: &mut Parsed, word: &Field, short: &str, known: &Known, rest: &mut Rest<'_>) {
    for (at, letter) in short.char_indices() {
        let after = &short[at + letter.len_utf8()..];
        if known.short_valued.contains(letter) {
            let value = if after.is_empty() && !word.open {
                rest.next().cloned().unwrap_or_default()
            } else {
                Field {
                    text: after.strip_prefix('=').unwrap_or(after).to_owned(),
                    open: word.open,
                }
            };
            return parsed.values.push((letter.to_string(), value));
        }
        if !known.short.contains(letter) {
            (parsed.clear, parsed.odd) = (false, true);
            return;
        }
        parsed.flags.push(letter.to_string());
        // `-q=2`.
        if after.starts_with('=') {
            return;
        }
    }
}
