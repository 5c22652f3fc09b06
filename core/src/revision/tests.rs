use countersign_protos::{
    Chain, LinkContext, LinkKey, Statement, digest_of_version, revision_digest,
    text::to_message,
    v1::{Document, Stage, Submitter},
};

use super::*;
use crate::{
    approval::{Ballot, By, Claim, Entry, NotRevised, Receipt, Verdict, Vote, Whom},
    leaves::{SeatOf, begin},
    outcome::{change_request, outcome},
    policy::Wait,
    testing::address,
};

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_509_000 + seconds).expect("in range")
}

fn key() -> LinkKey {
    let keys: countersign_protos::LinkKeys =
        countersign_protos::TEST_KEYS[0].parse().expect("a key");
    keys.first().clone()
}

fn submission(title: &str) -> Submission {
    let stage = |reviewers: &[&str]| Stage {
        reviewers: reviewers.iter().map(|name| format!("{name}@example.com")).collect(),
        quorum: "all".into(),
        ..Stage::default()
    };
    let (name, email) = ("Sue".to_owned(), "sue@example.com".to_owned());
    Submission {
        submission_id: "PO-1".into(),
        submitter: Some(Submitter { name, email, ..Submitter::default() }),
        document: Some(Document { title: title.into(), ..Document::default() }),
        approval: Some(countersign_protos::v1::Policy {
            stages: vec![stage(&["ann", "bob"]), stage(&["cfo"])],
        }),
        ..Submission::default()
    }
}

fn plan() -> Plan {
    let plan = validate(submission("Laptops"), vec![], &Routing::default(), None, at(0));
    plan.unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// One version, its key, and what has happened to it.
struct Version {
    plan: Plan,
    key: LinkKey,
    approval: Approval,
}

impl Version {
    fn new(plan: Plan, seconds: i64) -> Self {
        let approval = begin(&plan, at(seconds));
        let mut version = Self { plan, key: key(), approval };
        version.ask(seconds);
        version
    }

    fn leaves(&self) -> Leaves<'_> {
        Leaves { chain: CHAIN, plan: &self.plan, key: &self.key }
    }

    fn ask(&mut self, seconds: i64) {
        let to_ask = self.approval.to_ask().expect("somebody to ask");
        let invited = self.leaves().invite(&to_ask, None, at(seconds));
        let submitter = self.leaves().submitter(&to_ask);
        let deadline = at(seconds + 3_600);
        let is_level = matches!(to_ask.whom, Whom::Level(_));
        let due = is_level.then(|| crate::approval::Due { deadline, reminders: vec![] });
        self.approval.ask(invited, due, at(seconds));
        if let Some(link) = submitter {
            let deadline = (to_ask.whom == Whom::Submitter).then_some(deadline);
            self.approval.ask_submitter(link, deadline, at(seconds));
        }
    }

    fn press(&mut self, name: &str, verdict: Verdict, comment: &str, seconds: i64) -> Receipt {
        let reviewer = address(name);
        let seat = SeatOf {
            stage: 0,
            round: 0,
            reviewer: &reviewer,
            on_behalf_of: None,
            instead_of: None,
        };
        let link = self.leaves().link(seat);
        let proof = Some(link.sign(verdict, comment, at(seconds)));
        let claim = Claim::Link(link.hash().as_str().to_owned());
        let ballot = Ballot { proof, ..Ballot::new(claim, verdict, comment.into()) };
        self.approval.vote(ballot, at(seconds))
    }

    fn sent_back(plan: Plan, seconds: i64) -> Self {
        let mut version = Self::new(plan, seconds);
        let receipt = version.press("ann", Verdict::RequestChanges, "Which model?", seconds + 1);
        assert_eq!(receipt, Receipt::Counted);
        version.ask(seconds + 2);
        version
    }

    fn signed(&self, submission: &Submission, seconds: i64) -> Reviser {
        let link = self.leaves().submitters_link();
        let digest = revision_digest(submission);
        let proof = link.prove(Statement::Revise { digest: &digest }, at(seconds));
        Reviser::Submitter(Signed { link: link.hash().as_str().to_owned(), proof })
    }

    fn revise(
        &self,
        submission: Submission,
        by: Reviser,
        seconds: i64,
    ) -> Result<Plan, Vec<String>> {
        let again = self.leaves().recompute(at(0), self.approval.journal().to_vec());
        assert_eq!(again.as_ref(), Ok(&self.approval));
        let revision = Revision { submission, problems: Vec::new(), by };
        let revised =
            revise(self.leaves(), &self.approval, revision, &Routing::default(), None, at(seconds));
        let line = |problem: Problem| format!("{}: {}", problem.path, problem.message);
        revised.map_err(|problems| problems.into_iter().map(line).collect())
    }
}

