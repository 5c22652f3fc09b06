//! What submitters do, sent to a Temporal that answers as each test scripts it.

use countersign_protos::{
    LinkContext, Pressed, Statement, Verdict,
    answers::Answers,
    v1::{ApprovalState, Document, Status, Submission, Submitter, Withdrawal},
};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowExecutionStatus::Running;

use super::*;
use crate::{
    decision::{
        Press,
        tests::{CHAIN, World, approvals, digest_of, keys, recorded, signed, state_of},
    },
    revision::{Draft, Place},
};

const PRIYA: &str = "priya@example.com";
/// As mailed: the index is not asked.
const HINT: Option<&str> = Some("approval");

fn submission() -> Submission {
    let document = Document { title: "Ten laptops".into(), ..Document::default() };
    let submitter = Submitter { email: "Priya@example.com".into(), ..Submitter::default() };
    Submission { document: Some(document), submitter: Some(submitter), ..Submission::default() }
}

fn priya() -> GenuineLink {
    let digest = digest_of(&submission());
    keys().first().link(LinkContext::submitter(CHAIN, &digest, PRIYA))
}

/// What the workflow says of Ann, who is asked, and of Priya, whose submission it is.
fn state(status: Status, vote: Option<Verdict>) -> ApprovalState {
    ApprovalState {
        submitter_link: priya().hash().as_str().to_owned(),
        ..state_of(submission(), status, vote)
    }
}

fn sent_back() -> ApprovalState {
    state(Status::ChangesRequested, Some(Verdict::RequestChanges))
}

fn asked(says: ApprovalState) -> World {
    let mut world = World::default().run("first", Running, says);
    world.runs[0].recorded = Some(recorded(&submission(), &priya()));
    world
}

fn revise(title: &str) -> Wish {
    Wish::Revise(Draft { title: title.into(), ..Draft::of(&submission()) })
}

fn withdraw() -> Wish {
    Wish::Withdraw("ordered twice".into())
}

fn wanted(wish: &Wish) -> Wanted<'_> {
    Wanted { wish, nonce: "" }
}

async fn act(world: World, wish: Wish) -> Result<Effect, Problem> {
    let (approvals, _) = approvals(world).await;
    approvals.signal(&priya(), HINT, wanted(&wish)).await.map(|(effect, _)| effect)
}

fn withdrawn(proven: bool) -> ApprovalState {
    let reason = "ordered twice".to_owned();
    let statement = Statement::Withdraw { reason: if proven { &reason } else { "" } };
    let proof = Some(priya().prove(statement, Timestamp::UNIX_EPOCH));
    let link = priya().hash().as_str().to_owned();
    ApprovalState {
        withdrawal: Some(Withdrawal { reason, link, proof }),
        jws: signed(Status::Withdrawn, &digest_of(&submission())),
        ..state(Status::Withdrawn, None)
    }
}

#[tokio::test(start_paused = true)]
async fn the_submitter_withdraws_by_link_and_reads_that_it_was_them() {
    let takes = |world: &mut World| {
        world.runs[0].says = withdrawn(true);
        Ok(())
    };
    let effect = act(asked(sent_back()).signal(takes), withdraw()).await;
    assert_eq!(effect, Ok(Effect::Answered(Answer::YouWithdrew)));
    // Again, and where nothing proves that it was them.
    let effect = act(asked(withdrawn(true)), withdraw()).await;
    assert_eq!(effect, Ok(Effect::Answered(Answer::YouWithdrew)), "nothing more is sent");
    let effect = act(asked(withdrawn(false)), withdraw()).await;
    assert_eq!(effect, Ok(Effect::Answered(Answer::Withdrawn)));
}

#[tokio::test(start_paused = true)]
async fn what_the_workflow_refuses_is_said_at_its_field_and_may_be_tried_again() {
    let refuses = |count: u32| {
        move |world: &mut World| {
            let why = "the submission cannot be used: $.document.title is too long";
            let says = &mut world.runs[0].says;
            says.ignored_signals += count;
            says.ignored_because.push(format!("revise at 2026-11-30T20:00:00Z: {why}"));
            Ok(())
        }
    };
    let world = asked(sent_back()).signal(refuses(1)).signal(refuses(1));
    let (approvals, world) = approvals(world).await;
    let refused = Effect::Refused(vec![Mistake::Refused(Place::Title, "is too long".into())]);
    for _ in 0..2 {
        let effect = approvals.signal(&priya(), HINT, wanted(&revise("Nine laptops"))).await;
        assert_eq!(effect.map(|(effect, _)| effect), Ok(refused.clone()));
    }
    let sent = world.lock().expect("a lock").sent.clone();
    assert_ne!(sent[0], sent[1], "each is an event of its own");
}

