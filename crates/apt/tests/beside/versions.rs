//! Versions, compared by dpkg and by us.

use super::universe::Dice;
use lowtide_apt::version::compare;
use std::cmp::Ordering;
use std::process::Command;

/// Pairs that are near each other: equal, one sign apart, or one of them longer. dpkg takes all of them for versions.
pub(crate) fn generated(seed: u64, count: usize) -> Vec<(String, String)> {
    let mut dice = Dice::new(seed);
    (0..count)
        .map(|_| {
            let version = version(&mut dice);
            let other = near(&mut dice, &version);
            (version, other)
        })
        .collect()
}

fn version(dice: &mut Dice) -> String {
    let mut version = String::new();
    if dice.below(5) == 0 {
        version.push_str(&format!("{}:", dice.below(3)));
    }
    version.push_str(&format!("{}{}", dice.below(30), signs(dice, 8)));
    if dice.below(3) > 0 {
        version.push_str(&format!("-{}{}", dice.below(3), signs(dice, 5)));
    }
    version
}

/// What a version may have after its first digit; a few signs are frequent in real ones.
fn signs(dice: &mut Dice, most: usize) -> String {
    const SIGNS: &[&str] = &[
        "0", "1", "2", "9", "00", "10", ".", ".", "~", "~", "+", "a", "b", "Z", "rc", "deb", "bpo",
    ];
    (0..dice.below(most + 1))
        .map(|_| SIGNS[dice.below(SIGNS.len())])
        .collect()
}

fn near(dice: &mut Dice, version: &str) -> String {
    let (epoch, rest) = version
        .split_once(':')
        .map_or(("", version), |(epoch, rest)| (epoch, rest));
    let mut rest = rest.to_owned();
    for _ in 0..dice.below(3) {
        let at = 1 + dice.below(rest.len());
        // A hyphen stays where it is, and keeps something behind it.
        if rest[at..].starts_with('-') || rest[..at].ends_with('-') {
            continue;
        }
        match dice.below(3) {
            0 if at < rest.len() && !rest[at + 1..].is_empty() && !rest[at + 1..].starts_with('-') => {
                rest.remove(at);
            }
            0 | 1 => rest.insert_str(at, &signs(dice, 1)),
            _ => rest.insert(at, '0'),
        }
    }
    match dice.below(12) {
        0 => format!("0:{rest}"),
        1 => format!("1:{rest}"),
        _ if epoch.is_empty() => rest,
        _ => format!("{epoch}:{rest}"),
    }
}

/// The pairs that we order in another way than dpkg, one line each.
pub(crate) fn ordered_otherwise(pairs: &[(String, String)]) -> Vec<String> {
    let said = |a: &str, operator: &str, b: &str| {
        let run = Command::new("dpkg")
            .args(["--compare-versions", a, operator, b])
            .output()
            .unwrap();
        assert!(run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
        run.status.success()
    };
    let wrong = pairs.iter().filter_map(|(a, b)| {
        let order = compare(a, b);
        let operator = match order {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        (!said(a, operator, b)).then(|| format!("{a} {b}: we say {order:?}"))
    });
    wrong.collect()
}
