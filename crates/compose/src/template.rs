//! Variables in values: `$NAME`, `${NAME}`, defaults, replacements and required ones (Compose Specification, *Interpolation*).

/// Expressions inside one another; real files nest two or three.
const MAX_DEPTH: usize = 16;
/// Characters of one value after interpolation. Defaults can repeat, so a short text can ask for a long one.
const MAX_LENGTH: usize = 1 << 20;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{0}` is not a variable: write `$$` for a dollar sign")]
    Invalid(String),
    #[error("the variable {name} is required{}", reason(.why))]
    Required { name: String, why: String },
    #[error("variables are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("the value is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

fn reason(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}

/// The variables that a value can use.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `text` with every variable replaced. A variable without a value is empty, and its name goes to `unset`.
///
/// # Errors
/// A malformed expression, or a required variable (`${NAME:?why}`) without a value.
pub fn interpolate(text: &str, lookup: Lookup<'_>, unset: &mut Vec<String>) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    expand(text, lookup, unset, 0, &mut out)?;
    Ok(out)
}

fn expand(
    text: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
    out: &mut String,
) -> Result<(), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            after
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| TemplateError::Invalid(rest[dollar..].to_owned()))?;
            braced(&inside[..end], lookup, unset, depth, out)?;
            &inside[end + 1..]
        } else {
            let name = name_at(after);
            // A dollar sign that begins no name is itself.
            if name.is_empty() {
                out.push('$');
            } else {
                let value = lookup(name).unwrap_or_else(|| blank(name, unset));
                out.push_str(&value);
            }
            &after[name.len()..]
        };
        if out.len() > MAX_LENGTH {
            return Err(TemplateError::TooLong);
        }
    }
    out.push_str(rest);
    Ok(())
}

/// The inside of `${…}`: a name, then perhaps an operator and its word.
fn braced(
    inside: &str,
    lookup: Lookup<'_>,
    unset: &mut Vec<String>,
    depth: usize,
    out: &mut String,
) -> Result<(), TemplateError> {
    let invalid = || TemplateError::Invalid(format!("${{{inside}}}"));
    let name = name_at(inside);
    if name.is_empty() {
        return Err(invalid());
    }
    let after = &inside[name.len()..];
    if after.is_empty() {
        out.push_str(&lookup(name).unwrap_or_else(|| blank(name, unset)));
        return Ok(());
    }
    // With a colon an empty value counts as none.
    let (colon, operator) = match after.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, after),
    };
    let value = lookup(name).filter(|value| !colon || !value.is_empty());
    let mut characters = operator.chars();
    let operator = characters.next().ok_or_else(invalid)?;
    let word = characters.as_str();
    match (operator, value) {
        ('-' | '?', Some(value)) => out.push_str(&value),
        ('-', None) | ('+', Some(_)) => expand(word, lookup, unset, depth + 1, out)?,
        ('+', None) => {}
        ('?', None) => {
            let mut why = String::new();
            expand(word, lookup, unset, depth + 1, &mut why)?;
            let name = name.to_owned();
            return Err(TemplateError::Required { name, why });
        }
        _ => return Err(invalid()),
    }
    Ok(())
}

fn blank(name: &str, unset: &mut Vec<String>) -> String {
    if !unset.iter().any(|known| known == name) {
        unset.push(name.to_owned());
    }
    String::new()
}

/// The longest name at the beginning of `text`: a letter or `_`, then letters, digits and `_`.
fn name_at(text: &str) -> &str {
    let word = |(at, c): &(usize, char)| c.is_ascii_alphabetic() || *c == '_' || (*at > 0 && c.is_ascii_digit());
    let len = text.char_indices().take_while(word).count();
    &text[..len]
}

/// Where the `}` is that ends an expression whose `${` is before `inside`: braces of the word count too, as in JSON. If they do not
/// match, it is the last one.
fn closing(inside: &str) -> Option<usize> {
    let mut open = 1usize;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 1 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    inside.rfind('}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "_U1" => Some("under".to_owned()),
            _ => None,
        };
        let mut unset = Vec::new();
        match interpolate(text, &lookup, &mut unset) {
            Ok(text) if unset.is_empty() => text,
            Ok(text) => format!("{text} (unset: {})", unset.join(", ")),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn every_form_of_a_variable() {
        let table: Vec<String> = [
            "plain",
            "$SET/$_U1",
            "${SET}x",
            "$$SET $${SET}",
            "a$ b$",
            "$1",
            "[${EMPTY}]",
            "[${NONE}][$NONE][$OTHER]",
            "${EMPTY-d}",
            "${EMPTY:-d}",
            "${NONE-d}",
            "${NONE:-$SET and ${NONE-${SET}}}",
            "${SET+r}",
            "[${EMPTY+r}]",
            "[${EMPTY:+r}]",
            "[${NONE+r}]",
            "${SET:?no}",
            "${NONE?}",
            "${EMPTY:?set it in .env, ${SET}}",
            "${NONE:-{\"a\":1}}",
            "${",
            "${}",
            "${SET",
            "${SET!x}",
            "${SET:}",
            "${1A}",
        ]
        .iter()
        .map(|text| format!("{text} → {}", shown(text)))
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        plain → plain
        $SET/$_U1 → value/under
        ${SET}x → valuex
        $$SET $${SET} → $SET ${SET}
        a$ b$ → a$ b$
        $1 → $1
        [${EMPTY}] → []
        [${NONE}][$NONE][$OTHER] → [][][] (unset: NONE, OTHER)
        ${EMPTY-d} → 
        ${EMPTY:-d} → d
        ${NONE-d} → d
        ${NONE:-$SET and ${NONE-${SET}}} → value and value
        ${SET+r} → r
        [${EMPTY+r}] → [r]
        [${EMPTY:+r}] → []
        [${NONE+r}] → []
        ${SET:?no} → value
        ${NONE?} → error: the variable NONE is required
        ${EMPTY:?set it in .env, ${SET}} → error: the variable EMPTY is required: set it in .env, value
        ${NONE:-{"a":1}} → {"a":1}
        ${ → error: `${` is not a variable: write `$$` for a dollar sign
        ${} → error: `${}` is not a variable: write `$$` for a dollar sign
        ${SET → error: `${SET` is not a variable: write `$$` for a dollar sign
        ${SET!x} → error: `${SET!x}` is not a variable: write `$$` for a dollar sign
        ${SET:} → error: `${SET:}` is not a variable: write `$$` for a dollar sign
        ${1A} → error: `${1A}` is not a variable: write `$$` for a dollar sign
        "#);
    }

    #[test]
    fn templates_that_explode_are_refused() {
        let deep = format!("{}x{}", "${A:-".repeat(20), "}".repeat(20));
        assert_eq!(shown(&deep), "error: variables are nested more than 16 deep");
        let long = |_: &str| Some("x".repeat(1000));
        let text = "$A".repeat(2000);
        assert_eq!(interpolate(&text, &long, &mut Vec::new()), Err(TemplateError::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[${}:?+A-]{0,40}") {
            let _ = shown(&text);
        }

        #[test]
        fn a_text_without_a_dollar_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(shown(&text), text);
        }
    }
}
