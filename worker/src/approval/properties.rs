//! What holds for every sequence of events.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Open,
    /// By the link of a seat in a stage; some of these do not exist.
    ClickLink {
        stage: usize,
        seat: usize,
        verdict: Verdict,
    },
    /// Named by an operator; person 0 is the submitter, some are nobody.
    Signal {
        person: usize,
        verdict: Verdict,
    },
    Tick,
    Withdraw,
}

fn person(i: usize) -> EmailAddress {
    format!("person{i}@example.com").parse().expect("an address")
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Approve), Just(Verdict::Reject)]
}

fn plans() -> impl Strategy<Value = Vec<StagePlan>> {
    let reviewers = proptest::sample::subsequence((0..6).collect::<Vec<_>>(), 1..=5);
    let on_deadline =
        prop_oneof![Just(OnDeadline::Expire), Just(OnDeadline::Reject), Just(OnDeadline::Approve)];
    let plan =
        (reviewers, 0..7usize, on_deadline, 1..50i64, proptest::collection::vec(0..60i64, 0..3))
            .prop_map(|(reviewers, quorum, on_deadline, deadline, mut reminders)| {
                reminders.sort_unstable();
                let quorum = match quorum {
                    0 => Quorum::All,
                    n if n > reviewers.len() => Quorum::Any,
                    n => Quorum::at_least(n).expect("positive"),
                };
                StagePlan {
                    name: "stage".into(),
                    reviewers: reviewers.into_iter().map(person).collect(),
                    quorum,
                    deadline: SignedDuration::from_secs(deadline),
                    reminders: reminders.into_iter().map(SignedDuration::from_secs).collect(),
                    on_deadline,
                }
            });
    proptest::collection::vec(plan, 1..4)
}

/// Events, each with the seconds that pass before it: often none.
fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let event = prop_oneof![
        3 => Just(Event::Open),
        6 => (0..4usize, 0..6usize, verdicts())
            .prop_map(|(stage, seat, verdict)| Event::ClickLink { stage, seat, verdict }),
        6 => (0..8usize, verdicts()).prop_map(|(person, verdict)| Event::Signal { person, verdict }),
        2 => Just(Event::Tick),
        1 => Just(Event::Withdraw),
    ];
    proptest::collection::vec((prop_oneof![3 => Just(0), 1 => 0..20i64], event), 0..60)
}

