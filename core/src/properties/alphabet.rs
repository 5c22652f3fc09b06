//! What holds of an approval and all of its versions, for every sequence of all there is to do: with genuine links,
//! proofs and plans, and with resets.

mod checks;
mod possible;

use std::{collections::BTreeSet, sync::LazyLock};

use countersign_protos::{
    Chain, GenuineLink, LinkKey, MAX_REVISIONS, Statement,
    answers::{self, Answers},
    comment_hash, revision_digest,
    v1::{Document, Field, Stage as NamedStage, Submission, Submitter},
};
use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, sample::Index};

use crate::{
    approval::*,
    leaves::{Leaves, SeatOf, begin},
    outcome::outcome,
    policy::{Plan, Policy, schedule},
    revision::{Revision, revise},
    validation::{Routing, validate},
};

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

/// Sue submits. Some are the same person by another address.
const PEOPLE: [&str; 8] = [
    "sue@example.com",
    "ann@example.com",
    "bob@example.com",
    "cy@example.com",
    "dee@example.com",
    "sue+work@example.com",
    "ann+work@example.com",
    "eve@example.com",
];

/// Rules that leave operators everything, the submitter a link from the start, and reviewers to delegate; and rules
/// that do none of that.
const RULES: [&str; 2] = [
    r#"
[operators]
may_decide = true
may_reassign_to = ["example.com"]
may_revise = true

[[rules]]
name = "Large"
when.amount = { EUR = { above = 1 } }
different_people = true
submitter_link = true
changes_within = "90m"
delegate_to = ["example.com"]

[[rules.stages]]
reviewers = ["ann@example.com", "bob@example.com", "cy@example.com"]
quorum = 2
deadline = "1h"
escalate = [{ reviewers = ["dee@example.com"], deadline = "1h" }]

[[rules.stages]]
reviewers = ["ann@example.com", "eve@example.com"]
deadline = "1h"
on_deadline = "approve"

[default]
changes_within = "30m"
submitter_link = true
delegate_to = ["example.com"]

[[default.stages]]
reviewers = ["ann@example.com", "bob@example.com"]
quorum = "all"
deadline = "1h"
escalate = [{ reviewers = ["cy@example.com"], deadline = "1h" }]
"#,
    r#"
[operators]
may_withdraw = false

[default]
changes_within = "30m"
stages = [{ reviewers = ["ann@example.com", "cy@example.com"], deadline = "1h", on_deadline = "reject", fallback = ["dee@example.com"] }]
"#,
];

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Whoever is to be asked is asked.
    Ask,
    /// By any link that was ever issued, the submitter's too.
    Press {
        link: Index,
        verdict: Verdict,
        comment: &'static str,
        /// To what is asked in some versions.
        budget: &'static str,
    },
    /// By an operator for anybody, and for this version, counted from the one that is asked about; or for none in
    /// particular.
    Signal {
        person: usize,
        verdict: Verdict,
        version: Option<i32>,
    },
    /// By any link that was ever issued, or by an operator.
    Revise {
        link: Option<Index>,
        content: usize,
    },
    WithdrawByLink {
        link: Index,
    },
    Withdraw,
    Cancel,
    Reassign {
        from: usize,
        to: usize,
    },
    /// By any link that was ever issued, signed with this one or another.
    Delegate {
        link: Index,
        signer: Option<Index>,
        to: usize,
    },
    Reissue {
        person: Option<usize>,
    },
    Remind,
    Reached {
        link: Index,
        reached: bool,
    },
    Tick,
    /// The workflow is reset: what has happened since is forgotten, and the mails are not.
    Reset {
        to: Index,
    },
}

/// A link that was mailed, and what its holder saw.
#[derive(Debug, Clone)]
struct Mailed {
    link: GenuineLink,
    digest: String,
    is_submitters: bool,
}

/// A version and what has happened to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    plan: Plan,
    pub(super) approval: Approval,
}

