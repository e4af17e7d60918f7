//! The simple commands of a shell text, as far as package managers are called by it. No shell: what depends on variables,
//! loops or functions stays as it is written.

/// Words of each simple command, quotes taken away. Operators, braces and keywords end a command.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut reader = Reader::default();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (reader.quote, c) {
            (Some('\''), c) if c != '\'' => reader.push(c),
            (Some(quote), c) if c == quote => reader.quote = None,
            (_, '\\') => match characters.next() {
                // A line that goes on.
                Some('\n') | None => {}
                Some(next) => reader.push(next),
            },
            (Some(_), c) => reader.push(c),
            (None, '\'' | '"') => {
                reader.quote = Some(c);
                reader.word.get_or_insert_default();
            }
            (None, '#') if reader.word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            (None, ';' | '&' | '|' | '\n' | '(' | ')' | '`') => reader.end_command(),
            (None, c) if c.is_whitespace() => reader.end_word(),
            (None, c) => reader.push(c),
        }
    }
    reader.end_command();
    reader.commands
}

#[derive(Default)]
struct Reader {
    commands: Vec<Vec<String>>,
    command: Vec<String>,
    word: Option<String>,
    quote: Option<char>,
}

/// Words that begin a command without being one (POSIX.1-2017, XCU §2.4).
const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "{", "}", "time",
];

impl Reader {
    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if self.command.is_empty() && KEYWORDS.contains(&word.as_str()) {
            return;
        }
        self.command.push(word);
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_apart() {
        let text = "set -eux; apt-get update && \\\n apt-get install -y 'a b' \"c\"d # why\n\
            if [ -e /x ]; then apk add y; fi || true\n(cd /tmp; $(which make) all)";
        let shown: Vec<String> = commands(text).iter().map(|words| words.join("·")).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        set·-eux
        apt-get·update
        apt-get·install·-y·a b·cd
        [·-e·/x·]
        apk·add·y
        true
        cd·/tmp
        $
        which·make
        all
        ");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = commands(&text);
        }
    }
}
