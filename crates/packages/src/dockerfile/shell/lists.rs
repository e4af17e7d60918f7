//! Lists, pipelines and compound commands.

use super::reader::{Reader, Unread};
use super::tree::{Command, Item, Join, List, Pipeline, Redirect, Simple, What, Word};
use super::words::is_name;

impl Reader<'_> {
    /// Up to the end, a closing parenthesis, `;;`, or one of these words in the place of a command.
    pub(super) fn list(&mut self, ends: &[&str]) -> Result<List, Unread> {
        self.deeper(|reader| {
            let mut items = Vec::new();
            loop {
                reader.blank_lines()?;
                if reader.at_end() || reader.peek() == Some(')') || reader.peek() == Some(';') || reader.stands_at(ends)
                {
                    return Ok(List(items));
                }
                let mut item = reader.item()?;
                reader.blanks();
                match reader.peek() {
                    Some(';') if reader.peek_at(1) == Some(';') || reader.peek_at(1) == Some('&') => {}
                    Some(';') => {
                        reader.next();
                    }
                    Some('&') => {
                        reader.next();
                        item.background = true;
                    }
                    Some('\n' | ')') | None => {}
                    Some(_) => return Err(Unread::Syntax),
                }
                items.push(item);
            }
        })
    }

    fn stands_at(&self, ends: &[&str]) -> bool {
        self.keyword().is_some_and(|word| ends.contains(&word.as_str()))
    }

    fn item(&mut self) -> Result<Item, Unread> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let join = if self.take("&&") {
                Join::And
            } else if self.take("||") {
                Join::Or
            } else {
                break;
            };
            self.blank_lines()?;
            rest.push((join, self.pipeline()?));
        }
        Ok(Item {
            first,
            rest,
            background: false,
        })
    }

    fn pipeline(&mut self) -> Result<Pipeline, Unread> {
        let mut negated = false;
        self.blanks();
        while self.keyword().as_deref() == Some("!") {
            self.next();
            negated = !negated;
            self.blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.peek_at(1) == Some('|') {
                break;
            }
            self.next();
            self.take("&");
            self.blank_lines()?;
            commands.push(self.command()?);
        }
        Ok(Pipeline { negated, commands })
    }

    fn command(&mut self) -> Result<Command, Unread> {
        let what = self.compound()?;
        let Some(what) = what else {
            return self.simple();
        };
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Command { what, redirects }),
            }
        }
    }

    /// `None`: a simple command comes.
    fn compound(&mut self) -> Result<Option<What>, Unread> {
        if self.take("((") {
            self.arithmetic()?;
            return Ok(Some(What::Test(Vec::new())));
        }
        if self.take("(") {
            let list = self.list(&[])?;
            self.expect(")")?;
            return Ok(Some(What::Subshell(list)));
        }
        let word = self.keyword().unwrap_or_default();
        Ok(Some(match word.as_str() {
            "{" => {
                self.expect("{")?;
                let list = self.list(&["}"])?;
                self.expect("}")?;
                What::Group(list)
            }
            "if" => self.conditional()?,
            "while" | "until" => {
                self.expect(&word)?;
                let condition = self.list(&["do"])?;
                What::Loop {
                    condition,
                    body: self.body()?,
                }
            }
            "for" => self.repetition()?,
            "case" => self.choice()?,
            "[[" => self.test()?,
            "function" => {
                self.expect("function")?;
                self.blanks();
                self.function()?
            }
            "select" | "coproc" | "then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}" => {
                return Err(Unread::Syntax);
            }
            _ if self.defines_function() => self.function()?,
            _ => return Ok(None),
        }))
    }

    fn conditional(&mut self) -> Result<What, Unread> {
        self.expect("if")?;
        let mut arms = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.list(&["elif", "else", "fi"])?));
            if self.take("elif") {
                continue;
            }
            let otherwise = if self.take("else") {
                Some(self.list(&["fi"])?)
            } else {
                None
            };
            self.expect("fi")?;
            return Ok(What::If { arms, otherwise });
        }
    }

    fn body(&mut self) -> Result<List, Unread> {
        self.blank_lines()?;
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn repetition(&mut self) -> Result<What, Unread> {
        self.expect("for")?;
        self.blanks();
        if self.take("((") {
            self.arithmetic()?;
            self.blanks();
            self.take(";");
            let condition = List::default();
            return Ok(What::Loop {
                condition,
                body: self.body()?,
            });
        }
        let name = self.name()?;
        self.blank_lines()?;
        let mut words = Vec::new();
        if self.keyword().as_deref() == Some("in") {
            self.expect("in")?;
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => words.push(word),
                    None => break,
                }
            }
        } else {
            // The arguments of whoever runs this.
            words.push(vec![super::tree::Piece::Unknown { quoted: false }]);
        }
        self.take(";");
        Ok(What::For {
            name,
            words,
            body: self.body()?,
        })
    }

    fn choice(&mut self) -> Result<What, Unread> {
        self.expect("case")?;
        self.blanks();
        let subject = self.word()?.ok_or(Unread::Syntax)?;
        self.blank_lines()?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.blank_lines()?;
            if self.keyword().as_deref() == Some("esac") {
                self.expect("esac")?;
                return Ok(What::Case { subject, arms });
            }
            self.take("(");
            loop {
                self.blanks();
                self.word()?.ok_or(Unread::Syntax)?;
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            self.expect(")")?;
            arms.push(self.list(&["esac"])?);
            // `;;`, and bash's `;&` and `;;&`.
            if self.take(";") && !self.take(";&") && !self.take(";") {
                self.expect("&")?;
            }
        }
    }

    fn test(&mut self) -> Result<What, Unread> {
        self.expect("[[")?;
        let mut words = Vec::new();
        loop {
            self.blank_lines()?;
            if self.keyword().as_deref() == Some("]]") {
                self.expect("]]")?;
                return Ok(What::Test(words));
            }
            match self.word()? {
                Some(word) => words.push(word),
                // Operators.
                None => {
                    self.next().ok_or(Unread::Syntax)?;
                }
            }
        }
    }

    fn defines_function(&mut self) -> bool {
        let start = self.place();
        let named = self.name().is_ok();
        self.blanks();
        let opens = named && self.take("(");
        self.blanks();
        let defines = opens && self.take(")");
        self.go_to(start);
        defines
    }

    fn function(&mut self) -> Result<What, Unread> {
        let name = self.name()?;
        self.blanks();
        if self.take("(") {
            self.blanks();
            self.expect(")")?;
        }
        self.blank_lines()?;
        let body = self.deeper(Self::command)?;
        let body = Box::new(body);
        Ok(What::Function { name, body })
    }

    fn simple(&mut self) -> Result<Command, Unread> {
        let mut simple = Simple::default();
        let mut redirects: Vec<Redirect> = Vec::new();
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
            } else if simple.words.is_empty()
                && let Some(assignment) = self.assignment()?
            {
                simple.assignments.push(assignment);
            } else if let Some(word) = self.word()? {
                simple.words.push(word);
            } else {
                break;
            }
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && redirects.is_empty() {
            return Err(Unread::Syntax);
        }
        let what = What::Simple(simple);
        Ok(Command { what, redirects })
    }

    /// `NAME=word`; an array's value is not looked at.
    fn assignment(&mut self) -> Result<Option<(String, Option<Word>)>, Unread> {
        let start = self.place();
        let Ok(name) = self.name() else {
            self.go_to(start);
            return Ok(None);
        };
        if !is_name(&name) {
            self.go_to(start);
            return Ok(None);
        }
        let subscripted = self.take("[") && {
            while self.peek().is_some_and(|c| c != ']' && c != '\n') {
                self.next();
            }
            self.take("]")
        };
        let adds = self.take("+=");
        if !adds && !self.take("=") {
            self.go_to(start);
            return Ok(None);
        }
        if self.take("(") {
            loop {
                self.blank_lines()?;
                if self.word()?.is_none() {
                    break;
                }
            }
            self.expect(")")?;
            return Ok(Some((name, None)));
        }
        let value = self.word()?.unwrap_or_default();
        Ok(Some((name, (!adds && !subscripted).then_some(value))))
    }
}
