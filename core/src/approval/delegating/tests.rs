use countersign_protos::{
    Chain, GenuineLink, LinkContext, LinkKeys, Statement, TEST_KEYS, Verdict, comment_hash,
    v1::Proof,
};
use jiff::Timestamp;

use super::*;
use crate::{
    approval::{
        Ballot, Due, Invited, Level, OnDeadline, Operators, Quorum, Receipt, Restrictions,
        StagePlan, Whom,
    },
    outcome::Superseded,
    testing::{address, addresses},
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_509_000 + seconds).expect("in range")
}

/// The link of somebody's seat.
fn link(round: u32, reviewer: &str) -> GenuineLink {
    let keys: LinkKeys = TEST_KEYS[0].parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    keys.first().link(LinkContext { round, ..LinkContext::new(chain, "v1:0", reviewer) })
}

fn invited(round: u32, reviewer: &str, instead_of: Option<&str>) -> Invited {
    let link = link(round, reviewer);
    let invited = Invited::new(address(reviewer), link.hash().as_str().to_owned());
    let (key, instead_of) = (link.public_key(), instead_of.map(address));
    Invited { round, key, instead_of, ..invited }
}

fn delegation(by: &GenuineLink, to: &str, reason: &str) -> Delegation {
    let (link, to) = (by.hash().as_str().to_owned(), address(to));
    let reason_hash = comment_hash(reason);
    let proof = by.prove(Statement::Delegate { to: to.as_str(), reason: &reason_hash }, at(0));
    Delegation { link, to, reason: reason.into(), left_out: None, proof }
}

/// Ann and Bob, who may delegate to people of this domain.
fn asking(delegate_to: &[&str]) -> Approval {
    let reviewers = addresses(&["ann", "bob"]);
    let level = Level { reviewers, keep_earlier: false, fallback: false };
    let plan = StagePlan {
        name: "finance".into(),
        quorum: Quorum::All,
        on_deadline: OnDeadline::Expire,
        levels: vec![level],
    };
    let restrictions = Restrictions {
        delegate_to: delegate_to.iter().map(|domain| (*domain).to_owned()).collect(),
        operators: Operators::BY_RULES,
        ..Restrictions::default()
    };
    let mut approval = Approval::restricted(address("sue"), vec![plan], restrictions);
    let due = Due { deadline: at(100), reminders: vec![] };
    approval.ask(vec![invited(0, "ann", None), invited(0, "bob", None)], Some(due), at(0));
    approval
}

fn press(approval: &mut Approval, link: &GenuineLink) -> Receipt {
    let claim = Claim::Link(link.hash().as_str().to_owned());
    let proof = Some(link.sign(Verdict::Approve, "", at(3)));
    approval.vote(Ballot { proof, ..Ballot::new(claim, Verdict::Approve, String::new()) }, at(3))
}

#[test]
fn a_reviewer_has_a_colleague_asked_who_then_decides_in_their_place() {
    let mut approval = asking(&["example.com"]);
    let ann = link(0, "ann");
    assert_eq!(approval.delegate(delegation(&ann, "cy", "he knows laptops"), at(1)), Ok(()));
    assert!(approval.is_about_to_supersede(&Claim::Link(ann.hash().as_str().into())), "at once");
    let whom = Whom::Replacement(address("ann"), address("cy"));
    assert_eq!(approval.to_ask().map(|to_ask| to_ask.whom), Some(whom));
    let superseded = approval.ask(vec![invited(2, "cy", Some("ann"))], None, at(2));
    assert_eq!(superseded.len(), 1);
    assert_eq!(press(&mut approval, &ann), Receipt::Superseded);
    let to = address("cy");
    assert_eq!(approval.superseded(&address("ann")), Some(Superseded::Delegated { to: &to }));

    // Cy passes it on, and Dee gets a new link.
    let cy = link(2, "cy");
    assert_eq!(approval.delegate(delegation(&cy, "dee", "on a train"), at(2)), Ok(()));
    approval.ask(vec![invited(3, "dee", Some("cy"))], None, at(2));
    approval.reissue(None, "op".into(), at(2)).expect("Bob and Dee");
    approval.ask(vec![invited(4, "bob", None)], None, at(2));
    approval.ask(vec![invited(5, "dee", Some("cy"))], None, at(2));
    for link in [link(4, "bob"), link(5, "dee")] {
        assert_eq!(press(&mut approval, &link), Receipt::Counted);
    }
    assert!(approval.is_final(), "two of two have approved");
    let stage = &approval.stages()[0];
    let delegations = stage.delegations().into_iter();
    let delegations: Vec<_> = delegations
        .map(|(from, delegation, at)| (from.reviewer.as_str(), &*delegation.reason, at))
        .collect();
    assert_eq!(
        delegations,
        [("ann@example.com", "he knows laptops", at(1)), ("cy@example.com", "on a train", at(2))]
    );
    let voters = stage.votes().into_iter();
    let chosen: Vec<bool> = voters.map(|(seat, _)| approval.is_chosen_by_operator(seat)).collect();
    assert_eq!(chosen, [false, false], "an operator has chosen nobody");
}

