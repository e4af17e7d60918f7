//! Random versions, compared by apk and by us.

use crate::case::tools;
use crate::universe::Dice;
use lowtide_packages::families::apk::version::{compare, is_valid};
use std::cmp::Ordering;
use std::process::Command;

#[test]
#[ignore = "needs apk: see main.rs"]
fn versions_are_ordered_as_by_apk() {
    let newest = tools().pop().unwrap();
    let mut dice = Dice(7);
    let mut wrong = Vec::new();
    let mut equal = 0;
    for _ in 0..4000 {
        let a = version(&mut dice);
        // Similar versions find more errors.
        let b = if dice.one_in(3) {
            version(&mut dice)
        } else {
            changed(&a, &mut dice)
        };
        let said = Command::new(&newest).args(["version", "-t", &a, &b]).output().unwrap();
        let ours = match compare(&a, &b) {
            Ordering::Less => "<",
            Ordering::Equal => "=",
            Ordering::Greater => ">",
        };
        let theirs = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let valid = is_valid(&a) && is_valid(&b);
        equal += usize::from(valid && ours == "=");
        if theirs != if valid { ours } else { "" } {
            wrong.push(format!("{a} {theirs} {b}, we {ours}"));
        }
    }
    assert!(equal > 20, "{equal}");
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

fn version(dice: &mut Dice) -> String {
    let mut text = number(dice);
    while dice.one_in(2) {
        text += &format!(".{}", number(dice));
    }
    if dice.one_in(5) {
        text += ["a", "b", "z"][dice.below(3)];
    }
    while dice.one_in(4) {
        text += [
            "_alpha", "_beta", "_pre", "_rc", "_cvs", "_svn", "_git", "_hg", "_p", "_x", "_",
        ][dice.below(11)];
        if dice.one_in(2) {
            text += &number(dice);
        }
    }
    if dice.one_in(6) {
        text += ["~12", "~12ab", "~f", "~"][dice.below(4)];
    }
    if dice.one_in(2) {
        text += &format!("-r{}", number(dice));
    }
    text
}

fn number(dice: &mut Dice) -> String {
    ["0", "1", "2", "10", "01", "001", "02", "20240101"][dice.below(8)].to_owned()
}

fn changed(text: &str, dice: &mut Dice) -> String {
    let at = dice.below(text.len());
    match dice.below(4) {
        0 => text[..at].to_owned() + &number(dice) + &text[at + 1..],
        1 => text[..=at].to_owned(),
        2 => text[..=at].to_owned() + &number(dice) + &text[at + 1..],
        _ => format!("{text}{}", ["-r1", ".0", "_p1", "_rc", "a"][dice.below(5)]),
    }
}