fn apply(approval: &mut Approval, event: &Event, now: Timestamp) -> Option<Receipt> {
    let comment = String::new();
    match event {
        Event::Open => {
            if let Some(stage) = approval.stage_to_open() {
                let seats = approval.stages()[stage].seats().len();
                approval.open((0..seats).map(|seat| format!("{stage}/{seat}")).collect(), now);
            }
            None
        }
        Event::ClickLink { stage, seat, verdict } => {
            let claim = Claim::Link(format!("{stage}/{seat}"));
            Some(approval.vote(Ballot { claim, verdict: *verdict, comment }, now))
        }
        Event::Signal { person: i, verdict } => {
            let claim = Claim::Reviewer(person(*i));
            Some(approval.vote(Ballot { claim, verdict: *verdict, comment }, now))
        }
        Event::Tick => {
            approval.tick(now);
            None
        }
        Event::Withdraw => {
            approval.withdraw("no longer needed".into(), now);
            None
        }
    }
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

/// Plays a sequence and shows every state in between.
fn play(
    plans: Vec<StagePlan>,
    events: &[(i64, Event)],
    mut see: impl FnMut(&Approval, &Approval, Option<Receipt>, Timestamp),
) -> Approval {
    let mut approval = Approval::new(person(0), plans);
    let mut now = start();
    for (pause, event) in events {
        now += SignedDuration::from_secs(*pause);
        let before = approval.clone();
        let receipt = apply(&mut approval, event, now);
        see(&before, &approval, receipt, now);
    }
    approval
}

fn counts(stage: &Stage, verdict: Verdict) -> usize {
    stage.votes().iter().filter(|(_, vote)| vote.verdict == verdict).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_final_status_never_changes(plans in plans(), events in events()) {
        play(plans, &events, |before, after, _, _| {
            if before.is_final() {
                assert_eq!(before, after);
            }
        });
    }

    #[test]
    fn everything_ends_in_exactly_one_final_status_once_time_goes_on(
        plans in plans(), events in events()
    ) {
        let stages = plans.len();
        let mut approval = play(plans, &events, |_, _, _, _| {});
        for _ in 0..=stages * 4 {
            apply(&mut approval, &Event::Open, start() + SignedDuration::from_secs(10_000));
            if let Some(due) = approval.next_deadline() {
                approval.tick(due);
            }
        }
        prop_assert!(approval.is_final());
        prop_assert_eq!(approval.next_deadline(), None);
        prop_assert_eq!(approval.stage_to_open(), None);
    }

    #[test]
    fn nobody_votes_twice_and_the_submitter_never(plans in plans(), events in events()) {
        let approval = play(plans, &events, |before, after, receipt, _| {
            let votes = |approval: &Approval| -> usize {
                approval.stages().iter().map(|stage| stage.votes().len()).sum()
            };
            let counted = usize::from(receipt == Some(Receipt::Counted));
            assert_eq!(votes(after), votes(before) + counted);
            if receipt.is_some() && counted == 0 {
                assert_eq!(before, after, "what does not count changes nothing");
            }
        });
        for stage in approval.stages() {
            let votes = stage.votes();
            let mut voters: Vec<_> = votes.iter().map(|(seat, _)| &seat.reviewer).collect();
            prop_assert!(!voters.contains(&approval.submitter()));
            voters.sort();
            voters.dedup();
            prop_assert_eq!(voters.len(), votes.len());
        }
    }

    #[test]
    fn a_stage_is_decided_by_exactly_its_quorum_or_by_its_deadline(
        plans in plans(), events in events()
    ) {
        let approval = play(plans, &events, |_, _, _, _| {});
        for stage in approval.stages() {
            let seats = stage.seats().len();
            let quorum = stage.plan().quorum;
            let approvals = counts(stage, Verdict::Approve);
            let rejections = counts(stage, Verdict::Reject);
            match stage.end() {
                None => {
                    prop_assert!(approvals < quorum.approvals(seats));
                    prop_assert!(rejections < quorum.rejections(seats));
                }
                Some(_) if stage.ended_by_deadline() => {
                    prop_assert!(approvals < quorum.approvals(seats));
                    prop_assert!(rejections < quorum.rejections(seats));
                }
                Some((End::Approved, _)) => prop_assert_eq!(approvals, quorum.approvals(seats)),
                Some((End::Rejected, _)) => prop_assert_eq!(rejections, quorum.rejections(seats)),
                Some((End::Expired, _)) => prop_assert!(false, "only a deadline expires"),
            }
        }
    }

    #[test]
    fn only_the_order_counts_not_how_events_fall_into_instants(
        plans in plans(), events in events()
    ) {
        // Without ticks time decides nothing, so the same order squeezed into one instant gives
        // the same votes.
        let events: Vec<_> =
            events.into_iter().filter(|(_, event)| !matches!(event, Event::Tick)).collect();
        let squeezed: Vec<_> = events.iter().map(|(_, event)| (0, event.clone())).collect();
        let mut spread_receipts = vec![];
        let mut squeezed_receipts = vec![];
        play(plans.clone(), &events, |_, _, receipt, _| spread_receipts.push(receipt));
        play(plans, &squeezed, |_, _, receipt, _| squeezed_receipts.push(receipt));
        prop_assert_eq!(spread_receipts, squeezed_receipts);
    }

    #[test]
    fn stages_open_one_after_the_other(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, _| {
            let open = after.stages().iter().filter(|s| s.opened_at().is_some() && s.end().is_none());
            assert!(open.count() <= 1);
            for pair in after.stages().windows(2) {
                if pair[1].opened_at().is_some() {
                    assert!(matches!(pair[0].end(), Some((End::Approved, _))));
                }
            }
        });
    }

    #[test]
    fn the_next_deadline_is_never_in_the_past_after_a_tick(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, now| {
            let mut ticked = after.clone();
            ticked.tick(now);
            assert!(ticked.next_deadline().is_none_or(|due| due > now));
        });
    }
}
