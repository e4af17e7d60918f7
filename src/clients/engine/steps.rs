//! Which line of the Dockerfile a builder is talking about. Builders name their steps; people want the line.

/// An instruction of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// First line, counted from 1.
    pub line: u32,
    /// In capitals.
    pub keyword: String,
    /// The whole instruction on one line.
    pub text: String,
    /// Counted from 0; `None` before the first FROM.
    stage: Option<usize>,
    /// FROM of an image that no earlier stage makes.
    external: bool,
}

/// A Dockerfile, cut into instructions. Reads what is broken too: whatever cannot be placed has no line.
#[derive(Debug, Default)]
pub struct Steps {
    steps: Vec<Step>,
    /// Names of the stages, lower case.
    stages: Vec<Option<String>>,
}

impl Steps {
    #[must_use]
    pub fn parse(dockerfile: &str) -> Self {
        let lines: Vec<&str> = dockerfile.lines().collect();
        let escape = escape(&lines);
        let mut all = Self::default();
        let mut at = 0;
        while at < lines.len() {
            let first = at;
            let mut text = String::new();
            while let Some(line) = lines.get(at) {
                at += 1;
                let line = line.trim();
                // Comments and empty lines inside a continued instruction are skipped, as Docker's parser does.
                if line.is_empty() || line.starts_with('#') {
                    if text.is_empty() {
                        break;
                    }
                    continue;
                }
                if !text.is_empty() {
                    text.push(' ');
                }
                let Some(more) = line.strip_suffix(escape) else {
                    text.push_str(line);
                    break;
                };
                text.push_str(more.trim_end());
            }
            if !text.is_empty() {
                at = after_heredocs(&text, &lines, at);
                all.push(first, text);
            }
        }
        all
    }

    /// The step BuildKit calls `[stage-1 2/3] RUN …`; its text there has variables filled in, so the number decides.
    #[must_use]
    pub fn buildkit(&self, vertex: &str) -> Option<&Step> {
        let (label, text) = vertex.strip_prefix('[')?.split_once("] ")?;
        let keyword = text.split_whitespace().next()?;
        let words: Vec<&str> = label.split_whitespace().collect();
        let (count, names) = words.split_last()?;
        let number: usize = count.split_once('/')?.0.parse().ok()?;
        let stage = names
            .last()
            .filter(|name| !name.contains('/'))
            .map_or(Some(0), |name| self.stage(name));
        // What BuildKit's dockerfile2llb counts: the base image when it is one, and what makes a layer.
        let counted = |step: &&Step| {
            step.stage == stage
                && match step.keyword.as_str() {
                    "FROM" => step.external,
                    "RUN" | "COPY" | "ADD" | "WORKDIR" => true,
                    _ => false,
                }
        };
        let numbered = self.steps.iter().filter(counted).nth(number.checked_sub(1)?);
        numbered
            .filter(|step| step.keyword == keyword)
            .or_else(|| self.worded(text))
    }

    /// The step the classic builder calls `Step 3/7 : RUN …`.
    #[must_use]
    pub fn classic(&self, number: usize, text: &str) -> Option<&Step> {
        let keyword = text.split_whitespace().next()?;
        let numbered = self.steps.get(number.checked_sub(1)?);
        numbered
            .filter(|step| step.keyword.eq_ignore_ascii_case(keyword))
            .or_else(|| self.worded(text))
    }

    /// The instruction that begins at or before `line` and reaches it.
    #[must_use]
    pub fn at_line(&self, line: u32) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.line <= line)
    }

    /// The first instruction that names this image.
    #[must_use]
    pub fn naming(&self, image: &str) -> Option<&Step> {
        let short = image.strip_prefix("docker.io/").unwrap_or(image);
        let short = short.strip_prefix("library/").unwrap_or(short);
        let short = short.strip_suffix(":latest").unwrap_or(short);
        self.steps.iter().find(|step| step.text.contains(short))
    }

    fn worded(&self, text: &str) -> Option<&Step> {
        let squeezed = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let wanted = squeezed(text);
        self.steps.iter().find(|step| squeezed(&step.text) == wanted)
    }

    fn stage(&self, name: &str) -> Option<usize> {
        let named = self.stages.iter().position(|stage| stage.as_deref() == Some(name));
        named.or_else(|| name.strip_prefix("stage-")?.parse().ok())
    }

    fn push(&mut self, line: usize, text: String) {
        let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let mut external = false;
        if keyword == "FROM" {
            let words: Vec<String> = text
                .split_whitespace()
                .skip(1)
                .filter(|w| !w.starts_with("--"))
                .map(str::to_ascii_lowercase)
                .collect();
            let base = words.first().cloned().unwrap_or_default();
            external = base != "scratch" && !self.stages.iter().any(|name| name.as_deref() == Some(base.as_str()));
            let name = words
                .get(1)
                .filter(|word| *word == "as")
                .and_then(|_| words.get(2))
                .cloned();
            self.stages.push(name);
        }
        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
        self.steps.push(Step {
            line,
            keyword,
            text,
            stage: self.stages.len().checked_sub(1),
            external,
        });
    }
}