#[derive(Clone)]
pub(super) struct World {
    key: LinkKey,
    rules: Option<&'static Policy>,
    pub(super) versions: Vec<Version>,
    mailed: Vec<Mailed>,
    now: Timestamp,
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

fn person(i: usize) -> EmailAddress {
    PEOPLE[i].parse().expect("an address")
}

fn submission(content: usize, names_reviewers: bool) -> Submission {
    let stage = |reviewers: &[usize], quorum: &str| NamedStage {
        reviewers: reviewers.iter().map(|i| PEOPLE[*i].to_owned()).collect(),
        quorum: quorum.into(),
        deadline: "1h".into(),
        ..NamedStage::default()
    };
    let stages = match content {
        0 => vec![stage(&[1, 2, 3], "2"), stage(&[4, 1], "any")],
        1 => vec![stage(&[2], "any")],
        _ => vec![stage(&[3, 4], "all")],
    };
    let approval = names_reviewers.then_some(countersign_protos::v1::Policy { stages });
    let submitter =
        Submitter { name: "Sue".into(), email: PEOPLE[0].into(), ..Submitter::default() };
    Submission {
        submission_id: "PO-1".into(),
        submitter: Some(submitter),
        document: Some(Document {
            title: format!("Laptops, offer {content}"),
            amount: content.to_string(),
            currency: "EUR".into(),
            ..Document::default()
        }),
        approval,
        fields: if content % 2 == 1 { vec![budget()] } else { Vec::new() },
        ..Submission::default()
    }
}

/// Some versions ask for it.
fn budget() -> Field {
    Field {
        name: "budget".into(),
        label: "Budget".into(),
        r#type: "number".into(),
        required_for: vec!["approve".into()],
        ..Field::default()
    }
}

/// Read once: every test needs thousands of them.
static POLICIES: LazyLock<Vec<Option<Policy>>> = LazyLock::new(|| {
    let read = |text: &&str| {
        let no_file = |_: &str| Err::<Vec<u8>, _>(std::io::ErrorKind::NotFound.into());
        let read = Policy::parse(text, "rules.toml", no_file);
        read.unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    RULES.iter().map(read).map(Some).chain([None]).collect()
});

/// What the holder of a link says by it.
fn signed(
    link: &GenuineLink,
    (verdict, comment): (Verdict, &str),
    answers: Answers,
    now: Timestamp,
) -> Ballot {
    let hashes = (comment_hash(comment), answers::hash(&answers));
    let statement = Statement::Vote { verdict, comment: &hashes.0, answers: &hashes.1 };
    let proof = Some(link.prove(statement, now));
    let claim = Claim::Link(link.hash().as_str().to_owned());
    Ballot { proof, answers, ..Ballot::new(claim, verdict, comment.to_owned()) }
}

impl World {
    fn new(rules: Option<&'static Policy>) -> Self {
        let keys: countersign_protos::LinkKeys =
            countersign_protos::TEST_KEYS[0].parse().expect("a key");
        let key = keys.first().clone();
        let sent = submission(0, rules.is_none());
        let plan = validate(sent, Vec::new(), &Routing::default(), rules, start());
        let plan = plan.unwrap_or_else(|problems| panic!("{problems:?}"));
        let versions = vec![Version { approval: begin(&plan, start()), plan }];
        Self { key, rules, versions, mailed: Vec::new(), now: start() }
    }

    pub(super) fn current(&self) -> &Version {
        self.versions.last().expect("there is one")
    }

    fn approval(&mut self) -> &mut Approval {
        &mut self.versions.last_mut().expect("there is one").approval
    }

    /// To whatever this version asks.
    fn answers(&self) -> Answers {
        let fields = &self.current().plan.submission.fields;
        fields.iter().map(|field| (field.name.clone(), "1500".to_owned())).collect()
    }

    /// The version that an operator names; 0 for none.
    fn named(&self, version: Option<i32>) -> u32 {
        let asked = self.current().plan.version();
        version.map_or(0, |version| asked.saturating_add_signed(version))
    }

    fn link(&self, which: &Index) -> Option<&Mailed> {
        (!self.mailed.is_empty()).then(|| which.get(&self.mailed))
    }

    fn ask(&mut self) {
        let (key, now) = (self.key.clone(), self.now);
        let Version { plan, approval } = self.current().clone();
        let Some(to_ask) = approval.to_ask() else { return };
        let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
        let invited = leaves.invite(&to_ask, self.rules, now);
        let submitter = leaves.submitter(&to_ask);
        let calendar = plan.calendar.clone().unwrap_or_default();
        let due = match to_ask.whom {
            Whom::Level(level) => plan.stages[to_ask.stage].level(level),
            _ => None,
        };
        let due = due.map(|(_, time)| schedule(time, &calendar, now));
        for one in &invited {
            let link = leaves.link(SeatOf {
                stage: to_ask.stage,
                round: to_ask.round,
                reviewer: &one.reviewer,
                on_behalf_of: one.on_behalf_of.as_ref(),
                instead_of: one.instead_of.as_ref(),
            });
            self.mailed.push(Mailed { link, digest: plan.digest.clone(), is_submitters: false });
        }
        self.approval().ask(invited, due, now);
        if let Some(own) = submitter {
            let link = leaves.submitters_link();
            self.mailed.push(Mailed { link, digest: plan.digest.clone(), is_submitters: true });
            let within = plan.changes_within.after(now, &calendar);
            let deadline = (to_ask.whom == Whom::Submitter).then_some(within);
            self.approval().ask_submitter(own, deadline, now);
        }
    }

    fn press(&mut self, which: &Index, said: (Verdict, &str, &str)) -> Option<Receipt> {
        let (now, (verdict, comment, budget)) = (self.now, said);
        let link = self.link(which)?.link.clone();
        let given = Some(("budget".to_owned(), budget.to_owned())).filter(|_| !budget.is_empty());
        let ballot = signed(&link, (verdict, comment), given.into_iter().collect(), now);
        Some(self.approval().vote(ballot, now))
    }

    fn revise(&mut self, link: Option<&Index>, content: usize) {
        let sent = submission(content, self.rules.is_none());
        let by = match link {
            None => Reviser::Operator("op".into()),
            Some(which) => {
                let Some(Mailed { link, .. }) = self.link(which) else { return };
                let digest = revision_digest(&sent);
                let proof = link.prove(Statement::Revise { digest: &digest }, self.now);
                Reviser::Submitter(Signed { link: link.hash().as_str().to_owned(), proof })
            }
        };
        let Version { plan, approval } = self.current();
        let leaves = Leaves { chain: CHAIN, plan, key: &self.key };
        let revision = Revision { submission: sent, problems: Vec::new(), by };
        let (routing, rules) = (Routing::default(), self.rules);
        if let Ok(plan) = revise(leaves, approval, revision, &routing, rules, self.now) {
            self.versions.push(Version { approval: begin(&plan, self.now), plan });
        }
    }

    fn delegate(&mut self, which: &Index, signer: Option<&Index>, to: usize) {
        let (now, to, reason) = (self.now, person(to), "away".to_owned());
        let Some(Mailed { link, .. }) = self.link(which).cloned() else { return };
        let signer = signer.and_then(|signer| self.link(signer)).map_or(&link, |it| &it.link);
        let statement = Statement::Delegate { to: to.as_str(), reason: &comment_hash(&reason) };
        let (proof, left_out) = (signer.prove(statement, now), None);
        let link = link.hash().as_str().to_owned();
        let _ = self.approval().delegate(Delegation { link, to, reason, left_out, proof }, now);
    }

    fn withdraw_by_link(&mut self, which: &Index) {
        let now = self.now;
        let Some(Mailed { link, .. }) = self.link(which).cloned() else { return };
        let reason = "not needed".to_owned();
        let proof = link.prove(Statement::Withdraw { reason: &reason }, now);
        let signed = Signed { link: link.hash().as_str().to_owned(), proof };
        let _ = self.approval().withdraw_by_link(reason, signed, now);
    }

    /// Back to somewhere in what has happened: a replay of what came before.
    fn reset(&mut self, to: &Index) {
        let all: usize = self.versions.iter().map(|it| it.approval.journal().len() + 1).sum();
        let mut left = to.index(all);
        let lengths = self.versions.iter().map(|it| it.approval.journal().len());
        let version = lengths.clone().position(|length| {
            let is_here = left <= length;
            left -= if is_here { 0 } else { length + 1 };
            is_here
        });
        self.versions.truncate(version.map_or(1, |version| version + 1));
        let Version { plan, approval } = self.current();
        let journal = approval.journal()[..left].to_vec();
        let leaves = Leaves { chain: CHAIN, plan, key: &self.key };
        let approval = leaves.recompute(start(), journal).expect("it has happened");
        *self.approval() = approval;
    }

    fn apply(&mut self, event: &Event) -> Option<Receipt> {
        let now = self.now;
        match event {
            Event::Ask => self.ask(),
            Event::Press { link, verdict, comment, budget } => {
                return self.press(link, (*verdict, comment, budget));
            }
            Event::Signal { person: who, verdict, version } => {
                let claim = Claim::Reviewer(person(*who));
                let ballot = Ballot::new(claim, *verdict, "for them".into());
                let (answers, version) = (self.answers(), self.named(*version));
                let ballot = Ballot { answers, version, ..ballot };
                return Some(self.approval().vote(ballot, now));
            }
            Event::Revise { link, content } => self.revise(link.as_ref(), *content),
            Event::WithdrawByLink { link } => self.withdraw_by_link(link),
            Event::Withdraw => {
                let _ = self.approval().withdraw(String::new(), "op".into(), now);
            }
            Event::Cancel => drop(self.approval().cancel(String::new(), now)),
            Event::Reassign { from, to } => {
                let (from, to) = (person(*from), person(*to));
                let _ = self.approval().reassign(from, to, "op".into(), now);
            }
            Event::Delegate { link, signer, to } => self.delegate(link, signer.as_ref(), *to),
            Event::Reissue { person: who } => {
                let _ = self.approval().reissue(who.map(person), "op".into(), now);
            }
            Event::Remind => self.approval().reminded(None, "op".into(), now),
            Event::Reached { link, reached } => {
                let hash = self.link(link).map(|mailed| mailed.link.hash().as_str().to_owned());
                self.approval().reached(&hash.unwrap_or_default(), *reached);
            }
            Event::Tick => drop(self.approval().tick(now)),
            Event::Reset { to } => self.reset(to),
        }
        None
    }
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Approve),
        1 => Just(Verdict::Reject),
        3 => Just(Verdict::RequestChanges),
    ]
}

