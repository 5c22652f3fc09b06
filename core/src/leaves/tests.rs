use std::sync::LazyLock;

use countersign_protos::{LinkKeys, comment_hash, v1};
use proptest::prelude::*;

use super::*;
use crate::{
    approval::{Ballot, By, Claim, OnDeadline, Quorum, Status, Verdict},
    outcome::{claims, outcome},
    policy::{Absence, PlannedLevel, PlannedStage, TimePlan},
    testing::{address, addresses},
};

const KEY: &str = "CvguqOKqVKDK860eZ7NyUp5e5MtC5eQUsOsNC5Xq378=";
const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_509_000 + seconds).expect("in range")
}

/// Ann and Bob, of whom Bob is away, or after an hour the boss; then the CFO.
fn plan() -> Plan {
    let time = || TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] };
    let stage = |name: &str, people: &[&str], escalations| PlannedStage {
        name: name.into(),
        reviewers: addresses(people),
        quorum: Quorum::All,
        time: time(),
        on_deadline: OnDeadline::Expire,
        escalations,
    };
    let boss = PlannedLevel {
        reviewers: addresses(&["boss"]),
        time: time(),
        keep_earlier: false,
        fallback: false,
    };
    let stages =
        vec![stage("Managers", &["ann", "bob"], vec![boss]), stage("Finance", &["cfo"], vec![])];
    let submission = v1::Submission { submission_id: "PO-1".into(), ..Default::default() };
    let mut plan = Plan::asking(submission, address("sue"), stages);
    let (from, to) = (at(-86_400), at(86_400));
    plan.absences = vec![Absence {
        reviewer: address("bob"),
        deputy: address("dee"),
        from: plan.calendar.clone().unwrap_or_default().date(from),
        to: plan.calendar.clone().unwrap_or_default().date(to),
    }];
    plan
}

fn key() -> LinkKey {
    KEY.parse::<LinkKeys>().expect("a key").first().clone()
}

/// Asks who is to be asked, and returns their links.
fn ask(leaves: &Leaves<'_>, approval: &mut Approval, seconds: i64) -> Vec<GenuineLink> {
    let to_ask = approval.to_ask().expect("somebody to ask");
    let invited = leaves.invite(&to_ask, None, at(seconds));
    let instead_of = match &to_ask.whom {
        Whom::Level(_) => None,
        Whom::Replacement(from, _) => Some(from),
        Whom::Reissue { instead_of, .. } => instead_of.as_ref(),
    };
    let links = invited.iter().map(|one| {
        leaves.link(SeatOf {
            stage: to_ask.stage,
            round: to_ask.round,
            reviewer: &one.reviewer,
            on_behalf_of: one.on_behalf_of.as_ref(),
            instead_of,
        })
    });
    let links = links.collect();
    let due = matches!(to_ask.whom, Whom::Level(_))
        .then(|| crate::approval::Due { deadline: at(seconds + 3_600), reminders: vec![] });
    approval.ask(invited, due, at(seconds));
    links
}

fn press(approval: &mut Approval, link: &GenuineLink, verdict: Verdict, seconds: i64) {
    let proof = Some(link.sign(verdict, "ok", at(seconds)));
    let claim = Claim::Link(link.hash().as_str().to_owned());
    approval.vote(Ballot { proof, ..Ballot::new(claim, verdict, "ok".into()) }, at(seconds));
}

/// Everybody presses, after Ann was replaced by Cy.
fn decided(leaves: &Leaves<'_>) -> Approval {
    let mut approval = begin(leaves.plan, at(0));
    let managers = ask(leaves, &mut approval, 0);
    approval.reassign(address("ann"), address("cy"), "op".into(), at(1)).expect("possible");
    let cy = ask(leaves, &mut approval, 2);
    press(&mut approval, &cy[0], Verdict::Approve, 3);
    press(&mut approval, &managers[1], Verdict::Approve, 4);
    let cfo = ask(leaves, &mut approval, 5);
    press(&mut approval, &cfo[0], Verdict::Approve, 6);
    approval
}

#[test]
fn an_outcome_is_recomputed_from_what_certifies_itself() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let approval = decided(&leaves);
    assert!(matches!(approval.status(), Status::Approved(..)));
    let again = leaves.recompute(at(0), approval.journal().to_vec()).expect("genuine");
    assert_eq!(again, approval);
    let signed = claims(&outcome(&plan, &again, CHAIN), CHAIN);
    assert_eq!((signed.basis.as_str(), signed.operator), ("people", true), "Cy was named");
    assert_eq!(signed.decided_at, at(6).to_string());

    let other = Leaves { chain: Chain { first_run_id: "other", ..CHAIN }, ..leaves };
    assert_eq!(other.recompute(at(0), approval.journal().to_vec()), Err(Contradiction(0)));
    let mut another = plan.clone();
    another.digest = "v1:another".into();
    let other = Leaves { plan: &another, ..leaves };
    assert_eq!(other.recompute(at(0), approval.journal().to_vec()), Err(Contradiction(0)));
}

