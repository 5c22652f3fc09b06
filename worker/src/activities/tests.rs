use countersign_protos::{LinkContext, Statement, TEST_KEYS, comment_hash};

use super::*;
use crate::{
    approval::{Delegation, Invited, Level, OnDeadline, Quorum, StagePlan},
    leaves,
    policy::{PlannedStage, TimePlan},
    recorded::Delegated,
    testing::{address, sealed},
};

#[test]
fn each_notice_concerns_those_alone_for_whom_it_is_true() {
    let vote = |reviewer: &str, by: &str| v1::Vote {
        reviewer: reviewer.into(),
        by: by.into(),
        ..v1::Vote::default()
    };
    let stage = v1::StageOutcome {
        decisions: vec![vote("ann@example.com", "link"), vote("bob@example.com", "operator")],
        undecided: vec!["cy@example.com".into()],
        ..v1::StageOutcome::default()
    };
    let email = "sue@example.com".into();
    let outcome = Outcome {
        submitter: Some(v1::Submitter { email, ..v1::Submitter::default() }),
        stages: vec![stage],
        ..Outcome::default()
    };
    assert_eq!(submitter(&outcome), ["sue@example.com"]);
    assert_eq!(undecided(&outcome), ["cy@example.com"]);
    assert_eq!(represented(&outcome), ["bob@example.com"], "Ann has pressed herself");
}

#[test]
fn a_notice_goes_to_the_address_that_is_meant_and_to_none_that_looks_like_it() {
    let sue = address("sue");
    concerns(&sue, &["bob@example.com", "Sue@Example.com"]).expect("it was typed so");
    for other in ["sue+tag@example.com", "sue@ex\u{430}mple.com"] {
        let other: EmailAddress = other.parse().expect("an address");
        assert_eq!(other, sue, "one person, as far as votes are concerned");
        concerns(&other, &["Sue@Example.com"]).expect_err("another mailbox");
    }
    let as_given: EmailAddress = serde_json::from_str("\"Sue@Example.com\"").expect("JSON");
    concerns(&as_given, &["Sue@Example.com"]).expect_err("nobody who writes a notice says so");
}

#[test]
fn a_submitter_is_told_of_the_start_where_the_plan_says_so_and_of_nothing_later() {
    let at: Timestamp = "2026-11-24T09:00:00Z".parse().expect("a time");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: vec![address("ann")],
        quorum: Quorum::Any,
        time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
        on_deadline: OnDeadline::Expire,
        escalations: vec![],
    };
    let asking = Plan::asking(v1::Submission::default(), address("sue"), vec![stage]);
    let told = |tell_submitter: bool, replaced: bool| {
        let plan = Plan { tell_submitter, ..asking.clone() };
        let mut approval = leaves::begin(&plan, at);
        approval.ask(vec![Invited::new(address("ann"), "a".into())], None, at);
        if replaced {
            let order = approval.reassign(address("ann"), address("cy"), "op".into(), at);
            order.expect("she can be replaced");
            approval.ask(vec![Invited::new(address("cy"), "c".into())], None, at);
        }
        let about = About::Started(Evidence {
            plan: sealed(&plan, chain),
            first_run_id: chain.first_run_id.into(),
            began: at,
            journal: approval.journal().to_vec(),
        });
        let outcome = outcome::outcome(&plan, &approval, chain);
        let of = (&plan, &approval, &outcome);
        letter(Writer::default(), &about, &address("sue"), of, None).is_some()
    };
    assert!(told(true, false));
    assert!(!told(false, false), "the rule does not say so");
    assert!(!told(true, true), "others are asked by now");
}

#[test]
fn a_reviewers_mails_have_the_thread_of_their_request_and_after_a_reset_another() {
    let invited = |round: u32, name: &str| Invited {
        round,
        ..Invited::new(address(name), format!("hash of {name}"))
    };
    let asked_at = |text: &str| {
        let at: Timestamp = text.parse().expect("a time");
        let reviewers = vec![address("ann"), address("bob")];
        let stage = StagePlan {
            name: "Finance".into(),
            quorum: Quorum::Any,
            on_deadline: OnDeadline::Expire,
            levels: vec![Level { reviewers, keep_earlier: true, fallback: false }],
        };
        let mut approval = Approval::new(address("sue"), vec![stage]);
        approval.ask(vec![invited(0, "ann"), invited(0, "bob")], None, at);
        approval
    };
    let (first, again) = (asked_at("2026-11-24T09:00:00Z"), asked_at("2026-11-25T09:00:00Z"));
    let own = thread("hash of bob", first.asked_at("hash of bob"));
    assert_eq!(own, "hash of bob.1795510800");
    assert_eq!(thread_of(&first, &address("bob")), own);
    assert_ne!(thread_of(&first, &address("ann")), own);
    assert_ne!(thread_of(&again, &address("bob")), own, "another Message-ID");
}

#[test]
fn a_mail_servers_words_have_no_approval_id_in_them() {
    let id: ApprovalId = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse().expect("an approval ID");
    let said = "554 5.7.1 blocked: http://a.example/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T?choice=approve, \
                7k3q9xht2m4vzb8djw5pqr6t";
    let redacted = redact(&id, said.to_owned());
    assert_eq!(redacted, "554 5.7.1 blocked: http://a.example/a/…?choice=approve, …");
}