/// Events, each with the minutes that pass before it.
pub(super) fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let who = || 0..PEOPLE.len();
    let budget = prop_oneof![2 => Just(""), 3 => Just("1500"), 1 => Just("much")];
    let named = prop_oneof![
        1 => Just(None),
        4 => Just(Some(0)),
        2 => Just(Some(-1)),
        1 => Just(Some(1)),
    ];
    let comment = prop_oneof![4 => Just("because"), 1 => Just(""), 1 => Just(" \u{200B}\n")];
    let event = prop_oneof![
        6 => Just(Event::Ask),
        10 => (any::<Index>(), verdicts(), comment, budget).prop_map(
            |(link, verdict, comment, budget)| Event::Press { link, verdict, comment, budget }
        ),
        6 => (who(), verdicts(), named)
            .prop_map(|(person, verdict, version)| Event::Signal { person, verdict, version }),
        6 => (proptest::option::of(any::<Index>()), 0..4usize)
            .prop_map(|(link, content)| Event::Revise { link, content }),
        1 => prop_oneof![
            any::<Index>().prop_map(|link| Event::WithdrawByLink { link }),
            Just(Event::Withdraw),
            Just(Event::Cancel),
        ],
        2 => (who(), who()).prop_map(|(from, to)| Event::Reassign { from, to }),
        4 => (any::<Index>(), proptest::option::weighted(0.2, any::<Index>()), who())
            .prop_map(|(link, signer, to)| Event::Delegate { link, signer, to }),
        2 => proptest::option::of(who()).prop_map(|person| Event::Reissue { person }),
        1 => Just(Event::Remind),
        1 => (any::<Index>(), any::<bool>())
            .prop_map(|(link, reached)| Event::Reached { link, reached }),
        4 => Just(Event::Tick),
        1 => any::<Index>().prop_map(|to| Event::Reset { to }),
    ];
    proptest::collection::vec((prop_oneof![3 => Just(0), 1 => 0..40i64], event), 0..40)
}

