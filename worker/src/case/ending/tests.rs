use countersign_protos::names;
use serde_json::json;

use super::*;
use crate::{
    approval::{OnDeadline, Quorum, Verdict},
    case::{Case, Event, Undelivered, tests::begin_with},
    policy::{FollowUps, Plan, PlannedStage, TimePlan},
    recorded::{About, Notice},
    testing::address,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn follow_up(namespace: Option<&str>) -> FollowUps {
    let (workflow, task_queue) = ("PayExpense".into(), "payments".into());
    let namespace = namespace.map(Into::into);
    FollowUps { approved: Some(FollowUp { workflow, task_queue, namespace }), rejected: None }
}

/// Ann has approved; Bob was asked, too.
fn decided(change: impl FnOnce(&mut Plan)) -> Case {
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: vec![address("ann"), address("bob")],
        quorum: Quorum::Any,
        time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
        on_deadline: OnDeadline::Expire,
        escalations: vec![],
    };
    let mut plan = Plan::asking(Default::default(), address("sue"), vec![stage]);
    change(&mut plan);
    let mut case = Case::default();
    begin_with(&mut case, &plan);
    case.issue(&["a", "b"], NOW);
    for request in case.next_wait(NOW).requests {
        case.delivered(&request.link, false, Ok(()));
    }
    let decision = v1::Decision { link: "a".into(), ..Default::default() };
    let decision = countersign_protos::payload::encode(&decision, Default::default());
    case.decide(Verdict::Approve, &[decision], NOW);
    case
}

/// The same, with its outcome sealed.
fn concluded(change: impl FnOnce(&mut Plan)) -> Case {
    let mut case = decided(change);
    case.next(NOW);
    case.next(NOW);
    case.sealed();
    case
}

fn act(case: &mut Case) -> Consequence {
    match case.next(NOW) {
        Step::Act(consequence) => *consequence,
        other => panic!("{other:?}"),
    }
}

fn close(case: &mut Case, now: Timestamp) -> (bool, Option<Box<Undelivered>>) {
    match case.next(now) {
        Step::Close { publish, undelivered } => (publish, undelivered),
        other => panic!("{other:?}"),
    }
}

fn deliver_all(case: &mut Case) -> Vec<Notice> {
    let notices = case.start_notices();
    for Notice { number, .. } in &notices {
        case.handle(Event::NoticeFinished { number: *number, result: Ok(()) }, NOW);
    }
    notices
}

#[test]
fn nothing_acts_on_an_outcome_and_no_submitter_is_notified_before_it_is_sealed() {
    let mut case = decided(|plan| {
        plan.webhook = true;
        plan.follow_ups = follow_up(None);
    });
    assert!(matches!(case.next(NOW), Step::EndStage { .. }));
    for _ in 0..2 {
        assert!(matches!(case.next(NOW), Step::Conclude { .. }), "until it is");
    }
    let submitter = |notices: &[Notice]| {
        notices.iter().any(|notice| matches!(notice.about, About::Outcome { .. }))
    };
    assert!(!submitter(&case.start_notices()));
    case.sealed();
    assert!(submitter(&case.start_notices()));
}

#[test]
fn the_webhook_is_told_whether_a_follow_up_workflow_was_started() {
    for (result, refused) in [(Ok(()), false), (Err("refused".to_owned()), true)] {
        let mut case = concluded(|plan| {
            plan.webhook = true;
            plan.follow_ups = follow_up(Some("finance"));
        });
        assert!(matches!(act(&mut case), Consequence::FollowUp(_)));
        assert_eq!(case.next_wait(NOW).until, None, "however long that takes");
        case.handle(Event::FollowUpFinished(result), NOW);
        let Consequence::Webhook { delivery, .. } = act(&mut case) else { panic!("the webhook") };
        assert_eq!(delivery.not_followed_up, refused);
        assert_eq!(case.next_wait(NOW).until, None, "each begins once");
    }
}

#[test]
fn a_child_workflow_and_the_webhook_begin_together() {
    let mut case = concluded(|plan| {
        plan.webhook = true;
        plan.follow_ups = follow_up(None);
    });
    assert!(matches!(act(&mut case), Consequence::FollowUp(_)));
    let Consequence::Webhook { delivery, .. } = act(&mut case) else { panic!("the webhook") };
    assert!(!delivery.not_followed_up);
    case.next_wait(NOW);
    deliver_all(&mut case);
    case.handle(Event::WebhookFinished(Ok(())), NOW);
    assert_eq!(case.next_wait(NOW).until, None, "the result waits for the child, too");
    case.handle(Event::FollowUpFinished(Ok(())), NOW);
    close(&mut case, NOW);
}

#[test]
fn notices_wait_for_no_receiver() {
    let mut case = concluded(|plan| plan.webhook = true);
    act(&mut case);
    assert_eq!(
        deliver_all(&mut case).len(),
        3,
        "to Sue, Bob, and Ann, for whom somebody signalled"
    );
}