#[test]
fn whoever_is_asked_follows_from_the_plan() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let approval = decided(&leaves);
    let asked = |change: fn(&mut Vec<Invited>)| {
        let mut journal = approval.journal().to_vec();
        let Entry::Asked { invited, .. } = &mut journal[0] else { panic!("nobody was asked") };
        change(invited);
        leaves.recompute(at(0), journal)
    };
    let forged: [fn(&mut Vec<Invited>); 7] = [
        |invited| invited[0].reviewer = address("eve"),
        |invited| invited[1].on_behalf_of = None,
        |invited| invited[0].link = "eve".into(),
        // With it she could sign votes herself.
        |invited| invited[0].key = "eve".into(),
        |invited| invited[0].round = 1,
        |invited| drop(invited.pop()),
        |invited| invited.push(invited[0].clone()),
    ];
    for change in forged {
        assert_eq!(asked(change), Err(Contradiction(0)));
    }
    let mut journal = approval.journal().to_vec();
    let Entry::Asked { invited, .. } = &mut journal[2] else { panic!("Cy was not asked") };
    invited[0].reviewer = address("eve");
    assert_eq!(leaves.recompute(at(0), journal), Err(Contradiction(2)));
    // A link that was really issued, to somebody other than the operator has named.
    let mut journal = approval.journal().to_vec();
    let before = leaves.recompute(at(0), journal[..2].to_vec()).expect("genuine");
    let to_ask = before.to_ask().expect("somebody to replace");
    let Entry::Asked { invited, .. } = &mut journal[2] else { panic!("Cy was not asked") };
    *invited = vec![leaves.invited(&to_ask, address("eve"), None)];
    assert_eq!(leaves.recompute(at(0), journal), Err(Contradiction(2)));
}

#[test]
fn a_new_link_is_for_exactly_whom_the_old_one_was_for() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let mut approval = begin(&plan, at(0));
    let old = ask(&leaves, &mut approval, 0);
    approval.reissue(None, "op".into(), at(1)).expect("possible");
    let new = [ask(&leaves, &mut approval, 2), ask(&leaves, &mut approval, 3)].concat();
    press(&mut approval, &old[0], Verdict::Reject, 4);
    for link in &new {
        assert!(old.iter().all(|old| old.hash() != link.hash()));
        press(&mut approval, link, Verdict::Approve, 5);
    }
    let cfo = ask(&leaves, &mut approval, 6);
    press(&mut approval, &cfo[0], Verdict::Approve, 7);
    let again = leaves.recompute(at(0), approval.journal().to_vec()).expect("genuine");
    assert_eq!(again, approval);

    let outcome = outcome(&plan, &again, CHAIN);
    let managers = &outcome.stages[0];
    let dee = &managers.decisions[1];
    assert_eq!((&*dee.reviewer, &*dee.on_behalf_of), ("dee@example.com", "bob@example.com"));
    assert!(managers.undecided.is_empty(), "{managers:?}");
    assert_eq!(outcome.operator_actions[0].action, "reissue");
    assert!(!claims(&outcome, CHAIN).operator, "nobody was chosen");

    let forged: [fn(&mut Vec<Invited>); 6] = [
        |invited| invited[0].reviewer = address("eve"),
        |invited| invited[0].on_behalf_of = None,
        |invited| invited[0].instead_of = Some(address("ann")),
        |invited| invited[0].key = "eve".into(),
        |invited| invited.clear(),
        |invited| invited.push(invited[0].clone()),
    ];
    for change in forged {
        let mut journal = approval.journal().to_vec();
        let Entry::Asked { invited, .. } = &mut journal[3] else { panic!("Dee has no new link") };
        change(invited);
        assert_eq!(leaves.recompute(at(0), journal), Err(Contradiction(3)));
    }
}

/// A state that somebody else has written says who has which seat.
#[test]
fn whose_link_was_never_issued_gets_no_new_one() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let mut approval = begin(&plan, at(0));
    ask(&leaves, &mut approval, 0);
    approval.reissue(Some(address("ann")), "op".into(), at(1)).expect("possible");
    let to_ask = approval.to_ask().expect("somebody to ask");
    let Whom::Reissue { old_link, .. } = &to_ask.whom else { panic!("{to_ask:?}") };
    let issued = |reviewer: &str, on_behalf_of: Option<&str>, instead_of: Option<&str>, old_round| {
        let whom = Whom::Reissue {
            reviewer: address(reviewer),
            on_behalf_of: on_behalf_of.map(address),
            instead_of: instead_of.map(address),
            old_round,
            old_link: old_link.clone(),
        };
        leaves.invite(&ToAsk { whom, ..to_ask.clone() }, None, at(2)).len()
    };
    assert_eq!(issued("ann", None, None, 0), 1);
    assert_eq!(issued("eve", None, None, 0), 0);
    assert_eq!(issued("eve", Some("ann"), None, 0), 0, "not as a deputy either");
    assert_eq!(issued("ann", None, Some("bob"), 0), 0);
    assert_eq!(issued("ann", None, None, 1), 0);
}