fn operator() -> Reviser {
    Reviser::Operator("op@laptop".into())
}

#[test]
fn a_revision_is_a_plan_that_says_what_came_before() {
    let first = Version::sent_back(plan(), 0);
    let request = change_request(&first.approval).expect("changes are requested");
    assert_eq!(request.stage, "Stage 1");
    assert_eq!(request.vote.as_ref().map(|vote| vote.comment.as_str()), Some("Which model?"));
    assert_eq!(request.deadline, Some(to_message(at(2 + 3_600))));

    let revised = submission("Laptops, 14 inch");
    let by = first.signed(&revised, 10);
    let second = first.revise(revised.clone(), by.clone(), 11).expect("possible");
    assert_eq!((second.version(), &second.previous), (2, &Some(first.plan.submission.clone())));
    assert_eq!(second.submission, revised);
    let json = serde_json::to_value(&revised).expect("JSON");
    assert_eq!(second.digest, digest_of_version(&json, 2));
    assert!(second.revises(&first.plan.digest) && !second.revises(&second.digest));
    let [earlier] = &second.earlier[..] else { panic!("{:?}", second.earlier) };
    let Reviser::Submitter(Signed { link, proof }) = by else { unreachable!() };
    assert_eq!(
        *earlier,
        EarlierVersion {
            version: 0,
            digest: first.plan.digest.clone(),
            stage: "Stage 1".into(),
            request: request.vote,
            revised_at: Some(to_message(at(11))),
            by: "link".into(),
            link,
            proof: Some(proof),
            ..EarlierVersion::default()
        }
    );
    let recorded = serde_json::to_string(&second).expect("JSON");
    assert_eq!(serde_json::from_str::<Plan>(&recorded).expect("a plan"), second);

    let second = Version::new(second, 12);
    assert_eq!(second.approval.journal().len(), 1, "no vote stays");
    let outcome = outcome(&second.plan, &second.approval, CHAIN);
    assert_eq!((outcome.version, &outcome.earlier_versions), (2, &second.plan.earlier));
    assert_eq!(outcome.operator_actions, []);
    assert_eq!(outcome.digest, countersign_protos::digest(&serde_json::json!(outcome)));
}

#[test]
fn a_version_that_comes_back_has_other_links() {
    let first = Version::sent_back(plan(), 0);
    let second = first.revise(submission("Desktops"), operator(), 3).expect("possible");
    let second = Version::sent_back(second, 4);
    let third = second.revise(submission("Laptops"), operator(), 7).expect("possible");
    let mut third = Version::new(third, 8);
    assert_eq!(third.plan.submission, first.plan.submission);
    let before = third.approval.clone();
    for earlier in [&first, &second] {
        let hash = earlier.approval.stages()[0].seats()[0].link.clone();
        let claim = Claim::Link(hash);
        let receipt =
            third.approval.vote(Ballot::new(claim, Verdict::Approve, String::new()), at(9));
        assert_eq!(receipt, Receipt::NotAReviewer);
        assert_ne!(
            earlier.leaves().submitters_link().hash(),
            third.leaves().submitters_link().hash()
        );
        let journal = earlier.approval.journal().to_vec();
        assert!(third.leaves().recompute(at(0), journal).is_err());
    }
    assert_eq!(third.approval, before);
    assert_eq!(third.press("ann", Verdict::Approve, "", 10), Receipt::Counted);
    let actions = outcome(&third.plan, &third.approval, CHAIN).operator_actions;
    let acts: Vec<_> =
        actions.iter().map(|it| (it.action.as_str(), it.identity.as_str())).collect();
    assert_eq!(acts, [("revise", "op@laptop"); 2]);
}

#[test]
fn an_operators_vote_for_another_version_never_counts_whatever_a_state_says() {
    let first = Version::sent_back(plan(), 0);
    let second = first.revise(submission("Desktops"), operator(), 3).expect("possible");
    let mut second = Version::new(second, 4);
    let vote = |version| Ballot {
        version,
        ..Ballot::new(Claim::Reviewer(address("ann")), Verdict::Approve, "ok".into())
    };
    let before = second.approval.clone();
    for (other, named) in [(0, 1), (1, 1), (3, 3)] {
        let receipt = second.approval.vote(vote(other), at(5));
        assert_eq!(receipt, Receipt::OtherVersion(named));
        let voted = Entry::Voted { ballot: vote(other), at: at(5) };
        let forged = [second.approval.journal(), &[voted]].concat();
        assert!(second.leaves().recompute(at(4), forged).is_err(), "{other}");
    }
    assert_eq!(second.approval, before);
    assert_eq!(second.approval.vote(vote(2), at(6)), Receipt::Counted);
    let journal = second.approval.journal().to_vec();
    assert_eq!(second.leaves().recompute(at(4), journal), Ok(second.approval.clone()));
}