#[test]
fn the_result_waits_for_what_acts_on_the_outcome() {
    let mut case = concluded(|plan| plan.webhook = true);
    act(&mut case);
    deliver_all(&mut case);
    let much_later = NOW + SignedDuration::from_hours(1_000);
    assert_eq!(case.next_wait(much_later).until, None);
    case.handle(Event::WebhookFinished(Err("410".into())), much_later);
    assert_eq!(case.outcome().webhook_error, "410", "what became of it stands in the result");
    close(&mut case, much_later);
}

#[test]
fn the_result_waits_for_notices_ten_seconds_after_that() {
    let mut case = concluded(|plan| plan.webhook = true);
    act(&mut case);
    assert!(case.next_wait(NOW).publish, "before it waits for the webhook");
    let Notice { number, .. } = case.start_notices().pop().expect("a notice");
    let later = NOW + SignedDuration::from_hours(1);
    case.handle(Event::WebhookFinished(Ok(())), later);
    let (until, _) = case.next_wait(later).until.expect("an end");
    assert_eq!(until, later + GRACE);
    case.handle(Event::NoticeFinished { number, result: Ok(()) }, later);
    assert!(case.has_changed());
    let (again, _) = case.next_wait(until - SignedDuration::from_secs(1)).until.expect("an end");
    assert_eq!(again, until, "whatever happens meanwhile");
    let (publish, undelivered) = close(&mut case, until);
    assert!(publish, "to hand over may fail");
    let undelivered = undelivered.expect("one of the two");
    assert!(undelivered.workflow_id.starts_with("laptops-approved-notices-"));
    let found = |case: &Case| format!("{:?}", case.search_attributes());
    let before = found(&case);
    case.handle(Event::NoticesNotHandedOver("no such queue".into()), until);
    assert_ne!(found(&case), before, "a search finds it");
    let told = format!("still to be delivered: {}", undelivered.workflow_id);
    assert!(case.details().replace('\\', "").contains(&told), "{}", case.details());
}

#[test]
fn nothing_is_handed_over_where_all_notices_are_delivered_or_refused() {
    let mut case = concluded(|_| {});
    case.next_wait(NOW);
    for Notice { number, .. } in case.start_notices() {
        let result = Err("no such mailbox".to_owned());
        case.handle(Event::NoticeFinished { number, result }, NOW);
    }
    assert!(close(&mut case, NOW).1.is_none());
    assert_eq!(case.status().announcement_error, "no such mailbox");
}

#[test]
fn another_workflow_delivers_the_same_notices_and_no_others() {
    let mut case = concluded(|_| {});
    let (until, _) = case.next_wait(NOW).until.expect("an end");
    let mut first = case.start_notices();
    let Notice { number, .. } = first.remove(0);
    case.handle(Event::NoticeFinished { number, result: Ok(()) }, NOW);
    let (_, undelivered) = close(&mut case, until);
    let input = json!(undelivered.expect("some are left").input).to_string();
    let mut other: Case = serde_json::from_str(&input).expect("a case");
    let again = other.start_notices();
    assert_eq!(json!(again), json!(first));
    assert!(!other.has_notices_to_start(), "each once");
}

#[test]
fn search_attributes_are_written_with_the_result_or_before_it_waits_for_a_receiver() {
    let mut soon = concluded(|plan| plan.follow_ups = follow_up(None));
    act(&mut soon);
    assert!(!soon.next_wait(NOW).publish, "a child starts at once");
    soon.handle(Event::FollowUpFinished(Ok(())), NOW);
    assert!(!soon.next_wait(NOW).publish, "nor for mails, which take ten seconds at most");
    deliver_all(&mut soon);
    assert!(close(&mut soon, NOW).0);

    for far in [true, false] {
        let mut waits = concluded(|plan| {
            plan.webhook = !far;
            plan.follow_ups = follow_up(far.then_some("finance"));
        });
        act(&mut waits);
        if !far {
            act(&mut waits);
        }
        assert!(waits.next_wait(NOW).publish);
        assert!(!waits.next_wait(NOW).publish, "once");
        waits.handle(Event::FollowUpFinished(Ok(())), NOW);
        waits.handle(Event::WebhookFinished(Ok(())), NOW);
        deliver_all(&mut waits);
        assert!(!close(&mut waits, NOW).0, "nothing is new");
    }
}

#[test]
fn what_belongs_to_the_last_stage_is_cancelled_only_where_the_workflow_stays_open() {
    for webhook in [true, false] {
        let mut case = decided(|plan| plan.webhook = webhook);
        let Step::EndStage { cancel } = case.next(NOW) else { panic!("the stage has ended") };
        assert_eq!(cancel, webhook);
    }
}

#[test]
fn signals_and_time_change_nothing_any_more() {
    let mut case = concluded(|plan| plan.webhook = true);
    act(&mut case);
    let outcome = case.outcome();
    case.send(names::SIGNAL_WITHDRAW, &[], NOW);
    case.handle(Event::TimePassed, NOW + SignedDuration::from_hours(2));
    case.handle(Event::Cancelled("too late".into()), NOW);
    assert_eq!(case.outcome(), outcome);
    assert!(!case.next_wait(NOW).open, "nor can it be cancelled");
}
