//! The diagrams of `docs/STATES.md` show what happens, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::alphabet::{self, Event};
use crate::approval::{Approval, Stage, Verdict};

const DIAGRAMS: &str = include_str!("../../../docs/STATES.md");

type Arrows = BTreeSet<(String, String)>;

/// Each arrow with how often it was taken.
type Taken = BTreeMap<(String, String), usize>;

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

/// Sequences of all there is to do, the same in each run, whatever the environment says.
fn sample<T>(strategy: impl Strategy<Value = T>, number: usize) -> impl Iterator<Item = T> {
    let random = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    (0..number).map(move |_| strategy.new_tree(&mut runner).expect("a sequence").current())
}

fn add(taken: &mut Taken, before: String, after: String) {
    if before != after {
        *taken.entry((before, after)).or_default() += 1;
    }
}

/// All arrows, none of which is there by luck: else the sample is too small.
fn often(taken: Taken) -> Arrows {
    let rare: Vec<_> = taken.iter().filter(|(_, times)| **times < 10).collect();
    assert!(rare.is_empty(), "{rare:?} of {taken:?}");
    taken.into_keys().collect()
}

fn add_stages(taken: &mut Taken, before: &Approval, after: &Approval) {
    let states = |approval: &Approval| -> Vec<String> {
        approval.stages().iter().map(Stage::state).map(|state| name(&state)).collect()
    };
    for (before, after) in states(before).into_iter().zip(states(after)) {
        add(taken, before, after);
    }
}

/// A deadline passes, perhaps just before somebody wants changes; then every deadline does, and nothing else happens.
fn end(is_sent_back_late: bool) -> Vec<(i64, Event)> {
    let week = 7 * 24 * 60;
    let late = Event::Signal { person: 1, verdict: Verdict::RequestChanges, version: None };
    let late = is_sent_back_late.then_some((0, late));
    let rest = [(0, Event::Ask), (week, Event::Tick)];
    let first = [(0, Event::Ask), (90, Event::Tick)];
    first.into_iter().chain(late).chain(rest.clone()).chain(rest).collect()
}

#[test]
fn the_diagrams_have_the_arrows_that_the_core_takes() {
    let (mut stages, mut approvals) = (Taken::new(), Taken::new());
    for (case, mut events) in sample(alphabet::events(), 1_500).enumerate() {
        events.extend(end(case % 2 == 0));
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
    assert_eq!(often(approvals), drawn("An approval"));
    assert_eq!(often(stages), drawn("A stage"));
}