/// Plays a sequence under these rules, and shows each world with the one before.
pub(super) fn play(
    rules: usize,
    events: &[(i64, Event)],
    mut see: impl FnMut(&World, &World, &Event, Option<Receipt>),
) -> World {
    let mut world = World::new(POLICIES[rules].as_ref());
    for (minutes, event) in events {
        world.now += SignedDuration::from_mins(*minutes);
        let before = world.clone();
        let receipt = world.apply(event);
        see(&before, &world, event, receipt);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_decided_is_the_latest_version_by_those_who_saw_it(
        rules in 0..3usize, events in events()
    ) {
        let world = play(rules, &events, |_, after, _, _| {
            after.check_votes();
            after.check_people();
            after.check_versions();
        });
        world.check_recomputed();
        world.check_possible();
        let Version { plan, approval } = world.current();
        let outcome = outcome(plan, approval, CHAIN);
        prop_assert_eq!(&outcome.digest, &plan.digest);
        prop_assert_eq!(outcome.version() as usize, world.versions.len());
    }

    #[test]
    fn no_link_of_an_earlier_version_and_no_submitters_link_decides(
        rules in 0..3usize, events in events()
    ) {
        play(rules, &events, |before, after, event, receipt| {
            let Event::Press { link, .. } = event else { return };
            let Some(mailed) = before.link(link) else { return };
            let is_current = mailed.digest == before.current().plan.digest;
            if !is_current || mailed.is_submitters {
                assert_eq!(receipt, Some(Receipt::NotAReviewer));
                assert_eq!(before.versions, after.versions);
            }
        });
    }

    #[test]
    fn no_operators_vote_counts_for_another_version_than_it_names(
        rules in 0..3usize, events in events()
    ) {
        play(rules, &events, |before, after, event, receipt| {
            let Event::Signal { version, .. } = event else { return };
            let named = before.named(*version).max(1);
            if named != before.current().plan.version() {
                assert_eq!(receipt, Some(Receipt::OtherVersion(named)));
                assert_eq!(before.versions, after.versions);
            }
        });
    }

    #[test]
    fn a_reviewer_of_this_version_delegates_by_their_own_link_alone(
        rules in 0..3usize, events in events()
    ) {
        play(rules, &events, |before, after, event, _| {
            let Event::Delegate { link, signer, .. } = event else { return };
            let (Some(mailed), false) = (before.link(link), before.versions == after.versions)
            else {
                return;
            };
            assert_eq!(mailed.digest, before.current().plan.digest);
            assert!(!mailed.is_submitters);
            let signer = signer.as_ref().and_then(|signer| before.link(signer));
            assert!(signer.is_none_or(|signer| signer.link.hash() == mailed.link.hash()));
            assert!(!matches!(before.current().approval.status(), Status::ChangesRequested(_)));
        });
    }

    #[test]
    fn a_final_status_stays_and_a_press_while_changes_are_requested_counts_for_nothing(
        rules in 0..3usize, events in events()
    ) {
        play(rules, &events, |before, after, event, receipt| {
            let (was, is) = (&before.current().approval, &after.current().approval);
            if matches!(event, Event::Reset { .. }) {
                return;
            }
            // A reminder that comes late is recorded, and changes nothing.
            if was.is_final() && !matches!(event, Event::Remind) {
                assert_eq!(before.versions, after.versions);
            }
            let is_sent_back = matches!(was.status(), Status::ChangesRequested(_));
            if is_sent_back && receipt.is_some() {
                assert_ne!(receipt, Some(Receipt::Counted));
                assert_eq!(was, is);
            }
            if after.versions.len() > before.versions.len() {
                let is_voted = was.stages().iter().any(|stage| !stage.votes().is_empty());
                assert!(is_sent_back || !is_voted, "votes are lost only where changes are requested");
                assert!(is.journal().is_empty());
            }
        });
    }

    #[test]
    fn every_state_ends_in_time(rules in 0..3usize, events in events()) {
        let mut world = play(rules, &events, |_, _, _, _| {});
        world.now += SignedDuration::from_hours(1_000);
        // Each step asks somebody, reminds, passes a deadline, or ends: there are not many.
        for _ in 0..100 {
            world.ask();
            if let Some(due) = world.current().approval.next_deadline() {
                world.now = world.now.max(due);
                world.apply(&Event::Tick);
            }
        }
        let approval = &world.current().approval;
        prop_assert!(approval.is_final(), "{:?}", approval.status());
        prop_assert_eq!(approval.next_deadline(), None);
        prop_assert_eq!(approval.to_ask(), None);
        world.check_recomputed();
        world.check_votes();
    }
}

/// What the sequences above are made of happens in them.
#[test]
fn the_sequences_reach_what_they_are_for() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::new();
    for case in 0..600 {
        let events = events().new_tree(&mut runner).expect("a sequence").current();
        let world = play(case % 3, &events, |before, after, event, receipt| {
            if let (Event::Signal { version, .. }, 2..) = (event, before.versions.len()) {
                let what = match (receipt, version) {
                    (Some(Receipt::OtherVersion(_)), None) => "an operator names no version",
                    (Some(Receipt::OtherVersion(_)), _) => "an operator names another version",
                    (Some(Receipt::Counted), _) => "an operator decides a later version",
                    _ => "an operator's vote comes to nothing",
                };
                *reached.entry(what).or_insert(0) += 1;
            }
            if after.versions.len() > before.versions.len() {
                let Event::Revise { link, .. } = event else { panic!("{event:?}") };
                *reached
                    .entry(if link.is_some() { "revised by link" } else { "revised" })
                    .or_insert(0) += 1;
            }
            if matches!(event, Event::Delegate { .. }) && before.versions != after.versions {
                *reached.entry("delegated").or_insert(0) += 1;
            }
            if matches!(after.current().approval.status(), Status::ChangesRequested(_)) {
                *reached.entry("sent back").or_insert(0) += 1;
            }
        });
        let version = ["first", "second", "later"][(world.versions.len() - 1).min(2)];
        let status = match world.current().approval.status() {
            Status::Pending(..) => "pending",
            Status::ChangesRequested(_) => "changes requested",
            Status::Approved(..) => "approved",
            Status::Rejected(..) => "rejected",
            Status::Expired(..) => "expired",
            Status::Withdrawn(_) => "withdrawn",
        };
        *reached.entry(version).or_insert(0) += 1;
        *reached.entry(status).or_insert(0) += 1;
    }
    for what in [
        "revised by link",
        "revised",
        "sent back",
        "delegated",
        "an operator names no version",
        "an operator names another version",
        "an operator decides a later version",
        "first",
        "second",
        "later",
        "pending",
        "changes requested",
        "approved",
        "rejected",
        "expired",
        "withdrawn",
    ] {
        assert!(reached.get(what).is_some_and(|times| *times >= 5), "{what}: {reached:?}");
    }
}
