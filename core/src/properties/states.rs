//! The diagrams of `docs/STATES.md` show what happens, and nothing else.

use std::{collections::BTreeSet, fmt::Debug};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::alphabet::{self, Event};
use crate::approval::{Approval, Stage};

const DIAGRAMS: &str = include_str!("../../../docs/STATES.md");

type Arrows = BTreeSet<(String, String)>;

/// The arrows of the diagram under this heading, between states.
fn drawn(heading: &str) -> Arrows {
    let (_, section) = DIAGRAMS.split_once(&format!("\n## {heading}\n")).expect("a heading");
    let (_, diagram) = section.split_once("```mermaid\n").expect("a diagram");
    let (diagram, _) = diagram.split_once("```").expect("its end");
    let arrows = diagram.lines().filter_map(|line| line.trim().split_once(" --> "));
    let arrows = arrows.map(|(from, to)| (from, to.split(':').next().unwrap_or_default()));
    let between = arrows.filter(|(from, to)| *from != "[*]" && *to != "[*]");
    between.map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
}

/// The variant of an enum.
fn name(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Sequences of all there is to do, the same in each run.
fn sample<T>(strategy: impl Strategy<Value = T>, number: usize) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::deterministic();
    (0..number).map(move |_| strategy.new_tree(&mut runner).expect("a sequence").current())
}

fn add(arrows: &mut Arrows, before: String, after: String) {
    if before != after {
        arrows.insert((before, after));
    }
}

fn add_stages(arrows: &mut Arrows, before: &Approval, after: &Approval) {
    let states = |approval: &Approval| -> Vec<String> {
        approval.stages().iter().map(Stage::state).map(|state| name(&state)).collect()
    };
    for (before, after) in states(before).into_iter().zip(states(after)) {
        add(arrows, before, after);
    }
}

#[test]
fn the_diagrams_have_the_arrows_that_the_core_takes() {
    let (mut stages, mut approvals) = (Arrows::new(), Arrows::new());
    for (case, events) in sample(alphabet::events(), 1_500).enumerate() {
        alphabet::play(case % 3, &events, |before, after, event, _| {
            if matches!(event, Event::Reset { .. }) {
                return;
            }
            let is_revised = before.versions.len() < after.versions.len();
            let [before, after] = [before, after].map(|world| &world.current().approval);
            add(&mut approvals, name(&before.status()), name(&after.status()));
            if !is_revised {
                add_stages(&mut stages, before, after);
            }
        });
    }
    // Stages of which nobody is there.
    for (plans, mut events, invitations) in
        sample((super::plans(), super::events(), super::invitations()), 500)
    {
        for (at, invitation) in invitations {
            events.insert(at.min(events.len()), (0, invitation));
        }
        super::play(plans, &events, |before, after, _, _| add_stages(&mut stages, before, after));
    }
    assert_eq!(approvals, drawn("An approval"));
    assert_eq!(stages, drawn("A stage"));
}
