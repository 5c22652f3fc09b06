//! The comparison as a table in Markdown.

use std::fmt::Write;

use super::{Contender, Figures};

/// A figure's name, its decimals, and where it stands. `{}` in the name is how many approvals were decided at
/// once.
struct Row {
    name: &'static str,
    decimals: usize,
    figure: fn(&Figures) -> f64,
    wanted: Wanted,
    /// Whether it is the same however many are decided at once.
    once: bool,
}

/// What is wanted of the first contender's figure.
#[derive(Clone, Copy)]
enum Wanted {
    AtMost(f64),
    /// At most this part of the figure in TypeScript.
    OfTypeScript(f64),
    /// At least as much as each of the others has.
    Best,
}

const ROWS: [Row; 8] = [
    Row {
        wanted: Wanted::OfTypeScript(0.4),
        ..row("worker's processor time, {} at once, ms", 1, |figures| figures.worker_cpu)
    },
    Row {
        wanted: Wanted::OfTypeScript(1.0),
        ..row("server's processor time, {} at once, ms", 1, |figures| figures.server_cpu)
    },
    Row {
        wanted: Wanted::Best,
        ..row("decided and closed a second, {} at once", 1, |figures| figures.decided_per_second)
    },
    row("workflow tasks timed out, {} at once", 0, |figures| figures.timed_out_tasks),
    Row {
        wanted: Wanted::AtMost(70.0),
        ..row("worker's memory, peak, {} at once, MB", 0, |figures| figures.peak_memory)
    },
    Row {
        wanted: Wanted::AtMost(28.0),
        once: true,
        ..row("events in the history", 1, |figures| figures.events)
    },
    Row {
        wanted: Wanted::OfTypeScript(1.1),
        once: true,
        ..row("bytes in the history", 0, |figures| figures.bytes)
    },
    Row {
        wanted: Wanted::AtMost(4.0),
        once: true,
        ..row("workflow tasks", 1, |figures| figures.workflow_tasks)
    },
];

const fn row(name: &'static str, decimals: usize, figure: fn(&Figures) -> f64) -> Row {
    Row { name, decimals, figure, wanted: Wanted::AtMost(0.0), once: false }
}

impl Wanted {
    /// What is wanted, and whether it is reached: `ratios` are those to the other contenders.
    fn judge(self, figure: f64, ratios: &[(Contender, f64)]) -> String {
        let (wanted, reached) = match self {
            Wanted::AtMost(most) => (format!("at most {most}"), Some(figure <= most)),
            Wanted::OfTypeScript(part) => {
                let ratio = ratios.iter().find(|(other, _)| *other == Contender::TypeScript);
                let reached = ratio.map(|(_, ratio)| *ratio <= part);
                (format!("at most {part:.1} of {}", Contender::TypeScript), reached)
            }
            Wanted::Best => {
                let reached = ratios.iter().all(|(_, ratio)| *ratio >= 1.0);
                ("at least the best".to_owned(), (!ratios.is_empty()).then_some(reached))
            }
        };
        let reached = match reached {
            Some(true) => "reached",
            Some(false) => "missed",
            None => "not compared",
        };
        format!("{wanted}: {reached}")
    }
}

/// `measured` has the figures by contender, round and size. The first contender is compared with the others.
pub(super) fn markdown(
    contenders: &[Contender],
    at_once: &[usize],
    measured: &[Vec<Vec<Figures>>],
) -> String {
    let mut table = "| one approval |".to_owned();
    for contender in contenders {
        let _ = write!(table, " {contender} |");
    }
    for contender in contenders.iter().skip(1) {
        let _ = write!(table, " to {contender} |");
    }
    let columns = 2 * contenders.len() - 1;
    let _ = writeln!(table, " wanted |\n| --- |{} --- |", " ---: |".repeat(columns));
    for Row { name, decimals, figure, wanted, once } in &ROWS {
        let sizes = if *once { &at_once[..1] } else { at_once };
        for (size, approvals) in sizes.iter().enumerate() {
            let values: Vec<Vec<f64>> = measured
                .iter()
                .map(|rounds| rounds.iter().map(|sizes| figure(&sizes[size])).collect())
                .collect();
            let _ = write!(table, "| {} |", name.replace("{}", &grouped(*approvals)));
            for values in &values {
                let _ = write!(table, " {:.decimals$} |", median(values.clone()));
            }
            let ratio = |(other, theirs): (&Contender, &Vec<f64>)| {
                let ratios = values[0].iter().zip(theirs).map(|(ours, theirs)| ours / theirs);
                (*other, median(ratios.collect()))
            };
            let ratios: Vec<_> = contenders.iter().zip(&values).skip(1).map(ratio).collect();
            for (_, ratio) in &ratios {
                match ratio.is_finite() {
                    true => write!(table, " {ratio:.2} |"),
                    false => write!(table, " |"),
                }
                .expect("a string takes everything");
            }
            let _ = writeln!(table, " {} |", wanted.judge(median(values[0].clone()), &ratios));
        }
    }
    table
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// With a comma before the thousands.
fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}
