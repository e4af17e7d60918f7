//! The form that lifts a halt, as YAML.

use crate::yaml::second::yaml_value;
use lowtide_model::halt::Draft;
use serde_json::Value;

const KEYS: &str = "whys, root, class, countermeasure";
const MEASURES: &str = "commit, config";

/// Reads a form. Entries that do not belong there are collected in `odd`, so that all problems are reported at once.
///
/// # Errors
/// The YAML reader's message if the text is not YAML.
pub fn draft(text: &str) -> Result<Draft, String> {
    let mut draft = Draft::default();
    match yaml_value(text)? {
        Value::Object(map) => {
            for (key, value) in &map {
                field(&mut draft, key, value);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            draft.odd.push(format!("a form has the keys {KEYS}"));
        }
    }
    Ok(draft)
}

fn field(draft: &mut Draft, key: &str, value: &Value) {
    match (key, value) {
        (_, Value::Null) if ["whys", "root", "class", "countermeasure"].contains(&key) => {}
        ("whys", Value::Array(whys)) => {
            for (place, why) in whys.iter().enumerate() {
                match text(why) {
                    Some(why) => draft.whys.push(why),
                    None => draft.odd.push(format!("`whys[{place}]` is not a text")),
                }
            }
        }
        ("whys", value) => match text(value) {
            Some(why) => draft.whys.push(why),
            None => draft.odd.push("`whys` is a list of texts".to_owned()),
        },
        ("root", value) => draft.root = word(draft, key, value),
        ("class", value) => draft.class = word(draft, key, value),
        ("countermeasure", Value::Object(map)) => {
            for (key, value) in map {
                measure(draft, key, value);
            }
        }
        ("countermeasure", _) => draft.odd.push(format!("`countermeasure` has the keys {MEASURES}")),
        (other, _) => draft
            .odd
            .push(format!("there is no `{other}` in a form; its keys are {KEYS}")),
    }
}

fn measure(draft: &mut Draft, key: &str, value: &Value) {
    match (key, value) {
        ("commit" | "config", Value::Null) => {}
        // An id of digits alone, or `12e4567`, is read as a number: what was written is not known any more.
        ("commit", Value::Number(_)) => {
            let odd = "`countermeasure.commit` reads as a number: put it into quotes";
            draft.odd.push(odd.to_owned());
        }
        ("commit", value) => draft.commit = word(draft, "countermeasure.commit", value),
        ("config", Value::Bool(config)) => draft.config = *config,
        ("config", _) => draft.odd.push("`countermeasure.config` is true or false".to_owned()),
        (other, _) => {
            let odd = format!("there is no `countermeasure.{other}`; its keys are {MEASURES}");
            draft.odd.push(odd);
        }
    }
}

fn word(draft: &mut Draft, key: &str, value: &Value) -> Option<String> {
    let text = text(value);
    if text.is_none() {
        draft.odd.push(format!("`{key}` is not a text"));
    }
    text
}

/// Sentences may begin with anything: `404 everywhere` is a text, and so is `404`.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_form_is_read() {
        let text =
            "whys: [it died, 404]\nroot: reached\nclass: test-gap\ncountermeasure: { commit: 3f2a9c1, config: true }\n";
        let expected = Draft {
            whys: vec!["it died".into(), "404".into()],
            root: Some("reached".into()),
            class: Some("test-gap".into()),
            commit: Some("3f2a9c1".into()),
            config: true,
            odd: vec![],
        };
        assert_eq!(draft(text), Ok(expected));
    }

    #[test]
    fn unknown_keys_are_reported() {
        let text = "why: x\nwhys: [{a: b}]\nroot: []\ncountermeasure: { commit: 1234567, config: maybe, test: x }\n";
        insta::assert_snapshot!(draft(text).unwrap().odd.join("\n"), @r"
        there is no `why` in a form; its keys are whys, root, class, countermeasure
        `whys[0]` is not a text
        `root` is not a text
        `countermeasure.commit` reads as a number: put it into quotes
        `countermeasure.config` is true or false
        there is no `countermeasure.test`; its keys are commit, config
        ");
        assert_eq!(
            draft("- a\n").unwrap().odd,
            ["a form has the keys whys, root, class, countermeasure"]
        );
        assert_eq!(draft("").unwrap(), Draft::default());
        assert_eq!(
            draft("whys:\nclass:\ncountermeasure: { commit: , config: }\n").unwrap(),
            Draft::default()
        );
        assert!(draft("whys: [").is_err());
    }
}
