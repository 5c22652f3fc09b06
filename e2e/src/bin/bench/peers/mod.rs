//! Countersign beside what somebody would write instead: workers of the same flow in Python and TypeScript
//! (`e2e/peers`), small, and with their SDKs' default settings.
//!
//! They take turns, each time with a server of their own that has no other data, so that whatever else the
//! machine does meets all of them. Absolute figures are those of one machine and of a development server with
//! one SQLite connection; ratios are of measurements in the same round.
//!
//! What is the same for all: the submission, the number of approvals and of calls in flight, one vote for each
//! approval, sent without the signaler, and a warm-up. What is not: Countersign checks a signature of each vote,
//! seals and signs the outcome, updates search attributes, and writes mails to files; its peers have a third
//! activity where it has local ones, and only put their mails' text together.

mod contender;
mod run;
mod table;

use std::process::Command;

use anyhow::{Result, ensure};
use countersign_e2e::tool;

pub(crate) use contender::Contender;
use run::Figures;

use crate::usage;

/// Measures each contender in each round, and prints a table. Without any named, all are compared that are
/// installed.
pub(crate) async fn compare(
    rounds: usize,
    contenders: &[Contender],
    at_once: &[usize],
) -> Result<()> {
    ensure!(rounds > 0 && !at_once.is_empty(), "there is nothing to measure");
    let contenders = installed(contenders);
    let load = usage::load()?;
    let mut measured = vec![Vec::new(); contenders.len()];
    for round in 1..=rounds {
        // Each begins a round in turn.
        for turn in 0..contenders.len() {
            let which = (round - 1 + turn) % contenders.len();
            let contender = contenders[which];
            let mut figures = Vec::new();
            for &approvals in at_once {
                eprintln!("Round {round} of {rounds}: {contender}, {approvals} at once ...");
                let figure = run::measure(contender, approvals).await?;
                eprintln!("  {figure:.1?}");
                figures.push(figure);
            }
            measured[which].push(figures);
        }
    }
    println!("{}", table::markdown(&contenders, at_once, &measured));
    println!(
        "Medians of {rounds} rounds, ratios within rounds; {} processors, load {load} before; {}.",
        std::thread::available_parallelism()?,
        version()?
    );
    Ok(())
}

/// As `temporal --version` prints it.
fn version() -> Result<String> {
    let version = Command::new(tool("temporal")).arg("--version").output()?.stdout;
    Ok(String::from_utf8(version)?.trim().to_owned())
}

fn installed(contenders: &[Contender]) -> Vec<Contender> {
    let all = if contenders.is_empty() { &Contender::ALL } else { contenders };
    let is_installed = |contender: &&Contender| match contender.missing() {
        Some(missing) => {
            eprintln!("{contender} is left out: {missing}. `scripts/tools bench` installs it.");
            false
        }
        None => true,
    };
    all.iter().filter(is_installed).copied().collect()
}