#[test]
fn who_an_operator_has_chosen_is_so_whoever_they_delegate_to() {
    let mut approval = asking(&["example.com"]);
    let operators = Operators::default();
    approval.restrictions = Restrictions { operators, ..approval.restrictions.clone() };
    approval.reassign(address("ann"), address("cy"), "op".into(), at(1)).expect("possible");
    approval.ask(vec![invited(2, "cy", Some("ann"))], None, at(1));
    approval.delegate(delegation(&link(2, "cy"), "dee", "on a train"), at(2)).expect("possible");
    approval.ask(vec![invited(3, "dee", Some("cy"))], None, at(2));
    let chosen = |seat: usize| approval.is_chosen_by_operator(&approval.stages()[0].seats()[seat]);
    assert_eq!([0, 1, 2, 3].map(chosen), [false, false, true, true]);
}

#[test]
fn a_delegation_by_a_bare_link_or_a_forged_proof_does_nothing() {
    let (ann, bob) = (link(0, "ann"), link(0, "bob"));
    let genuine = || delegation(&ann, "cy", "he knows laptops");
    let vote = ann.sign(Verdict::Approve, "he knows laptops", at(0));
    let forged = [
        Delegation { proof: Proof::default(), ..genuine() },
        Delegation { proof: vote, ..genuine() },
        Delegation { proof: delegation(&bob, "cy", "he knows laptops").proof, ..genuine() },
        Delegation { proof: delegation(&ann, "eve", "he knows laptops").proof, ..genuine() },
        Delegation { to: address("eve"), ..genuine() },
        Delegation { to: "cy+x@example.com".parse().expect("an address"), ..genuine() },
        Delegation { reason: "He knows laptops".into(), ..genuine() },
        Delegation {
            left_out: Some(comment_hash("he knows laptops")),
            reason: "x".into(),
            ..genuine()
        },
        Delegation { link: bob.hash().as_str().into(), ..genuine() },
    ];
    let before = asking(&["example.com"]);
    for forged in forged {
        let mut approval = before.clone();
        let refused = approval.delegate(forged.clone(), at(1));
        assert_eq!(refused, Err(NotDelegated::NotProven), "{forged:?}");
        assert_eq!(approval, before, "{forged:?}");
        let recorded = Entry::Delegated { delegation: forged, at: at(1) };
        assert!(!approval.repeat(recorded), "nor does a journal that says so");
    }
    let left_out = Some(comment_hash("he knows laptops"));
    let brief = Delegation { reason: String::new(), left_out, ..genuine() };
    let mut approval = before;
    assert_eq!(approval.delegate(brief, at(1)), Ok(()), "the reason was there");
}

#[test]
fn a_reviewer_delegates_only_as_the_rule_allows_and_nobody_is_asked_twice() {
    let delegate = |approval: &Approval, to: &str, reason: &str| {
        approval.clone().delegate(delegation(&link(0, "ann"), to, reason), at(1))
    };
    let allowed = asking(&["example.com"]);
    for (domains, refused) in [(&[][..], true), (&["example.org"], true), (&["example.com"], false)]
    {
        let result = delegate(&asking(domains), "cy", "why");
        assert_eq!(result == Err(NotDelegated::NotAllowed), refused, "{domains:?}");
    }
    let not = |why: NotReassigned| Err(NotDelegated::NotReplaced(why));
    assert_eq!(delegate(&allowed, "cy", " \u{200B}"), Err(NotDelegated::NoReason));
    assert_eq!(delegate(&allowed, "sue+x", "why"), not(NotReassigned::Submitter));
    assert_eq!(delegate(&allowed, "bob", "why"), not(NotReassigned::AskedAlready));
    assert_eq!(delegate(&allowed, "ann", "why"), not(NotReassigned::AskedAlready));

    let mut approval = allowed.clone();
    approval.delegate(delegation(&link(0, "ann"), "cy", "why"), at(1)).expect("possible");
    assert_eq!(delegate(&approval, "dee", "why"), not(NotReassigned::NotAsked), "once");
    let deputy = Invited { on_behalf_of: Some(address("cy")), ..invited(2, "dee", Some("ann")) };
    approval.ask(vec![deputy], None, at(2));
    let back = delegation(&link(2, "dee"), "ann", "no time");
    assert_eq!(approval.delegate(back, at(3)), not(NotReassigned::AskedAlready), "not back");
    let on = delegation(&link(2, "dee"), "eve", "no time");
    assert_eq!(approval.delegate(on, at(3)), Ok(()));
    let taken = approval.to_ask().expect("Eve").taken;
    for before in ["ann", "bob", "dee"] {
        assert!(taken.contains(&address(before)), "{before} is not Eve's deputy either");
    }
    let as_deputy =
        Invited { on_behalf_of: Some(address("eve")), ..invited(3, "ann", Some("dee")) };
    assert_eq!(approval.ask(vec![as_deputy], None, at(4)), [], "so Dee keeps her place");
    assert_eq!(approval.stages()[0].delegations().len(), 1, "and has delegated to nobody");
    let late = delegation(&link(0, "bob"), "fay", "why");
    press(&mut approval, &link(0, "bob"));
    assert_eq!(approval.delegate(late, at(5)), not(NotReassigned::NotAsked), "he has decided");
}