#[test]
fn what_the_webhook_answers_says_whether_and_when_it_is_tried_again() {
    let refused = |seconds: Option<u64>| WebhookError::Refused {
        answer: "503 Service Unavailable".into(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let unreachable = WebhookError::Unreachable("no answer within 20s".into());
    for (error, kind, is_final, wait) in [
        (WebhookError::Gone("410 Gone".into()), "WebhookGone", true, None),
        (refused(None), "WebhookRefused", false, None),
        (refused(Some(20)), "WebhookRefused", false, Some(20..=22)),
        (refused(Some(3_600)), "WebhookRefused", false, Some(3_600..=3_600)),
        (unreachable, "WebhookRefused", false, None),
    ] {
        let said = error.to_string();
        let ActivityError::Application(failure) = not_taken(error) else { panic!("{said}") };
        assert_eq!((failure.to_string(), failure.type_name()), (said.clone(), Some(kind)));
        assert_eq!(failure.is_non_retryable(), is_final, "{said}");
        match (wait, failure.next_retry_delay()) {
            (None, None) => {}
            (Some(expected), Some(delay)) if expected.contains(&delay.as_secs()) => {}
            other => panic!("{said}: {other:?}"),
        }
    }
}

#[test]
fn a_mail_whose_turn_is_far_off_is_tried_again_then_and_within_an_hour() {
    for (wait, expected) in [(40, 40), (90_000, 3_600)] {
        let later = later("MailUnavailable", "not yet", Duration::from_secs(wait));
        let ActivityError::Application(failure) = later else { panic!("{wait}") };
        assert_eq!(failure.next_retry_delay(), Some(Duration::from_secs(expected)));
        assert!(!failure.is_non_retryable());
    }
}

#[test]
fn a_refusal_that_names_nobody_is_final_after_a_quarter_of_an_hour() {
    let time = |text: &str| text.parse::<Timestamp>().expect("a time");
    let refused = RefusedSince { refused_since: time("2026-11-25T08:00:00Z") };
    for (now, is_final) in [
        ("2026-11-25T08:00:00Z", false),
        ("2026-11-25T08:14:59Z", false),
        ("2026-11-25T08:15:00Z", true),
        ("2026-11-26T08:00:00Z", true),
        // A clock that is behind the one of the worker before.
        ("2026-11-25T07:59:00Z", false),
    ] {
        assert_eq!(refused.is_final(time(now)), is_final, "{now}");
    }
}

/// Whoever answers a workflow task can make any request.
#[test]
fn a_colleague_is_mailed_only_if_the_holder_of_the_link_wanted_it() {
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let keys: LinkKeys = TEST_KEYS[0].parse().expect("a key");
    let mut plan = Plan::asking(v1::Submission::default(), address("sue"), Vec::new());
    plan.restrictions.delegate_to = vec!["example.com".into()];
    let digest = plan.digest.clone();
    let link = |reviewer: &str, on_behalf_of: &str| {
        keys.first().link(LinkContext {
            round: 3,
            on_behalf_of,
            ..LinkContext::new(chain, &digest, reviewer)
        })
    };
    let ann = link("ann@example.com", "bob@example.com");
    let (to, reason) = (address("cy"), "away".to_owned());
    let reason_hash = comment_hash(&reason);
    let statement = Statement::Delegate { to: to.as_str(), reason: &reason_hash };
    let of = |link: &countersign_protos::GenuineLink| Delegation {
        link: link.hash().as_str().to_owned(),
        to: to.clone(),
        reason: reason.clone(),
        left_out: None,
        proof: link.prove(statement, Timestamp::UNIX_EPOCH),
    };
    let (on_behalf_of, instead_of) = (Some(address("bob")), None);
    let genuine = || Delegated {
        round: 3,
        on_behalf_of: on_behalf_of.clone(),
        instead_of: instead_of.clone(),
        delegation: of(&ann),
    };
    let is_mailed = |plan: &Plan, from: &str, to: &str, delegated: &Delegated| {
        let leaves = Leaves { chain, plan, key: keys.first() };
        let [from, to] = [from, to].map(address);
        delegations::check_delegation(leaves, 0, (&from, &to), delegated).is_ok()
    };
    assert!(is_mailed(&plan, "ann", "cy", &genuine()));
    let own = Delegated { delegation: of(&link("ann@example.com", "")), ..genuine() };
    let forged = Delegation { proof: v1::Proof::default(), ..of(&ann) };
    let other_reason = Delegation { reason: "because".into(), ..of(&ann) };
    for (what, is_mailed) in [
        ("from another", is_mailed(&plan, "eve", "cy", &genuine())),
        ("to another", is_mailed(&plan, "ann", "eve", &genuine())),
        ("to another mailbox", is_mailed(&plan, "ann", "cy+eve", &genuine())),
        ("in another round", is_mailed(&plan, "ann", "cy", &Delegated { round: 2, ..genuine() })),
        (
            "for nobody",
            is_mailed(&plan, "ann", "cy", &Delegated { on_behalf_of: None, ..genuine() }),
        ),
        ("by another link", is_mailed(&plan, "ann", "cy", &own)),
        ("forged", is_mailed(&plan, "ann", "cy", &Delegated { delegation: forged, ..genuine() })),
        (
            "another reason",
            is_mailed(&plan, "ann", "cy", &Delegated { delegation: other_reason, ..genuine() }),
        ),
    ] {
        assert!(!is_mailed, "{what}");
    }
    let forbidden = Plan::asking(v1::Submission::default(), address("sue"), Vec::new());
    assert!(!is_mailed(&forbidden, "ann", "cy", &genuine()), "the rule does not allow it");
}