#[test]
fn what_must_not_be_revised_so_is_refused_with_every_problem() {
    let sent_back = Version::sent_back(plan(), 0);
    let other = |change: fn(&mut Submission)| {
        let mut submission = submission("Desktops");
        change(&mut submission);
        submission
    };
    let refused = |submission: Submission| {
        sent_back.revise(submission, operator(), 3).expect_err("a problem")
    };
    assert_eq!(refused(submission("Laptops")), ["$: changes nothing of what is to be decided"]);
    let rerouted = |submission: &mut Submission| {
        let stages = &mut submission.approval.as_mut().expect("there").stages;
        drop(stages.pop());
        submission.document.as_mut().expect("there").title = " Laptops ".into();
    };
    assert_eq!(refused(other(rerouted)), ["$: changes nothing of what is to be decided"]);
    let another = other(|it| {
        it.submission_id = "PO-2".into();
        it.document.as_mut().expect("there").amount = "1".into();
    });
    assert_eq!(
        refused(another),
        [
            "$.submissionId: must stay \"PO-1\": a revision has the same ID",
            "$.document.currency: is required with an amount",
        ]
    );
    for email in ["eve@example.com", "sue+x@example.com"] {
        let mut submission = other(|_| {});
        submission.submitter.as_mut().expect("there").email = email.into();
        let message = "must stay as it is: a revision has the same submitter";
        assert_eq!(refused(submission), [format!("$.submitter.email: {message}")]);
    }
}

#[test]
fn by_the_submitters_link_nobody_changes_who_decides() {
    let sent_back = Version::sent_back(plan(), 0);
    let mut rerouted = submission("Desktops");
    rerouted.approval.as_mut().expect("there").stages.pop();
    let by = sent_back.signed(&rerouted, 3);
    let wrong = sent_back.revise(rerouted.clone(), by, 3).expect_err("a problem");
    let message = "must stay as it is: by the submitter's link, nobody changes who decides";
    assert_eq!(wrong, [format!("$.approval: {message}")]);
    assert!(sent_back.revise(rerouted, operator(), 3).is_ok(), "an operator does");
}

#[test]
fn only_the_submitters_link_or_an_operator_revises_and_only_in_time() {
    let new = submission("Desktops");
    let may = |version: &Version, by: &Reviser| version.approval.may_revise(by, &new);
    let mut asked = Version::new(plan(), 0);
    let unknown = asked.signed(&new, 1);
    assert_eq!(may(&asked, &unknown), Err(NotRevised::NotProven), "they have no link yet");
    assert_eq!(may(&asked, &operator()), Ok(()));
    asked.press("ann", Verdict::Approve, "", 1);
    assert_eq!(may(&asked, &operator()), Err(NotRevised::Voted));
    asked.press("bob", Verdict::RequestChanges, "why?", 2);
    asked.ask(3);
    assert_eq!(may(&asked, &operator()), Ok(()));
    let own = asked.signed(&new, 4);
    assert_eq!(may(&asked, &own), Ok(()));

    let Reviser::Submitter(Signed { link, proof }) = own.clone() else { unreachable!() };
    let reviewer = address("ann");
    let seat =
        SeatOf { stage: 0, round: 0, reviewer: &reviewer, on_behalf_of: None, instead_of: None };
    let anns = asked.leaves().link(seat);
    let digest = revision_digest(&new);
    let statement = Statement::Revise { digest: &digest };
    let hash = anns.hash().as_str().to_owned();
    let mut rerouted = new.clone();
    rerouted.approval.as_mut().expect("there").stages.pop();
    for forged in [
        Signed { link: String::new(), proof: proof.clone() },
        Signed { link: hash, proof: anns.prove(statement, at(4)) },
        Signed { link: link.clone(), proof: anns.prove(statement, at(4)) },
        Signed {
            link: link.clone(),
            proof: asked.leaves().submitters_link().sign(Verdict::Approve, "", at(4)),
        },
    ] {
        assert_eq!(may(&asked, &Reviser::Submitter(forged)), Err(NotRevised::NotProven));
    }
    assert_eq!(asked.approval.may_revise(&own, &rerouted), Err(NotRevised::NotProven));

    let mut forbidden = asked.plan.clone();
    forbidden.restrictions.operators.may_revise = false;
    let forbidden = Version::sent_back(forbidden, 0);
    assert_eq!(may(&forbidden, &operator()), Err(NotRevised::NotAllowed));
    let refused = forbidden.revise(new.clone(), operator(), 4).expect_err("not allowed");
    assert_eq!(refused, [format!("$: {}", NotRevised::NotAllowed)]);

    asked.approval.tick(at(3 + 3_600));
    assert!(matches!(asked.approval.status(), Status::Expired(..)));
    assert_eq!(may(&asked, &operator()), Err(NotRevised::Decided));
}

