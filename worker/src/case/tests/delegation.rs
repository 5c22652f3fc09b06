//! A reviewer has a colleague asked by their link.

use countersign_protos::{GenuineLink, LinkContext, Statement};

use super::*;
use crate::{approval::Restrictions, leaves::Leaves};

/// Reviewers may delegate to people at example.com.
fn delegating() -> Plan {
    let delegate_to = vec!["example.com".to_owned()];
    Plan { restrictions: Restrictions { delegate_to, ..Restrictions::default() }, ..plan() }
}

/// Ann and Bob are asked, and have their mails.
fn asked() -> Case {
    let mut case = Case::default();
    begin_with(&mut case, &delegating());
    issue(&mut case);
    case.all_sent();
    case
}

/// Has the links issued that are to be issued.
fn issue(case: &mut Case) -> String {
    let Step::Issue { summary, issue, .. } = case.next(NOW) else { panic!("nobody to ask") };
    let (plan, keys) = (delegating(), testing::keys());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: keys.first() };
    let invited = leaves.invite(&issue.to_ask, None, NOW);
    let issued = testing::issued(&issue, &["a", "b"]);
    case.handle(Event::LinksIssued(Issued { invited, ..issued }), NOW);
    summary
}

fn link(round: u32, reviewer: &str, instead_of: &str) -> GenuineLink {
    let digest = delegating().digest;
    let reviewer = address(reviewer);
    testing::keys().first().link(LinkContext {
        round,
        instead_of,
        ..LinkContext::new(CHAIN, &digest, reviewer.as_str())
    })
}

fn delegation(by: &GenuineLink, to: &str) -> v1::Reassignment {
    let (to, reason) = (full(to), "she knows laptops".to_owned());
    let statement = Statement::Delegate { to: &to, reason: &comment_hash(&reason) };
    let (link, proof) = (by.hash().as_str().to_owned(), Some(by.prove(statement, NOW)));
    v1::Reassignment { link, to, reason, proof, ..v1::Reassignment::default() }
}

fn send(case: &mut Case, delegation: &v1::Reassignment) {
    let payload = payload::encode(delegation, Encoding::JsonPlain);
    case.send(names::SIGNAL_REASSIGN, &[payload], NOW);
}

fn press(case: &mut Case, link: &GenuineLink) {
    let decision = v1::Decision {
        link: link.hash().as_str().to_owned(),
        proof: Some(link.sign(Verdict::Approve, "", NOW)),
        ..v1::Decision::default()
    };
    let payload = payload::encode(&decision, Encoding::JsonPlain);
    case.decide(Verdict::Approve, &[payload], NOW);
}

#[test]
fn a_colleague_is_mailed_for_whom_by_whom_and_why_and_the_delegator_is_not_mailed() {
    let mut case = asked();
    let ann = link(0, "ann", "");
    send(&mut case, &delegation(&ann, "cy"));
    send(&mut case, &delegation(&ann, "cy"));
    assert!(case.has_changed() && case.reasons().is_empty(), "the second changes nothing");
    press(&mut case, &ann);
    let summary = issue(&mut case);
    assert_eq!(summary, "Issue an approval link for Finance, since ann@example.com delegates");
    assert_eq!(case.votes(), 0);
    let why = "approve: somebody else was asked instead of ann@example.com";
    assert_eq!(case.reasons(), [why]);
    let told = case.new_delegations();
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&*told.stage, &*told.link), ("Finance", ann.hash().as_str()));
    assert_eq!((told.from.as_str(), told.to.as_str()), ("ann@example.com", "cy@example.com"));
    assert!(case.new_delegations().is_empty());

    let wait = case.next_wait(NOW);
    let [request] = &wait.requests[..] else { panic!("{wait:?}") };
    assert_eq!((&request.reviewer, &request.instead_of), (&address("cy"), &Some(address("ann"))));
    let delegated = request.delegated.as_ref().expect("a delegation");
    assert_eq!((delegated.round, &*delegated.delegation.reason), (0, "she knows laptops"));
    assert!(request.reassigned_by.is_none());
    assert!(case.start_notices().is_empty(), "Ann's page says so");

    let stage = &case.status().stages[0];
    let [shown] = &stage.delegations[..] else { panic!("{stage:?}") };
    assert_eq!((&*shown.reviewer, &*shown.to), ("ann@example.com", "cy@example.com"));
    assert_eq!(case.status().delegate_to, ["example.com"]);
    let said = "ann@example.com had cy@example.com asked instead: she knows laptops";
    assert!(case.details().contains(said), "{}", case.details());

    let mut next = Case::default();
    next.resume(left(&case), NOW);
    assert!(next.new_delegations().is_empty(), "the run before has told of it");
    for link in [link(2, "cy", "ann@example.com"), link(0, "bob", "")] {
        press(&mut next, &link);
    }
    let outcome = next.outcome();
    assert_eq!(outcome.status(), v1::Status::Approved);
    assert!(!outcome.operator && outcome.operator_actions.is_empty(), "{outcome:?}");
    assert_eq!(outcome.stages[0].delegations.len(), 1);
}

#[test]
fn a_delegation_that_nobody_has_signed_is_counted_as_ignored_and_changes_nothing() {
    let mut case = asked();
    let (ann, bob) = (link(0, "ann", ""), link(0, "bob", ""));
    let before = case.status();
    let bare = v1::Reassignment { proof: None, ..delegation(&ann, "cy") };
    let forged = v1::Reassignment { proof: delegation(&bob, "cy").proof, ..delegation(&ann, "cy") };
    let other = v1::Reassignment { to: full("eve"), ..delegation(&ann, "cy") };
    let both = v1::Reassignment { reviewer: full("ann"), ..delegation(&ann, "cy") };
    for delegation in [&bare, &forged, &other, &both, &delegation(&ann, "bob")] {
        send(&mut case, delegation);
    }
    let unproven = "the signature does not hold: only a reviewer's own link can delegate";
    assert_eq!(
        case.reasons(),
        [
            "reassign: `proof` is missing, without which a `link` delegates nothing".to_owned(),
            format!("reassign: {unproven} (to cy@example.com)"),
            format!("reassign: {unproven} (to eve@example.com)"),
            "reassign: both `link` and `reviewer` are given (ann@example.com)".to_owned(),
            "reassign: the new reviewer, or their deputy, is asked in this stage already (to \
             bob@example.com)"
                .to_owned(),
        ]
    );
    let after = case.status();
    assert_eq!((after.stages, after.operator_actions), (before.stages, before.operator_actions));
    assert!(!case.has_changed() && case.new_delegations().is_empty());
}
