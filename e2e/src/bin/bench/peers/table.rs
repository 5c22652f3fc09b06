//! The comparison as a table in Markdown.

use std::fmt::Write;

use super::{Contender, Figures};

/// A figure's name, its decimals, and where it stands. `{}` in the name is how many approvals were decided at
/// once.
struct Row {
    name: &'static str,
    decimals: usize,
    figure: fn(&Figures) -> f64,
    /// Whether it is the same however many are decided at once.
    once: bool,
}

const ROWS: [Row; 8] = [
    row("worker's processor time, {} at once, ms", 1, |figures| figures.worker_cpu),
    row("server's processor time, {} at once, ms", 1, |figures| figures.server_cpu),
    row("decided and closed a second, {} at once", 1, |figures| figures.decided_per_second),
    row("workflow tasks timed out, {} at once", 0, |figures| figures.timed_out_tasks),
    row("worker's memory, peak, {} at once, MB", 0, |figures| figures.peak_memory),
    Row { once: true, ..row("events in the history", 1, |figures| figures.events) },
    Row { once: true, ..row("bytes in the history", 0, |figures| figures.bytes) },
    Row { once: true, ..row("workflow tasks", 1, |figures| figures.workflow_tasks) },
];

const fn row(name: &'static str, decimals: usize, figure: fn(&Figures) -> f64) -> Row {
    Row { name, decimals, figure, once: false }
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
    let _ = writeln!(table, "\n| --- |{}", " ---: |".repeat(columns));
    for Row { name, decimals, figure, once } in &ROWS {
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
            for others in &values[1..] {
                let ratios = values[0].iter().zip(others).map(|(ours, theirs)| ours / theirs);
                let ratio = median(ratios.collect());
                match ratio.is_finite() {
                    true => write!(table, " {ratio:.2} |"),
                    false => write!(table, " |"),
                }
                .expect("a string takes everything");
            }
            table.push('\n');
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
