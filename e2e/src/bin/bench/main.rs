//! What Countersign costs: over the Temporal calls that it needs, and beside the same flow written with
//! another SDK. Prints tables in Markdown.

mod peers;
mod product;
mod scale;
mod usage;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::peers::Contender;

#[derive(Parser)]
struct Arguments {
    /// What to measure; everything by default.
    #[arg(value_enum)]
    part: Option<Part>,
    /// How often each contender is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Who is compared; everybody by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// How many approvals are started and then decided at once.
    #[arg(long, value_delimiter = ',', default_values_t = [500, 1_500])]
    at_once: Vec<usize>,
    /// With how many approvals waiting clicks are measured, in rising order; only with the part `scale`.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 50_000])]
    waiting: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Countersign beside the Temporal calls that it needs.
    Product,
    /// Countersign beside workers of the same flow in Python and TypeScript.
    Peers,
    /// Countersign with many approvals waiting, which takes an hour. Only by itself.
    Scale,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build: the figures say little. Use `make bench`.");
    }
    if arguments.part == Some(Part::Scale) {
        return scale::measure(&arguments.waiting).await;
    }
    if arguments.part != Some(Part::Peers) {
        product::measure().await?;
    }
    if arguments.part != Some(Part::Product) {
        peers::compare(arguments.rounds, &arguments.contenders, &arguments.at_once).await?;
    }
    Ok(())
}