#[test]
fn after_five_revisions_nobody_can_send_it_back() {
    let mut version = Version::sent_back(plan(), 0);
    for number in 2..=6 {
        let revised = version.revise(submission(&format!("Laptops {number}")), operator(), 3);
        let revised = revised.expect("possible");
        assert_eq!(revised.version(), number);
        version = match number {
            6 => Version::new(revised, 4),
            _ => Version::sent_back(revised, 4),
        };
    }
    let receipt = version.press("ann", Verdict::RequestChanges, "again", 5);
    assert_eq!(receipt, Receipt::NoMoreChanges);
    let refused = version.revise(submission("Laptops 7"), operator(), 6).expect_err("too often");
    assert_eq!(refused, [format!("$: {}", NotRevised::TooOften)]);
    assert_eq!(version.press("ann", Verdict::Approve, "", 7), Receipt::Counted);
    assert_eq!(version.plan.changes_within, Wait::default());
}

#[test]
fn a_submitters_link_never_decides() {
    let mut version = Version::sent_back(plan(), 0);
    let before = version.approval.clone();
    let link = version.leaves().submitters_link();
    for verdict in Verdict::ALL {
        let proof = Some(link.sign(verdict, "ok", at(3)));
        let claim = Claim::Link(link.hash().as_str().to_owned());
        let ballot = Ballot { proof, ..Ballot::new(claim, verdict, "ok".into()) };
        assert_eq!(version.approval.vote(ballot, at(3)), Receipt::NotAReviewer);
    }
    assert_eq!(version.approval, before);
    // A reviewer with the submitter's address, where the plan was made up, has another link.
    let reviewer = LinkContext::new(CHAIN, &version.plan.digest, version.plan.submitter.as_str());
    assert_ne!(version.key.link(reviewer).hash(), link.hash());
}

#[test]
fn a_withdrawal_by_link_is_signed_and_no_operators() {
    let mut version = Version::sent_back(plan(), 0);
    version.plan.restrictions.operators.may_withdraw = false;
    let link = version.leaves().submitters_link();
    let signed = |reason: &str| {
        let proof = link.prove(Statement::Withdraw { reason }, at(3));
        Signed { link: link.hash().as_str().to_owned(), proof }
    };
    let mut approval = version.approval.clone();
    let forged = approval.withdraw_by_link("no".into(), signed("yes"), at(3));
    assert_eq!(forged, Err(crate::approval::NotWithdrawn::NotProven));
    assert_eq!(approval, version.approval);
    assert_eq!(approval.withdraw_by_link("typo".into(), signed("typo"), at(3)), Ok(()));
    let again = version.leaves().recompute(at(0), approval.journal().to_vec()).expect("genuine");
    let outcome = outcome(&version.plan, &again, CHAIN);
    assert_eq!(outcome.status(), countersign_protos::v1::Status::Withdrawn);
    assert_eq!(outcome.operator_actions, []);
    let withdrawal = outcome.withdrawal.expect("by link");
    assert_eq!(
        (withdrawal.reason.as_str(), withdrawal.link.as_str()),
        ("typo", link.hash().as_str())
    );
}

#[test]
fn both_versions_together_have_to_fit_into_the_mails_inputs() {
    let details = |text: &str| {
        let mut submission = submission("Laptops");
        let detail =
            countersign_protos::v1::Detail { label: "x".into(), value: text.repeat(9_000) };
        submission.document.as_mut().expect("there").details = vec![detail; 20];
        let stage = &mut submission.approval.as_mut().expect("there").stages[0];
        stage.reviewers = (0..8).map(|i| format!("r{i}@example.com")).collect();
        submission
    };
    let plan = validate(details("a"), vec![], &Routing::default(), None, at(0));
    let first = Version::new(plan.expect("it fits alone"), 0);
    let refused = first.revise(details("b"), operator(), 1).expect_err("too large");
    assert!(
        refused[0].starts_with("$.document: is too large: the submission with the version before")
    );
    assert!(first.revise(submission("Laptops"), operator(), 1).is_ok());
}

/// Whose vote asks for changes stands in it, signed.
#[test]
fn the_request_for_changes_is_kept_with_its_proof() {
    let first = Version::sent_back(plan(), 0);
    let second = first.revise(submission("Desktops"), operator(), 3).expect("possible");
    let request = second.earlier[0].request.clone().expect("a vote");
    assert_eq!(
        (request.verdict().known(), request.by.as_str()),
        (Some(Verdict::RequestChanges), "link")
    );
    let seat = &first.approval.stages()[0].seats()[0];
    let Some(Vote { by: By::Link(proof), .. }) = &seat.vote else { panic!("{seat:?}") };
    assert_eq!(request.proof.as_ref(), Some(proof));
}
