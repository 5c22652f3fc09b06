use std::sync::LazyLock;

use countersign_protos::{
    ApprovalId, Claims, Jwks, LinkKeys, Sealing, Statement,
    answers::{self, Answers},
    comment_hash, v1,
};
use proptest::prelude::*;

use super::*;
use crate::{
    approval::{
        Ballot, By, Claim, Delegation, OnDeadline, Operators, Quorum, Restrictions, Status,
        UNKNOWN, Verdict,
    },
    outcome::{claims, outcome},
    policy::{Absence, PlannedLevel, PlannedStage, TimePlan},
    testing::{address, addresses},
};

const KEY: &str = countersign_protos::TEST_KEYS[0];
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
        deputy: Some(address("dee")),
        from: plan.calendar.clone().unwrap_or_default().date(from),
        to: plan.calendar.clone().unwrap_or_default().date(to),
    }];
    plan
}

fn keys() -> LinkKeys {
    KEY.parse().expect("a key")
}

fn key() -> LinkKey {
    keys().first().clone()
}

/// Asks who is to be asked, and returns their links.
fn ask(leaves: &Leaves<'_>, approval: &mut Approval, seconds: i64) -> Vec<GenuineLink> {
    let to_ask = approval.to_ask().expect("somebody to ask");
    let invited = leaves.invite(&to_ask, None, at(seconds));
    let instead_of = match &to_ask.whom {
        Whom::Level(_) | Whom::Submitter => None,
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

/// Ann, and what she has delegated to Cy.
fn delegated(leaves: &Leaves<'_>) -> (Approval, Vec<GenuineLink>) {
    let mut approval = begin(leaves.plan, at(0));
    let managers = ask(leaves, &mut approval, 0);
    let (to, reason) = (address("cy"), "knows laptops".to_owned());
    let statement = Statement::Delegate { to: to.as_str(), reason: &comment_hash(&reason) };
    let (proof, left_out) = (managers[0].prove(statement, at(1)), None);
    let link = managers[0].hash().as_str().to_owned();
    approval.delegate(Delegation { link, to, reason, left_out, proof }, at(1)).expect("possible");
    let cy = ask(leaves, &mut approval, 2);
    (approval, [managers, cy].concat())
}

#[test]
fn a_delegation_is_recomputed_from_its_proof_and_is_no_operators() {
    let (mut plan, key) = (plan(), key());
    plan.restrictions.delegate_to = vec!["example.com".into()];
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let (mut approval, links) = delegated(&leaves);
    for link in [&links[2], &links[1]] {
        press(&mut approval, link, Verdict::Approve, 3);
    }
    let cfo = ask(&leaves, &mut approval, 4);
    press(&mut approval, &cfo[0], Verdict::Approve, 5);
    let journal = approval.journal().to_vec();
    let again = leaves.recompute(at(0), journal.clone()).expect("genuine");
    assert_eq!(again, approval);
    let outcome = outcome(&plan, &again, CHAIN);
    assert!(!claims(&outcome, CHAIN).operator, "nobody but reviewers had a part");
    assert!(outcome.operator_actions.is_empty());
    let [delegation] = &outcome.stages[0].delegations[..] else { panic!("{outcome:?}") };
    let said = [&delegation.reviewer, &delegation.to, &delegation.reason].map(String::as_str);
    assert_eq!(said, ["ann@example.com", "cy@example.com", "knows laptops"]);
    assert_eq!(outcome.stages[0].decisions[0].instead_of, "ann@example.com");

    type Change = fn(&mut Delegation);
    let forged: [Change; 5] = [
        |delegation| delegation.to = address("eve"),
        |delegation| delegation.reason = "knows Eve".into(),
        |delegation| delegation.proof = v1::Proof::default(),
        |delegation| delegation.link = "eve".into(),
        |delegation| delegation.left_out = Some("eve".into()),
    ];
    for (number, change) in forged.into_iter().enumerate() {
        let mut journal = journal.clone();
        let Entry::Delegated { delegation, .. } = &mut journal[1] else { panic!("{journal:?}") };
        change(delegation);
        let refused = leaves.recompute(at(0), journal);
        // A hash beside the reason itself says nothing.
        assert_eq!(refused.is_ok(), number == 4, "{number}: {refused:?}");
    }
    let mut by_operator = journal.clone();
    let (from, to, identity) = (address("ann"), address("cy"), "op".to_owned());
    by_operator[1] = Entry::Reassigned { from, to, identity, at: at(1) };
    let by_operator = leaves.recompute(at(0), by_operator).expect("an operator may");
    let named = claims(&crate::outcome::outcome(&plan, &by_operator, CHAIN), CHAIN);
    assert!(named.operator, "and the server has to have their signal");
    let forbidden = Plan { restrictions: Restrictions::default(), ..plan.clone() };
    let forbidden = Leaves { plan: &forbidden, ..leaves };
    assert_eq!(forbidden.recompute(at(0), journal), Err(Contradiction(1)));
}

#[test]
fn who_is_away_without_a_deputy_gets_no_link() {
    let (mut plan, key) = (plan(), key());
    plan.absences[0].deputy = None;
    let recorded = serde_json::to_string(&plan).expect("JSON");
    let plan: Plan = serde_json::from_str(&recorded).expect("a plan");
    let mut approval = begin(&plan, at(0));
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let links = ask(&leaves, &mut approval, 0);
    let asked: Vec<&EmailAddress> =
        approval.stages()[0].seats().iter().map(|seat| &seat.reviewer).collect();
    assert_eq!(asked, [&address("ann")], "Bob is away");
    press(&mut approval, &links[0], Verdict::Approve, 1);
    assert!(approval.stages()[0].end().is_some(), "all others have approved");
    let again = leaves.recompute(at(0), approval.journal().to_vec()).expect("genuine");
    assert_eq!(again, approval);
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
    let issued =
        |reviewer: &str, on_behalf_of: Option<&str>, instead_of: Option<&str>, old_round| {
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

    let by = |plan: &Plan, restrictions: Restrictions, journal: &[Entry]| {
        let plan = Plan { restrictions, ..plan.clone() };
        Leaves { plan: &plan, ..leaves }.recompute(at(0), journal.to_vec()).map(drop)
    };
    let operators = |operators| Restrictions { operators, ..Restrictions::default() };
    let by_operator = {
        let mut journal = journal.clone();
        let Entry::Voted { ballot, .. } = &mut journal[3] else { panic!("Cy has not voted") };
        ballot.proof = None;
        journal
    };
    let withdrawn = |identity: &str| {
        let (reason, identity) = (String::new(), identity.to_owned());
        [&journal[..3], &[Entry::Withdrawn { reason, identity, signed: None, at: at(3) }]].concat()
    };
    let no_votes = Operators { may_decide: false, ..Operators::default() };
    let elsewhere = Some(vec!["elsewhere.example".to_owned()]);
    let elsewhere = Operators { may_reassign_to: elsewhere, ..Operators::default() };
    let no_withdrawal = Operators { may_withdraw: false, ..Operators::default() };
    let silent = {
        let mut journal = journal.clone();
        let Entry::Voted { ballot, .. } = &mut journal[3] else { panic!("Cy has not voted") };
        (ballot.comment, ballot.proof) = (String::new(), None);
        journal
    };
    let with_comment =
        Restrictions { comment_required: vec![Verdict::Approve], ..Restrictions::default() };
    for (restrictions, journal, entry) in [
        (with_comment, silent, 3),
        (operators(no_votes), by_operator, 3),
        (operators(elsewhere), journal.clone(), 1),
        (operators(no_withdrawal.clone()), withdrawn("op"), 3),
    ] {
        assert_eq!(by(&plan, Restrictions::default(), &journal), Ok(()), "nothing forbids it");
        let refused = by(&plan, restrictions.clone(), &journal);
        assert_eq!(refused, Err(Contradiction(entry)), "{restrictions:?}");
    }
    let cancelled = by(&plan, operators(no_withdrawal), &withdrawn(UNKNOWN));
    assert_eq!(cancelled, Ok(()), "nobody forbids that");

    // Ann is in both stages.
    let mut plan = plan.clone();
    plan.stages[1].reviewers = addresses(&["ann", "cfo"]);
    let both = Leaves { plan: &plan, ..leaves };
    let mut approval = begin(&plan, at(0));
    for link in ask(&both, &mut approval, 0) {
        press(&mut approval, &link, Verdict::Approve, 1);
    }
    ask(&both, &mut approval, 2);
    assert_eq!(by(&plan, Restrictions::default(), approval.journal()), Ok(()));
    let different_people = Restrictions { different_people: true, ..Restrictions::default() };
    assert_eq!(by(&plan, different_people, approval.journal()), Err(Contradiction(3)));
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

#[test]
fn a_proof_covers_the_answers_also_where_they_were_left_out() {
    let field = v1::Field {
        name: "budget".into(),
        r#type: "number".into(),
        required_for: vec!["approve".into()],
        ..v1::Field::default()
    };
    let (plan, key) = (plan().with_fields(vec![field]), key());
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: &key };
    let mut approval = begin(&plan, at(0));
    let links = ask(&leaves, &mut approval, 0);
    let given = |value: &str| Answers::from([("budget".to_owned(), value.to_owned())]);
    let said = Statement::Vote {
        verdict: Verdict::Approve,
        comment: &comment_hash("ok"),
        answers: &answers::hash(&given("7")),
    };
    let proof = Some(links[0].prove(said, at(1)));
    let ballot = || Ballot {
        proof: proof.clone(),
        ..Ballot::new(Claim::Link(links[0].hash().as_str().into()), Verdict::Approve, "ok".into())
    };
    let is_own = |ballot: Ballot| {
        let mut approval = approval.clone();
        approval.vote(ballot, at(2));
        let vote = approval.stages()[0].seats()[0].vote.clone();
        vote.map(|vote| matches!(vote.by, By::Link(_)))
    };
    assert_eq!(is_own(Ballot { answers: given("7"), ..ballot() }), Some(true));
    assert_eq!(is_own(Ballot { answers: given("8"), ..ballot() }), Some(false));
    let left_out = |value: &str| Some(answers::hash(&given(value)));
    assert_eq!(is_own(Ballot { answers_left_out: left_out("7"), ..ballot() }), Some(true));
    assert_eq!(is_own(Ballot { answers_left_out: left_out("8"), ..ballot() }), Some(false));
    let forged = Ballot { answers: given("8"), answers_left_out: left_out("7"), ..ballot() };
    assert_eq!(is_own(forged), Some(false), "a hash says nothing for others beside it");
    assert_eq!(is_own(ballot()), None, "it is required");
}

static GENUINE: LazyLock<(Plan, LinkKey, Approval)> = LazyLock::new(|| {
    let (plan, key) = (plan(), key());
    let approval = decided(&Leaves { chain: CHAIN, plan: &plan, key: &key });
    (plan, key, approval)
});

/// What of that outcome is signed, the signature, and what checks it.
static SIGNED: LazyLock<(Claims, String, Jwks)> = LazyLock::new(|| {
    let (plan, key, approval) = &*GENUINE;
    let claims = claims(&outcome(plan, approval, CHAIN), CHAIN);
    let jws = key.sign(&claims);
    (claims, jws, keys().jwks())
});

/// The same bytes, except for one.
fn changed(bytes: &[u8], place: prop::sample::Index, by: u8) -> Vec<u8> {
    let (mut changed, place) = (bytes.to_vec(), place.index(bytes.len()));
    changed[place] ^= by;
    changed
}

/// The links that have decided, how, and with which comment.
fn by_link(approval: &Approval) -> Vec<(String, Verdict, String)> {
    let seats = approval.stages().iter().flat_map(|stage| stage.seats().to_vec());
    let votes = seats.filter_map(|seat| {
        let vote = seat.vote?;
        let own = matches!(vote.by, By::Link(_));
        own.then_some((seat.link, vote.verdict, vote.comment))
    });
    votes.collect()
}

fn matching(pattern: &str) -> impl Strategy<Value = String> + use<> {
    prop::string::string_regex(pattern).expect("a pattern")
}

/// Six texts that are much like six others, also in a row.
fn alike() -> impl Strategy<Value = [&'static str; 6]> {
    prop::array::uniform6(prop::sample::select(vec!["", "a", "b", "ab"]))
}

fn context(texts: [&'static str; 6]) -> LinkContext<'static> {
    let [workflow_id, first_run_id, digest, reviewer, on_behalf_of, instead_of] = texts;
    let chain = Chain { workflow_id, first_run_id };
    LinkContext { on_behalf_of, instead_of, ..LinkContext::new(chain, digest, reviewer) }
}

/// It is the same person's, and another mailbox.
#[test]
fn a_seat_in_another_spelling_of_an_address_is_refused() {
    let (plan, key, genuine) = &*GENUINE;
    let mut journal = genuine.journal().to_vec();
    let Entry::Asked { invited, .. } = &mut journal[0] else { panic!("nobody is asked") };
    let other = invited[0].reviewer.as_str().replacen('@', "+x@", 1);
    let before = invited[0].reviewer.clone();
    invited[0].reviewer = other.parse().expect("an address");
    assert_eq!(invited[0].reviewer, before);
    assert!(Leaves { chain: CHAIN, plan, key }.recompute(at(0), journal).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// No byte of a journal can be changed so that somebody else has decided.
    #[test]
    fn a_changed_journal_is_refused_or_decides_the_same(
        place in any::<prop::sample::Index>(), by in 1..=255u8
    ) {
        let (plan, key, genuine) = &*GENUINE;
        let leaves = Leaves { chain: CHAIN, plan, key };
        let json = changed(&serde_json::to_vec(genuine.journal()).expect("JSON"), place, by);
        let Ok(journal) = serde_json::from_slice::<Vec<Entry>>(&json) else { return Ok(()) };
        let Ok(again) = leaves.recompute(at(0), journal) else { return Ok(()) };
        // A vote that was made unreadable becomes an operator's, and is shown as such.
        for vote in by_link(&again) {
            prop_assert!(by_link(genuine).contains(&vote), "{vote:?}");
        }
    }

    #[test]
    fn a_changed_seat_is_refused(
        entry in prop::sample::select(vec![0usize, 2, 5]),
        place in any::<prop::sample::Index>(), by in 1..=255u8
    ) {
        let (plan, key, genuine) = &*GENUINE;
        let mut journal = genuine.journal().to_vec();
        let Entry::Asked { invited, .. } = &mut journal[entry] else { panic!("nobody is asked") };
        let json = changed(&serde_json::to_vec(&*invited).expect("JSON"), place, by);
        let Ok(seats) = serde_json::from_slice::<Vec<Invited>>(&json) else { return Ok(()) };
        // Another spelling of an address may be the same person's, and is another mailbox.
        let is_same = serde_json::to_vec(&seats).expect("JSON")
            == serde_json::to_vec(&*invited).expect("JSON");
        *invited = seats;
        let again = Leaves { chain: CHAIN, plan, key }.recompute(at(0), journal);
        prop_assert!(is_same || again.is_err());
    }

    #[test]
    fn a_changed_vote_is_nobodys_press(place in any::<prop::sample::Index>(), by in 1..=255u8) {
        let (plan, _, genuine) = &*GENUINE;
        let journal = genuine.journal();
        let Entry::Voted { ballot: press, .. } = &journal[4] else { panic!("nobody has voted") };
        let json = changed(&serde_json::to_vec(press).expect("JSON"), place, by);
        let Ok(ballot) = serde_json::from_slice::<Ballot>(&json) else { return Ok(()) };
        let mut approval = replay(plan, at(0), journal[..3].to_vec()).expect("it has happened");
        approval.vote(ballot.clone(), at(4));
        if !by_link(&approval).is_empty() {
            let pressed = |ballot: &Ballot| {
                let Ballot { claim, verdict, comment, proof, .. } = ballot.clone();
                (claim, verdict, comment, proof)
            };
            prop_assert_eq!(pressed(&ballot), pressed(press));
        }
    }

    #[test]
    fn a_changed_approval_id_is_malformed_or_forged(
        place in any::<prop::sample::Index>(), by in 1..=255u8
    ) {
        let keys = keys();
        let link = keys.first().link(LinkContext::new(CHAIN, "v1:0", "ann@example.com"));
        let Ok(text) = String::from_utf8(changed(link.id().reveal().as_bytes(), place, by)) else {
            return Ok(());
        };
        let Ok(id) = text.parse::<ApprovalId>() else { return Ok(()) };
        // It may be written in other letters.
        prop_assert_eq!(keys.verify(&id).is_some(), id == *link.id());
    }

    #[test]
    fn a_changed_signature_of_an_outcome_is_none(
        place in any::<prop::sample::Index>(), by in 1..=255u8
    ) {
        let (_, jws, jwks) = &*SIGNED;
        let forged = changed(jws.as_bytes(), place, by);
        let Ok(forged) = String::from_utf8(forged) else { return Ok(()) };
        prop_assert!(jwks.verify(&forged).is_err(), "{forged}");
    }

    #[test]
    fn leaves_are_those_of_one_approval_and_document(
        workflow in prop_oneof![Just("laptops".to_owned()), matching("[a-z]{0,9}")],
        run in prop_oneof![Just("run".to_owned()), matching("[a-z]{0,4}")],
        digest in prop_oneof![Just(None), matching("v1:[0-9a-f]{0,8}").prop_map(Some)],
    ) {
        let (plan, key, genuine) = &*GENUINE;
        let chain = Chain { workflow_id: &workflow, first_run_id: &run };
        let digest = digest.unwrap_or_else(|| plan.digest.clone());
        let is_same = chain == CHAIN && digest == plan.digest;
        let plan = &Plan { digest, ..plan.clone() };
        let again = Leaves { chain, plan, key }.recompute(at(0), genuine.journal().to_vec());
        prop_assert_eq!(again.is_ok(), is_same);
    }

    #[test]
    fn a_link_and_a_seal_are_for_one_thing(
        one in alike(), other in alike(),
        seats in any::<[bool; 4]>(), purposes in any::<[bool; 2]>()
    ) {
        let key = &GENUINE.1;
        let seat = |texts, stage: bool, round: bool| {
            LinkContext { stage: u32::from(stage), round: u32::from(round), ..context(texts) }
        };
        let [stage, round, other_stage, other_round] = seats;
        let (own, others) = (seat(one, stage, round), seat(other, other_stage, other_round));
        prop_assert!(key.link(own).is_for(own));
        prop_assert_eq!(key.link(own).is_for(others), own == others);
        prop_assert_eq!(key.link(own).hash() == key.link(others).hash(), own == others);

        let purpose = |is_plan| if is_plan { Sealing::Plan } else { Sealing::Outcome };
        let [purpose, other_purpose] = purposes.map(purpose);
        let seal = key.seal(purpose, own.chain, own.digest, own.reviewer.as_bytes());
        let (keys, chain, bytes) = (keys(), others.chain, others.reviewer.as_bytes());
        let opened = keys.unseal(&seal, other_purpose, chain, others.digest, bytes);
        prop_assert_eq!(opened.is_ok(), purpose == other_purpose && one[..4] == other[..4]);
    }

    /// They know everything but our keys, and sign with their own.
    #[test]
    fn whoever_has_keys_of_their_own_makes_no_leaf(
        theirs in matching("[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="), name in matching("[a-r]{1,3}")
    ) {
        let Ok(theirs) = theirs.parse::<LinkKeys>() else { return Ok(()) };
        let (plan, key, genuine) = &*GENUINE;
        let json = serde_json::to_vec(plan).expect("JSON");
        let seal = theirs.first().seal(Sealing::Plan, CHAIN, &plan.digest, &json);
        prop_assert!(keys().unseal(&seal, Sealing::Plan, CHAIN, &plan.digest, &json).is_err());

        let mut journal = genuine.journal()[..1].to_vec();
        let Entry::Asked { invited, .. } = &mut journal[0] else { panic!("nobody is asked") };
        invited[0].reviewer = address(&name);
        let (on_behalf_of, instead_of) = (None, None);
        let reviewer = &invited[0].reviewer;
        let seat = SeatOf { stage: 0, round: 0, reviewer, on_behalf_of, instead_of };
        let link = Leaves { chain: CHAIN, plan, key: theirs.first() }.link(seat);
        (invited[0].link, invited[0].key) = (link.hash().as_str().to_owned(), link.public_key());
        let mut approval = replay(plan, at(0), journal).expect("it can have happened");
        press(&mut approval, &link, Verdict::Approve, 1);
        prop_assert_eq!(by_link(&approval).len(), 1, "it looks like one");
        let journal = approval.journal().to_vec();
        let again = Leaves { chain: CHAIN, plan, key }.recompute(at(0), journal);
        prop_assert_eq!(again, Err(Contradiction(0)));

        let (claims, jws, jwks) = &*SIGNED;
        let forged = theirs.first().sign(claims);
        prop_assert!(jwks.verify(&forged).is_err());
        let (ours, theirs) = (jws.split_once('.'), forged.split_once('.'));
        let (header, rest) = (ours.expect("a header").0, theirs.expect("claims").1);
        prop_assert!(jwks.verify(&format!("{header}.{rest}")).is_err(), "with our key's name");
    }
}
