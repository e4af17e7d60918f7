//! dpkg (dpkg(1)).

use super::apt::hold;
use crate::dockerfile::refresh::program::Call;
use crate::dockerfile::refresh::record::Record;
use crate::dockerfile::refresh::values::Field;

/// What dpkg does without installing.
const QUIET: &[&str] = &[
    "-l",
    "--list",
    "-L",
    "--listfiles",
    "-s",
    "--status",
    "-S",
    "--search",
    "-W",
    "--show",
    "-p",
    "--print-avail",
    "--get-selections",
    "--clear-selections",
    "--print-architecture",
    "--print-foreign-architectures",
    "--add-architecture",
    "--remove-architecture",
    "--compare-versions",
    "--configure",
    "-C",
    "--audit",
    "-V",
    "--verify",
    "-r",
    "--remove",
    "-P",
    "--purge",
    "--version",
    "--help",
    "-c",
    "--contents",
    "-I",
    "--info",
    "-x",
    "--extract",
    "-X",
    "--vextract",
    "-e",
    "--control",
    "-f",
    "--field",
    "--fsys-tarfile",
    "--triggers-only",
];

pub(in crate::families::apt) fn dpkg(call: &Call<'_>, record: &mut Record) {
    let quiet = |word: &Field| word.known().is_some_and(|text| QUIET.contains(&text));
    if call.arguments.iter().any(|word| word.text == "--set-selections") {
        return selections(call, record);
    }
    let installs = call.arguments.iter().any(|word| {
        let bundled = word.text.starts_with('-') && !word.text.starts_with("--") && word.text.contains('i');
        bundled || word.open && word.text.len() < 3 || matches!(word.text.as_str(), "--install" | "--unpack" | "-A")
    });
    if installs || !call.arguments.iter().any(quiet) {
        record.doubt("dpkg installs a package file");
    }
}

/// `echo "name hold" | dpkg --set-selections`.
fn selections(call: &Call<'_>, record: &mut Record) {
    let Some(text) = call.piped else {
        return record.doubt("it is not known which packages are held");
    };
    for line in text.lines() {
        if let [name, "hold"] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let name = name.to_owned();
            hold(
                record,
                &[Field {
                    text: name,
                    open: false,
                }],
            );
        }
    }
}
