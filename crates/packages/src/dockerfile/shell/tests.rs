use super::reader::read;
use super::tree::{Join, List, Piece, What, Word};
use proptest::prelude::*;

fn words(word: &Word) -> String {
    word.iter()
        .map(|piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Quoted(text) => format!("‹{text}›"),
            Piece::Variable { name, .. } => format!("${name}"),
            Piece::Commands { script, .. } => format!("$({})", list(&script.list)),
            Piece::Unknown { .. } => "?".to_owned(),
        })
        .collect()
}

fn what(it: &What) -> String {
    match it {
        What::Simple(simple) => {
            let assigned = simple.assignments.iter().map(|(name, _)| format!("{name}="));
            let all: Vec<String> = assigned.chain(simple.words.iter().map(words)).collect();
            all.join("·")
        }
        What::Group(inner) => format!("{{ {} }}", list(inner)),
        What::Subshell(inner) => format!("( {} )", list(inner)),
        What::If { arms, otherwise } => {
            let arms: Vec<String> = arms
                .iter()
                .map(|(test, body)| format!("{} ? {}", list(test), list(body)))
                .collect();
            let otherwise = otherwise
                .as_ref()
                .map(|body| format!(" else {}", list(body)))
                .unwrap_or_default();
            format!("if {}{otherwise}", arms.join(" elif "))
        }
        What::Loop { condition, body } => format!("while {} do {}", list(condition), list(body)),
        What::For { name, words: all, body } => {
            let all: Vec<String> = all.iter().map(words).collect();
            format!("for {name} in {} do {}", all.join(" "), list(body))
        }
        What::Case { subject, arms } => {
            let arms: Vec<String> = arms.iter().map(list).collect();
            format!("case {} {}", words(subject), arms.join(" | "))
        }
        What::Function { name, body } => format!("{name}() {}", what(&body.what)),
        What::Test(all) => format!("test {}", all.iter().map(words).collect::<Vec<_>>().join(" ")),
    }
}

fn list(list: &List) -> String {
    let items = list.0.iter().map(|item| {
        let pipeline = |it: &super::tree::Pipeline| {
            let commands: Vec<String> = it.commands.iter().map(|command| what(&command.what)).collect();
            format!("{}{}", if it.negated { "! " } else { "" }, commands.join(" | "))
        };
        let mut text = pipeline(&item.first);
        for (join, next) in &item.rest {
            text += match join {
                Join::And => " && ",
                Join::Or => " || ",
            };
            text += &pipeline(next);
        }
        if item.background { text + " &" } else { text }
    });
    items.collect::<Vec<_>>().join("; ")
}

fn shown(text: &str) -> String {
    read(text).map_or_else(|why| format!("! {why}"), |script| list(&script.list))
}

const TEXTS: &[&str] = &[
    "set -eux; apt-get update && \\\n apt-get install -y 'a b' \"c\"d # why\nx",
    "if [ -e /x ]; then apk add y; elif a; then b; else c; fi || true",
    "(cd /tmp; $(which make) all) && { a; b; }",
    "for p in a \"$B\" c*; do echo ${p:-d}; done; while read x; do y; done < /f",
    "case \"$A\" in x|y) a;; (z) b ;; *) c; esac",
    "f() { a; }; function g { b; }; f-x() ( c )",
    "A=1 B=\"$C\" cmd >/dev/null 2>&1 & ! a | b || c",
    "cat <<EOF | sh -s && d\nrm $x\nEOF\ne",
    "x=`uname -r`; echo $((1 + 2)) $(( $x )) ${x#a} ${#x}",
    "echo \"`echo \\\"a b\\\"`\" `echo \\\"a b\\\"`",
    "[[ -n $A && ( $B == x* ) ]] && apt",
    "diff <(a) <(b; c)",
    "echo a#b '#c' \\# # d",
    "a=(x y\n z) b[1]=c d",
    "echo \"$(echo \"$(echo x)\")\"",
    "a;\n\n;b",
    "a; ;; b",
    "if a; then b",
    "echo 'open",
    "a | | b",
    "(a",
    "a)",
    "$(a",
    "cat <<EOF\nx",
];