#[tokio::test(start_paused = true)]
async fn the_same_act_twice_at_once_is_one_event() {
    let unheard = |_: &mut World| Ok(());
    let world = asked(sent_back());
    let (approvals, world) = approvals(world.signal(unheard).signal(unheard).signal(unheard)).await;
    for title in ["Nine laptops", "Nine laptops", "Eight laptops"] {
        let effect = approvals.signal(&priya(), HINT, wanted(&revise(title))).await;
        assert_eq!(effect.map(|(effect, _)| effect), Ok(Effect::Answered(Answer::Accepted)));
    }
    let world = world.lock().expect("a lock");
    assert_eq!(world.sent[0], world.sent[1]);
    assert_ne!(world.sent[0], world.sent[2], "another content is another revision");
    assert!(world.identities[0].starts_with("Priya@example.com ("), "{:?}", world.identities);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_is_wrong_or_cannot_count() {
    for (says, wish, expected) in [
        (sent_back(), revise("Ten laptops"), Ok(Effect::Refused(vec![Mistake::ChangesNothing]))),
        (sent_back(), revise(""), Ok(Effect::Refused(vec![Mistake::TitleMissing]))),
        (
            state(Status::Pending, Some(Verdict::Approve)),
            revise("Nine"),
            Err(Problem::NotRevisable),
        ),
        (
            ApprovalState {
                jws: signed(Status::Approved, &digest_of(&submission())),
                ..state(Status::Approved, Some(Verdict::Approve))
            },
            withdraw(),
            Ok(Effect::Answered(Answer::TooLate)),
        ),
    ] {
        assert_eq!(act(asked(says), wish.clone()).await, expected, "{wish:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reviewers_link_revises_nothing_and_the_submitters_decides_nothing() {
    let says = state(Status::Pending, None);
    let digest = digest_of(&submission());
    let ann = keys().first().link(LinkContext::new(CHAIN, &digest, "ann@example.com"));
    let (approvals, world) = approvals(asked(says)).await;
    for wish in [withdraw(), revise("Nine laptops")] {
        let said = approvals.signal(&ann, HINT, wanted(&wish)).await.map(drop);
        assert_eq!(said, Err(Problem::NotTheSubmitter), "{wish:?}");
    }
    for verdict in Verdict::ALL {
        let answers = &Answers::new();
        let press = Press { verdict, comment: "fine", answers, nonce: "" };
        let said = approvals.signal(&priya(), HINT, press).await.map(drop);
        assert_eq!(said, Err(Problem::SubmitterDecides), "{verdict:?}");
    }
    assert_eq!(world.lock().expect("a lock").sent, []);
}

#[tokio::test(start_paused = true)]
async fn where_the_rule_has_decisions_confirmed_an_act_is_sent_only_with_its_nonce() {
    let takes = |world: &mut World| {
        world.runs[0].says = ApprovalState { confirm: true, ..withdrawn(true) };
        Ok(())
    };
    let confirming = ApprovalState { confirm: true, ..sent_back() };
    let (approvals, world) = approvals(asked(confirming).signal(takes)).await;
    let act = async |nonce: &str| {
        let wanted = Wanted { wish: &withdraw(), nonce };
        let effect = approvals.signal(&priya(), HINT, wanted).await;
        effect.expect("an effect").0
    };
    let deed = withdraw().deed(&submission()).expect("good");
    let now = Timestamp::now();
    let pressed = Pressed { verdict: Verdict::Approve, counted: true };
    for nonce in [
        String::new(),
        "1.x".to_owned(),
        priya().nonce_of(Statement::Withdraw { reason: "" }, now),
        priya().receipt(pressed, now),
    ] {
        assert_eq!(act(&nonce).await, Effect::Unconfirmed(deed.clone()), "{nonce}");
    }
    assert_eq!(world.lock().expect("a lock").sent, [], "nothing is recorded");
    let nonce = priya().nonce_of(deed.statement(), now);
    assert_eq!(act(&nonce).await, Effect::Answered(Answer::YouWithdrew));
}

#[tokio::test(start_paused = true)]
async fn changes_that_nobody_has_asked_for_are_not_shown() {
    let mut forged = state(Status::ChangesRequested, None);
    forged.change_request = Some(Default::default());
    let (approvals, _) = approvals(asked(forged)).await;
    let (_, reading) = approvals.find(&priya(), HINT).await.expect("found");
    assert_eq!(on_view(&reading, priya().hash()), Answer::Submitted);
    assert_eq!(reading.state().change_request, None);
    let (approvals, _) = self::approvals(asked(sent_back())).await;
    let (_, reading) = approvals.find(&priya(), HINT).await.expect("found");
    assert_eq!(on_view(&reading, priya().hash()), Answer::ToRevise);
    let asked = reading.state().change_request.as_ref().and_then(|it| it.vote.as_ref());
    assert_eq!(asked.map(|vote| vote.reviewer.as_str()), Some("ann@example.com"));
}

/// What no digest covers would otherwise be signed as somebody else answers it.
#[tokio::test(start_paused = true)]
async fn what_the_submitter_signs_is_as_the_sealed_plan_has_it() {
    let mut forged = sent_back();
    let submission = forged.submission.as_mut().expect("a submission");
    submission.approval = Some(Default::default());
    for no_worker in [false, true] {
        let mut world = asked(forged.clone());
        world.no_worker = no_worker;
        let (approvals, _) = approvals(world).await;
        let (_, reading) = approvals.find(&priya(), HINT).await.expect("found");
        let expected = if no_worker { Answer::NoWorker } else { Answer::ToRevise };
        assert_eq!(on_view(&reading, priya().hash()), expected);
        assert_eq!(reading.state().submission, Some(self::submission()));
        assert!(!acts(expected, reading.state(), priya().hash()).is_empty());
    }
}
