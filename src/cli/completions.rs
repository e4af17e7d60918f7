//! `lowtide completions`, and the man pages: both are made from the arguments themselves, so that they never say less.

use super::args::Arguments;
use super::exit::Exit;
use super::live;
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

pub(super) fn print(shell: Shell) -> anyhow::Result<Exit> {
    live::print(&String::from_utf8(script(shell)).context("the completions are no text")?);
    Ok(Exit::Done)
}

pub(super) fn man_pages(directory: &Path) -> anyhow::Result<Exit> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    for page in shown.chain([&command]) {
        clap_mangen::Man::new(page.clone())
            .source(concat!("lowtide ", env!("CARGO_PKG_VERSION")))
            .manual("lowtide")
            .generate_to(directory)
            .with_context(|| format!("cannot write man pages into {}", directory.display()))?;
    }
    Ok(Exit::Done)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lowtide", &mut text);
    text
}

#[cfg(test)]
#[path = "completions_tests.rs"]
mod tests;