#[test]
fn no_command_is_a_text_too() {
    assert_eq!((shown(""), shown("# only\n\n")), (String::new(), String::new()));
}

#[test]
fn texts_are_reported_apart() {
    let shown = |text: &&str| format!("{text:?}\n  {}", shown(text));
    let table: Vec<String> = TEXTS.iter().map(shown).collect();
    insta::assert_snapshot!(table.join("\n"), @r##"
    "set -eux; apt-get update && \\\n apt-get install -y 'a b' \"c\"d # why\nx"
      set·-eux; apt-get·update && apt-get·install·-y·‹a b›·‹c›d; x
    "if [ -e /x ]; then apk add y; elif a; then b; else c; fi || true"
      if [·-e·/x·] ? apk·add·y elif a ? b else c || true
    "(cd /tmp; $(which make) all) && { a; b; }"
      ( cd·/tmp; $(which·make)·all ) && { a; b }
    "for p in a \"$B\" c*; do echo ${p:-d}; done; while read x; do y; done < /f"
      for p in a ‹›$B c* do echo·$p; while read·x do y
    "case \"$A\" in x|y) a;; (z) b ;; *) c; esac"
      case ‹›$A a | b | c
    "f() { a; }; function g { b; }; f-x() ( c )"
      f() { a }; g() { b }; f-x() ( c )
    "A=1 B=\"$C\" cmd >/dev/null 2>&1 & ! a | b || c"
      A=·B=·cmd &; ! a | b || c
    "cat <<EOF | sh -s && d\nrm $x\nEOF\ne"
      cat | sh·-s && d; e
    "x=`uname -r`; echo $((1 + 2)) $(( $x )) ${x#a} ${#x}"
      x=; echo·?·?·$x·?
    "echo \"`echo \\\"a b\\\"`\" `echo \\\"a b\\\"`"
      echo·‹›$(echo·‹a b›)·$(echo·‹"›a·b‹"›)
    "[[ -n $A && ( $B == x* ) ]] && apt"
      test -n $A $B == x* && apt
    "diff <(a) <(b; c)"
      diff·$(a)·$(b; c)
    "echo a#b '#c' \\# # d"
      echo·a#b·‹#c›·‹#›
    "a=(x y\n z) b[1]=c d"
      a=·b=·d
    "echo \"$(echo \"$(echo x)\")\""
      echo·‹›$(echo·‹›$(echo·x))
    "a;\n\n;b"
      ! its shell syntax is not understood
    "a; ;; b"
      ! its shell syntax is not understood
    "if a; then b"
      ! its shell syntax is not understood
    "echo 'open"
      ! its shell syntax is not understood
    "a | | b"
      ! its shell syntax is not understood
    "(a"
      ! its shell syntax is not understood
    "a)"
      ! its shell syntax is not understood
    "$(a"
      ! its shell syntax is not understood
    "cat <<EOF\nx"
      ! its shell syntax is not understood
    "##);
}

#[test]
fn deep_and_long_texts_are_refused() {
    assert_eq!(shown(&"(".repeat(5000)), "! it is too long or nests too deep");
    assert_eq!(shown(&"$(".repeat(5000)), "! it is too long or nests too deep");
    assert_eq!(shown(&"${a:-".repeat(5000)), "! it is too long or nests too deep");
    assert_eq!(shown(&"if ".repeat(5000)), "! it is too long or nests too deep");
    assert_eq!(shown(&"x ".repeat(200_000)), "! it is too long or nests too deep");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\u{e9}]{0,60}") {
        let _ = read(&text);
    }

    #[test]
    fn texts_of_shell_signs_are_read_or_refused(pieces in prop::collection::vec(prop::sample::select(vec![
        "a", " ", "\n", ";", "&&", "||", "|", "&", "(", ")", "{", "}", "if ", "then ", "fi", "do ", "done", "for x in ", "case ",
        "esac", " in ", ";;", "$(", "${", "`", "'", "\"", "\\", "<<E\n", "E\n", ">", "<", "$((", "))", "#", "!", "x()", "[[ ", " ]]", "=",
    ]), 0..24)) {
        let _ = read(&pieces.concat());
    }
}