/// The escape directive stands among the first comments (Dockerfile reference, "Parser directives").
fn escape(lines: &[&str]) -> char {
    let directives = lines.iter().map_while(|line| line.trim().strip_prefix('#'));
    for directive in directives {
        if let Some((key, value)) = directive.split_once('=')
            && key.trim().eq_ignore_ascii_case("escape")
        {
            return value.trim().chars().next().unwrap_or('\\');
        }
    }
    '\\'
}

/// The index of the first line after the here-documents that `text` opens. One that never ends is none.
fn after_heredocs(text: &str, lines: &[&str], mut at: usize) -> usize {
    let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return at;
    }
    for opening in text.split("<<").skip(1) {
        let opening = opening
            .strip_prefix('-')
            .unwrap_or(opening)
            .trim_start_matches(['"', '\'']);
        let word: String = opening
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if word.is_empty() {
            continue;
        }
        if let Some(length) = lines
            .get(at..)
            .and_then(|rest| rest.iter().position(|line| line.trim() == word))
        {
            at += length + 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERFILE: &str = r#"# syntax=docker/dockerfile:1
ARG BASE=debian:12
FROM $BASE AS Build
ENV A=1
RUN echo one \
  # a comment inside
  && echo two
WORKDIR /src

RUN <<EOF
FROM inside a here-document
EOF
COPY . /src
FROM scratch
COPY --from=build /src /src
FROM build
RUN false
"#;

    #[test]
    fn buildkit_names_lead_to_lines() {
        let steps = Steps::parse(DOCKERFILE);
        for (vertex, line) in [
            ("[build 1/5] FROM docker.io/library/debian:12@sha256:00", Some(3)),
            ("[build 2/5] RUN echo one   && echo two", Some(5)),
            ("[build 3/5] WORKDIR /src", Some(8)),
            ("[linux/amd64 build 4/5] RUN <<EOF (FROM inside...)", Some(10)),
            ("[build  5/5] COPY . /src", Some(13)),
            ("[stage-1 1/1] COPY --from=build /src /src", Some(15)),
            ("[stage-2 1/1] RUN false", Some(17)),
            ("[stage-9 1/1] RUN false", Some(17)),
            ("[build 1/5] RUN something else", None),
            ("[internal] load build context", None),
            ("exporting to image", None),
        ] {
            assert_eq!(steps.buildkit(vertex).map(|step| step.line), line, "{vertex}");
        }
    }

    #[test]
    fn classic_steps_lead_to_lines() {
        let steps = Steps::parse("ARG A\nFROM a:1\n\nENV X=1 \\\n Y=2\nRUN false\n");
        assert_eq!(steps.classic(1, "ARG A").map(|step| step.line), Some(1));
        assert_eq!(steps.classic(4, "RUN false").map(|step| step.line), Some(6));
        assert_eq!(
            steps.classic(2, "RUN false").map(|step| step.line),
            Some(6),
            "numbers of one stage (Podman)"
        );
        assert_eq!(
            steps.classic(9, "LABEL x=y").map(|step| step.line),
            None,
            "added by the engine"
        );
    }

    #[test]
    fn another_escape_and_a_broken_end() {
        let steps = Steps::parse("# escape=`\nFROM a\nRUN one `\n two\nRUN three \\\n");
        assert_eq!(steps.buildkit("[2/3] RUN one  two").map(|step| step.line), Some(3));
        assert_eq!(steps.buildkit("[3/3] RUN three \\").map(|step| step.line), Some(5));
        assert_eq!(
            Steps::parse("RUN a <<EOF\nRUN b\n")
                .at_line(2)
                .map(|step| step.text.as_str()),
            Some("RUN b")
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(?s).{0,200}", vertex in "\\[?.{0,40}\\] ?.{0,10}") {
            let steps = Steps::parse(&text);
            let _ = (steps.buildkit(&vertex), steps.classic(1, &vertex), steps.at_line(1), steps.naming(&vertex));
        }
    }
}