#[test]
fn what_could_not_have_happened_is_refused() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let journal = decided(&leaves).journal().to_vec();
    for left_out in [0, 1, 2, 5] {
        let mut fewer = journal.clone();
        fewer.remove(left_out);
        assert!(leaves.recompute(at(0), fewer).is_err(), "without entry {left_out}");
    }
    let mut twice = journal.clone();
    twice.insert(4, journal[3].clone());
    assert_eq!(leaves.recompute(at(0), twice), Err(Contradiction(4)), "a vote counts once");
}

#[test]
fn only_a_proof_that_holds_makes_a_vote_the_reviewers_own() {
    let (plan, key) = (plan(), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let mut approval = begin(&plan, at(0));
    let links = ask(&leaves, &mut approval, 0);
    let hash = || Claim::Link(links[0].hash().as_str().to_owned());
    let proof = links[0].sign(Verdict::Approve, "ok", at(1));
    let by = |ballot: Ballot| {
        let mut approval = approval.clone();
        approval.vote(Ballot { identity: "mallory@laptop".into(), ..ballot }, at(2));
        approval.stages()[0].seats()[0].vote.clone().expect("it counts").by
    };
    let proven = |verdict, comment: &str| Ballot {
        proof: Some(proof.clone()),
        ..Ballot::new(hash(), verdict, comment.into())
    };
    assert_eq!(by(proven(Verdict::Approve, "ok")), By::Link(proof.clone()));
    let short = Ballot { left_out: Some(comment_hash("ok")), ..proven(Verdict::Approve, "") };
    let voted = |ballot: &Ballot| [Entry::Voted { ballot: ballot.clone(), at: at(1) }];
    assert!(is_brief(&voted(&short)) && !is_brief(&voted(&proven(Verdict::Approve, ""))));
    assert_eq!(by(short), By::Link(proof.clone()), "without its comment");
    let operator = By::Operator("mallory@laptop".into());
    let bobs = links[1].sign(Verdict::Approve, "ok", at(1));
    for unproven in [
        proven(Verdict::Reject, "ok"),
        proven(Verdict::Approve, "OK"),
        Ballot { left_out: Some(comment_hash("ok")), ..proven(Verdict::Approve, "forged") },
        Ballot::new(hash(), Verdict::Approve, "ok".into()),
        Ballot::new(Claim::Reviewer(address("ann")), Verdict::Approve, "ok".into()),
        Ballot { proof: Some(bobs), ..proven(Verdict::Approve, "ok") },
        Ballot { proof: Some(v1::Proof::default()), ..proven(Verdict::Approve, "ok") },
    ] {
        assert_eq!(by(unproven.clone()), operator, "{unproven:?}");
    }
}

static GENUINE: LazyLock<(Plan, LinkKey, Approval)> = LazyLock::new(|| {
    let (plan, key) = (plan(), key());
    let approval = decided(&Leaves { chain: CHAIN, plan: &plan, key: &key });
    (plan, key, approval)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// No byte of a journal can be changed so that somebody else has decided.
    #[test]
    fn a_changed_journal_is_refused_or_decides_the_same(
        at_byte in any::<prop::sample::Index>(), byte: u8
    ) {
        let (plan, key, genuine) = &*GENUINE;
        let leaves = Leaves { chain: CHAIN, plan, key };
        let mut json = serde_json::to_vec(genuine.journal()).expect("JSON");
        let at_byte = at_byte.index(json.len());
        json[at_byte] = byte;
        let Ok(journal) = serde_json::from_slice::<Vec<Entry>>(&json) else { return Ok(()) };
        let Ok(changed) = leaves.recompute(at(0), journal) else { return Ok(()) };
        let by_link = |approval: &Approval| -> Vec<_> {
            let seats = approval.stages().iter().flat_map(|stage| stage.seats().to_vec());
            let votes = seats.filter_map(|seat| {
                let vote = seat.vote?;
                let own = matches!(vote.by, By::Link(_));
                own.then_some((seat.link, vote.verdict, vote.comment))
            });
            votes.collect()
        };
        // A vote that was made unreadable becomes an operator's, and is shown as such.
        for vote in by_link(&changed) {
            prop_assert!(by_link(genuine).contains(&vote), "{vote:?}");
        }
    }
}
