//! Small random repositories and images: enough of everything that decides, little enough to read.

use crate::case::Case;
use std::fmt::Write as _;

/// Numbers that are the same for the same seed (xorshift64*).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % limit
    }

    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// What each kind of world has: rarely everything at once, or nothing could ever be installed.
struct Habits {
    versions: bool,
    conflicts: bool,
    virtuals: bool,
    install_if: bool,
    tags: bool,
    broken: bool,
}

pub(crate) fn world(seed: u64) -> Case {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.below(2);
    }
    let habits = Habits {
        versions: dice.one_in(2),
        conflicts: dice.one_in(4),
        virtuals: dice.one_in(2),
        install_if: dice.one_in(3),
        tags: dice.one_in(4),
        broken: dice.one_in(6),
    };
    let count = 3 + dice.below(6);
    let mut serial = seed * 1000;
    let before = repository(&mut dice, &habits, count, 1, &mut serial);
    let mut repositories = vec![(None, repository(&mut dice, &habits, count, 2, &mut serial))];
    if dice.one_in(2) {
        repositories.push((None, before.clone()));
    }
    if dice.one_in(3) {
        let tag = habits.tags.then(|| "edge".to_owned());
        let base = 2 + dice.below(2);
        repositories.push((tag, repository(&mut dice, &habits, count, base, &mut serial)));
    }
    let tagged = repositories.iter().any(|(tag, _)| tag.is_some());
    let mut wishes = String::new();
    for name in &NAMES[..count] {
        if dice.one_in(3) {
            let tag = if tagged && dice.one_in(2) { "@edge" } else { "" };
            let limit = if habits.versions && dice.one_in(4) {
                dice.pick(&["<2", "=1.1", "~1", ">1", ">=2", "=9"])
            } else {
                ""
            };
            writeln!(wishes, "{name}{tag}{limit}").unwrap();
        }
    }
    if habits.virtuals && dice.one_in(3) {
        wishes += dice.pick(&["v\n", "w\n", "so:x\n"]);
    }
    if habits.conflicts && dice.one_in(3) {
        wishes += dice.pick(&["!b\n", "!c<2\n", "!v\n"]);
    }
    let mut case = Case {
        world: wishes,
        installed: String::new(),
        repositories: vec![(None, before.clone())],
    };
    case.installed = match case.pending() {
        // What the image was made of, when it had the packages of then.
        Ok(pending) if !dice.one_in(5) => {
            let there = |entry: &&str| {
                pending
                    .new
                    .iter()
                    .any(|it| entry.contains(&format!("\nP:{}\nV:{}\n", it.package, it.candidate)))
            };
            before.split_inclusive("\n\n").filter(there).collect()
        }
        Ok(_) | Err(_) => some(&mut dice, &before),
    };
    if dice.one_in(6) {
        case.installed = case.installed.replacen("\nI:1\n", "\nI:1\ns:edge\n", 1);
    }
    case.repositories = repositories;
    case
}

/// Any packages, one of each name.
fn some(dice: &mut Dice, repository: &str) -> String {
    let mut names = Vec::new();
    let mut found = String::new();
    for entry in repository.split_inclusive("\n\n") {
        let name = entry.lines().find(|line| line.starts_with("P:")).unwrap();
        if dice.one_in(2) && !names.contains(&name) {
            names.push(name);
            found += entry;
        }
    }
    found
}

fn repository(dice: &mut Dice, habits: &Habits, count: usize, base: usize, serial: &mut u64) -> String {
    let mut text = String::new();
    for at in 0..count {
        if dice.one_in(8) {
            continue;
        }
        for minor in 0..=dice.below(2) {
            package(dice, habits, count, at, &format!("{base}.{minor}"), serial, &mut text);
        }
    }
    text
}

fn package(
    dice: &mut Dice,
    habits: &Habits,
    count: usize,
    at: usize,
    version: &str,
    serial: &mut u64,
    text: &mut String,
) {
    *serial += 1;
    // A checksum is the base64 of 20 bytes.
    writeln!(
        text,
        "C:Q1{:0>27}=\nP:{}\nV:{version}\nA:x86_64\nS:1",
        format!("{serial}A"),
        NAMES[at]
    )
    .unwrap();
    writeln!(text, "I:{}", u8::from(!dice.one_in(12))).unwrap();
    if habits.virtuals && dice.one_in(4) {
        writeln!(text, "k:{}", 10 * dice.below(3)).unwrap();
    }
    let mut depends = Vec::new();
    for other in NAMES.iter().take(count).skip(at + 1) {
        if dice.one_in(3) {
            let limit = match (habits.versions, dice.below(8)) {
                (true, 0) => format!("={version}"),
                (true, 1) => format!(">={version}"),
                (true, 2) => format!("~{}", &version[..1]),
                (true, 3) => "<3".to_owned(),
                _ => String::new(),
            };
            depends.push(format!("{other}{limit}"));
        }
    }
    if habits.conflicts && dice.one_in(8) {
        depends.push(format!("!{}", NAMES[dice.below(count)]));
    }
    if habits.virtuals && dice.one_in(5) {
        depends.push(dice.pick(&["v", "w", "so:x", "so:x>=2"]).to_owned());
    }
    if habits.broken && dice.one_in(12) {
        depends.push("nowhere".to_owned());
    }
    if !depends.is_empty() {
        writeln!(text, "D:{}", depends.join(" ")).unwrap();
    }
    if habits.virtuals && dice.one_in(3) {
        let provided = match dice.below(4) {
            0 => "v".to_owned(),
            1 => "w".to_owned(),
            2 => format!("so:x={version}"),
            _ => format!("cmd:{}={version}", NAMES[at]),
        };
        writeln!(text, "p:{provided}").unwrap();
    }
    if habits.install_if && dice.one_in(4) {
        let other = NAMES[dice.below(count)];
        let limit = if dice.one_in(2) {
            format!("={version}")
        } else {
            String::new()
        };
        let second = if dice.one_in(2) {
            format!(" {}", NAMES[dice.below(count)])
        } else {
            String::new()
        };
        writeln!(text, "i:{other}{limit}{second}").unwrap();
    }
    text.push('\n');
}
