use countersign_protos::answers::{self, Answers};
use serde_json::json;

use super::*;
use crate::{
    outcome::{Reason, Superseded},
    testing::{address, addresses},
};
use Verdict::{Approve, Reject};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

fn level(reviewers: &[&str], keep_earlier: bool) -> Level {
    Level { reviewers: addresses(reviewers), keep_earlier, fallback: false }
}

fn plan(reviewers: &[&str], quorum: Quorum) -> StagePlan {
    StagePlan {
        name: "finance".into(),
        quorum,
        on_deadline: OnDeadline::Expire,
        levels: vec![level(reviewers, false)],
    }
}

fn asking_first_stage(plans: Vec<StagePlan>) -> Approval {
    let mut approval = Approval::new(address("sue"), plans);
    open(&mut approval, 0);
    approval
}

/// Asks whoever is to be asked, for 100 seconds.
fn open(approval: &mut Approval, seconds: i64) -> Vec<Seat> {
    open_with(approval, seconds, &[])
}

fn open_with(approval: &mut Approval, seconds: i64, reminders: &[i64]) -> Vec<Seat> {
    let ToAsk { stage, round, whom, .. } = approval.to_ask().expect("somebody to ask");
    let (reviewers, due) = match whom {
        Whom::Replacement(_, reviewer) | Whom::Reissue { reviewer, .. } => (vec![reviewer], None),
        Whom::Submitter => panic!("changes are requested"),
        Whom::Level(level) => {
            let plan = &approval.stages()[stage].plan().levels[level];
            let reminders = reminders.iter().map(|after| at(seconds + after)).collect();
            (plan.reviewers.clone(), Some(Due { deadline: at(seconds + 100), reminders }))
        }
    };
    let invited = |reviewer: EmailAddress| {
        let link = format!("{stage}-{round}-{reviewer}");
        Invited::new(reviewer, link)
    };
    approval.ask(reviewers.into_iter().map(invited).collect(), due, at(seconds))
}

fn link(approval: &mut Approval, link: &str, verdict: Verdict, seconds: i64) -> Receipt {
    let claim = Claim::Link(link.into());
    approval.vote(Ballot::new(claim, verdict, "ok".into()), at(seconds))
}

fn vote(approval: &mut Approval, name: &str, verdict: Verdict, seconds: i64) -> Receipt {
    let claim = Claim::Reviewer(address(name));
    approval.vote(Ballot::new(claim, verdict, String::new()), at(seconds))
}

#[test]
fn with_any_the_first_decision_counts_whichever_it_is() {
    for (verdict, approved) in [(Approve, true), (Reject, false)] {
        let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::Any)]);
        assert_eq!(vote(&mut approval, "bob", verdict, 5), Receipt::Counted);
        assert_eq!(vote(&mut approval, "ann", Reject, 5), Receipt::StageNotOpen);
        assert_eq!(matches!(approval.status(), Status::Approved(_, t) if t == at(5)), approved);
        assert_eq!(matches!(approval.status(), Status::Rejected(_, t) if t == at(5)), !approved);
    }
}

#[test]
fn with_all_everybody_approves_and_one_rejection_is_enough() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    vote(&mut approval, "ann", Approve, 1);
    assert!(matches!(approval.status(), Status::Pending(..)));
    vote(&mut approval, "bob", Approve, 2);
    assert!(matches!(approval.status(), Status::Approved(..)));
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    vote(&mut approval, "ann", Reject, 1);
    assert!(matches!(approval.status(), Status::Rejected(..)));
}

#[test]
fn two_of_three_needs_two_and_is_rejected_when_two_can_no_longer_happen() {
    let plans = || vec![plan(&["ann", "bob", "cy"], Quorum::at_least(2).expect("positive"))];
    let mut approval = asking_first_stage(plans());
    vote(&mut approval, "ann", Reject, 1);
    vote(&mut approval, "bob", Approve, 1);
    assert!(matches!(approval.status(), Status::Pending(..)));
    vote(&mut approval, "cy", Approve, 1);
    assert!(matches!(approval.status(), Status::Approved(..)));
    let mut approval = asking_first_stage(plans());
    vote(&mut approval, "ann", Reject, 1);
    vote(&mut approval, "cy", Reject, 1);
    assert!(matches!(approval.status(), Status::Rejected(..)));
}

#[test]
fn a_second_word_changes_nothing_and_is_told_apart() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    assert_eq!(vote(&mut approval, "ann", Approve, 1), Receipt::Counted);
    assert_eq!(vote(&mut approval, "ann", Approve, 2), Receipt::Duplicate);
    assert_eq!(vote(&mut approval, "ann", Reject, 3), Receipt::Contradiction);
    assert_eq!(vote(&mut approval, "eve", Approve, 3), Receipt::NotAReviewer);
    assert_eq!(vote(&mut approval, "sue", Approve, 3), Receipt::SelfVote);
    let bob = "0-0-bob@example.com";
    assert_eq!(link(&mut approval, "1-0-bob@example.com", Approve, 4), Receipt::NotAReviewer);
    assert_eq!(link(&mut approval, "", Approve, 4), Receipt::NotAReviewer);
    assert_eq!(link(&mut approval, bob, Approve, 4), Receipt::Counted);
    assert_eq!(vote(&mut approval, "bob", Approve, 5), Receipt::Duplicate);
}

fn restricted(plans: Vec<StagePlan>, restrictions: Restrictions) -> Approval {
    let mut approval = Approval::restricted(address("sue"), plans, restrictions);
    open(&mut approval, 0);
    approval
}

#[test]
fn where_the_rules_require_the_link_no_operator_decides_for_a_reviewer() {
    let operators = Operators { may_decide: false, ..Operators::default() };
    let restrictions = Restrictions { operators, ..Restrictions::default() };
    let mut approval = restricted(vec![plan(&["ann", "bob"], Quorum::All)], restrictions);
    let before = approval.clone();
    assert_eq!(vote(&mut approval, "ann", Approve, 1), Receipt::LinkRequired);
    // Its hash is public; there is no proof.
    assert_eq!(link(&mut approval, "0-0-ann@example.com", Approve, 1), Receipt::LinkRequired);
    assert_eq!(vote(&mut approval, "eve", Approve, 1), Receipt::NotAReviewer);
    assert_eq!(approval, before);
}

#[test]
fn where_the_rule_requires_a_comment_a_verdict_without_one_does_not_count() {
    let restrictions = Restrictions { comment_required: vec![Reject], ..Restrictions::default() };
    let mut approval = restricted(vec![plan(&["ann", "bob"], Quorum::All)], restrictions);
    let before = approval.clone();
    let mut reject = |comment: &str, left_out: Option<String>| {
        let ballot = Ballot::new(Claim::Reviewer(address("ann")), Reject, comment.into());
        approval.vote(Ballot { left_out, ..ballot }, at(1))
    };
    for silent in ["", " \n ", "\u{200B}"] {
        assert_eq!(reject(silent, None), Receipt::CommentRequired, "{silent:?}");
    }
    // The hash of nothing, as if something had been left out.
    let nothing = Some(countersign_protos::comment_hash(""));
    assert_eq!(reject("", nothing), Receipt::CommentRequired);
    assert_eq!(approval, before);
    assert_eq!(vote(&mut approval, "bob", Approve, 2), Receipt::Counted, "it needs none");
    assert_eq!(vote(&mut approval, "eve", Reject, 2), Receipt::NotAReviewer);
    let too_dear = Ballot::new(Claim::Reviewer(address("ann")), Reject, "too dear".into());
    let mut brief = approval.clone();
    assert_eq!(approval.vote(too_dear.clone(), at(3)), Receipt::Counted);
    let left_out = Some(countersign_protos::comment_hash("too dear"));
    let left_out = Ballot { comment: String::new(), left_out, ..too_dear };
    assert_eq!(brief.vote(left_out, at(3)), Receipt::Counted, "it was there");
}

#[test]
fn operators_have_those_asked_whose_domains_the_rules_allow() {
    let reassign = |domains: Option<&[&str]>, to: &str| {
        let may_reassign_to =
            domains.map(|domains| domains.iter().map(|domain| (*domain).to_owned()).collect());
        let operators = Operators { may_reassign_to, ..Operators::default() };
        let restrictions = Restrictions { operators, ..Restrictions::default() };
        let mut approval = restricted(vec![plan(&["ann"], Quorum::Any)], restrictions);
        let to = to.parse().expect("an address");
        approval.reassign(address("ann"), to, String::new(), at(1))
    };
    let not_allowed = Err(NotReassigned::NotAllowed);
    assert_eq!(reassign(None, "cy@elsewhere.example"), Ok(()));
    assert_eq!(reassign(Some(&["example.com"]), "Cy@Example.COM"), Ok(()));
    assert_eq!(reassign(Some(&["example.com"]), "cy@sub.example.com"), not_allowed);
    assert_eq!(reassign(Some(&["example.com"]), "cy@notexample.com"), not_allowed);
    assert_eq!(reassign(Some(&[]), "cy@example.com"), not_allowed);
}

#[test]
fn where_the_rule_asks_different_people_nobody_has_places_in_two_stages() {
    let restrictions = Restrictions { different_people: true, ..Restrictions::default() };
    let stages = vec![plan(&["ann", "bob"], Quorum::Any), plan(&["bob", "cy"], Quorum::Any)];
    let mut approval = restricted(stages, restrictions);
    let reassign = |approval: &mut Approval, from: &str, to: &str| {
        approval.reassign(address(from), address(to), String::new(), at(1))
    };
    let other_stage = Err(NotReassigned::OtherStage);
    assert_eq!(reassign(&mut approval, "ann", "cy"), other_stage, "Cy decides later");
    assert_eq!(reassign(&mut approval, "ann", "dee"), Ok(()));
    open(&mut approval, 1);
    assert_eq!(vote(&mut approval, "dee", Approve, 2), Receipt::Counted);
    let to_ask = approval.to_ask().expect("the second stage");
    let taken = addresses(&["ann", "bob", "ann", "bob", "dee"]);
    assert_eq!(to_ask.taken, taken, "neither they nor deputies for them are asked again");
    open(&mut approval, 3);
    let asked: Vec<&str> =
        approval.stages()[1].seats().iter().map(|seat| seat.reviewer.as_str()).collect();
    assert_eq!(asked, ["cy@example.com"], "Bob was asked before");
    for before in ["ann", "bob", "dee"] {
        assert_eq!(reassign(&mut approval, "cy", before), other_stage, "{before}");
    }
    assert_eq!(reassign(&mut approval, "cy", "eve"), Ok(()));
}

#[test]
fn a_submitter_who_is_listed_as_reviewer_has_no_seat() {
    let mut approval = asking_first_stage(vec![plan(&["sue", "bob"], Quorum::Any)]);
    assert_eq!(approval.stages()[0].seats().len(), 1);
    assert_eq!(link(&mut approval, "0-0-sue@example.com", Approve, 1), Receipt::NotAReviewer);
    assert_eq!(vote(&mut approval, "sue", Approve, 1), Receipt::SelfVote);
}

#[test]
fn what_a_rule_decided_is_decided() {
    for verdict in [Approve, Reject] {
        let rule_decision = RuleDecision { verdict, rule: "small".into(), at: at(1) };
        let mut approval = Approval::decided_by_rule(address("sue"), rule_decision);
        assert_eq!(vote(&mut approval, "ann", Reject, 2), Receipt::NotAReviewer);
        let too_late = approval.withdraw(String::new(), "op".into(), at(2));
        assert_eq!(too_late, Err(NotWithdrawn::Decided));
        let grounds = Basis::Rule("small");
        assert_eq!(
            approval.status(),
            match verdict {
                Approve => Status::Approved(grounds, at(1)),
                Reject | Verdict::RequestChanges => Status::Rejected(grounds, at(1)),
            }
        );
        assert_eq!((approval.to_ask(), approval.next_deadline()), (None, None));
    }
}

fn escalating(keep_earlier: bool) -> Approval {
    let mut plan = plan(&["ann", "bob"], Quorum::All);
    plan.levels.extend([level(&["boss", "cfo"], keep_earlier), level(&["ceo"], false)]);
    asking_first_stage(vec![plan])
}

#[test]
fn level_after_level_is_asked_and_the_last_deadline_ends_it() {
    let mut approval = escalating(false);
    assert_eq!(approval.tick(at(100)), []);
    let taken = addresses(&["ann", "bob"]);
    let next = ToAsk { stage: 0, round: 2, whom: Whom::Level(1), taken };
    assert_eq!(approval.to_ask(), Some(next));
    assert_eq!(open(&mut approval, 100).len(), 2, "both are superseded");
    assert_eq!(approval.next_deadline(), Some(at(200)));
    approval.tick(at(200));
    open(&mut approval, 200);
    assert!(!approval.is_final());
    approval.tick(at(300));
    assert_eq!(approval.stages()[0].end(), Some((End::Expired, at(300))));
    assert_eq!(approval.to_ask(), None);
}

#[test]
fn who_was_superseded_has_no_vote_but_their_earlier_one_counts() {
    let mut approval = escalating(false);
    vote(&mut approval, "ann", Approve, 1);
    approval.tick(at(100));
    assert_eq!(
        vote(&mut approval, "bob", Approve, 100),
        Receipt::Counted,
        "until others are asked"
    );
    assert!(matches!(approval.status(), Status::Approved(..)));

    let mut approval = escalating(false);
    vote(&mut approval, "ann", Approve, 1);
    approval.tick(at(100));
    open(&mut approval, 100);
    assert_eq!(vote(&mut approval, "bob", Reject, 101), Receipt::Superseded);
    assert_eq!(link(&mut approval, "0-0-bob@example.com", Reject, 101), Receipt::Superseded);
    assert_eq!(vote(&mut approval, "ann", Approve, 101), Receipt::Duplicate);
    vote(&mut approval, "boss", Approve, 102);
    assert!(!approval.is_final());
    vote(&mut approval, "cfo", Approve, 103);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn earlier_reviewers_may_still_decide_where_the_plan_says_so() {
    let mut approval = escalating(true);
    approval.tick(at(100));
    assert_eq!(open(&mut approval, 100), []);
    for name in ["ann", "boss", "bob"] {
        assert_eq!(vote(&mut approval, name, Approve, 101), Receipt::Counted);
    }
    assert!(!approval.is_final(), "the CFO is asked too");
    vote(&mut approval, "cfo", Approve, 102);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn whoever_is_of_the_next_level_too_keeps_their_place() {
    let mut plan = plan(&["ann"], Quorum::All);
    plan.levels.push(level(&["coo", "cfo"], false));
    let mut approval = asking_first_stage(vec![plan]);
    assert_eq!(approval.reassign(address("ann"), address("coo"), "op".into(), at(0)), Ok(()));
    open(&mut approval, 1);
    approval.tick(at(100));
    assert_eq!(open(&mut approval, 100), [], "the COO stays");
    assert_eq!(approval.next_deadline(), Some(at(200)));
    vote(&mut approval, "cfo", Approve, 101);
    assert!(!approval.is_final(), "all have to approve");
    vote(&mut approval, "coo", Approve, 102);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn a_level_without_anybody_new_takes_no_time() {
    let mut plan = plan(&["ann"], Quorum::All);
    plan.levels.extend([level(&["ann"], false), level(&["cfo"], true)]);
    let mut shorter = plan.clone();
    shorter.levels.truncate(2);
    let mut approval = asking_first_stage(vec![plan]);
    approval.tick(at(100));
    open(&mut approval, 100);
    assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(2)));
    open(&mut approval, 100);
    assert_eq!(approval.next_deadline(), Some(at(200)));

    let mut approval = asking_first_stage(vec![shorter]);
    approval.tick(at(100));
    open(&mut approval, 100);
    assert_eq!((approval.to_ask(), approval.next_deadline()), (None, Some(at(100))));
    approval.tick(at(100));
    assert_eq!(approval.stages()[0].end(), Some((End::Expired, at(100))));
}

#[test]
fn where_nobody_is_reached_the_next_level_is_asked_at_once() {
    let mut approval = escalating(false);
    approval.reached("0-0-ann@example.com", false);
    assert_eq!(approval.to_ask(), None, "Bob may be reached");
    approval.reached("0-0-bob@example.com", false);
    assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(1)));
    open(&mut approval, 5);
    assert_eq!(approval.next_deadline(), Some(at(105)));
    open_all_unreachable(&mut approval);
    open(&mut approval, 6);
    open_all_unreachable(&mut approval);
    assert_eq!(approval.to_ask(), None, "no level follows the last");
    assert_eq!(approval.next_deadline(), Some(at(106)));
}

fn open_all_unreachable(approval: &mut Approval) {
    let stage = approval.open_stage().expect("an open stage");
    let links: Vec<_> = stage.undecided().map(|seat| seat.link.clone()).collect();
    links.iter().for_each(|link| approval.reached(link, false));
}

#[test]
fn a_vote_that_leaves_only_the_unreachable_escalates() {
    let mut approval = escalating(false);
    approval.reached("0-0-bob@example.com", false);
    vote(&mut approval, "ann", Approve, 1);
    assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(1)));
}

#[test]
fn whoever_has_a_deputy_hears_that_somebody_else_is_asked() {
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann"], Quorum::Any)]);
    let deputy =
        Invited { on_behalf_of: Some(address("ann")), ..Invited::new(address("dee"), "d".into()) };
    approval.ask(vec![deputy], Some(Due { deadline: at(100), reminders: vec![] }), at(0));
    assert_eq!(vote(&mut approval, "ann", Approve, 1), Receipt::Superseded);
    assert_eq!(vote(&mut approval, "eve", Approve, 1), Receipt::NotAReviewer);
    assert_eq!(vote(&mut approval, "dee", Approve, 1), Receipt::Counted);
}

#[test]
fn somebody_is_asked_in_the_place_of_another() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    assert_eq!(approval.reassign(address("ann"), address("cy"), "op".into(), at(0)), Ok(()));
    assert_eq!(
        approval.reassign(address("ann"), address("di"), "op".into(), at(0)),
        Err(NotReassigned::NotAsked),
        "Cy is on the way"
    );
    let superseded = open(&mut approval, 1);
    assert_eq!(superseded[0].reviewer, address("ann"));
    assert_eq!(approval.next_deadline(), Some(at(100)), "the deadline stays");
    assert_eq!(vote(&mut approval, "ann", Approve, 2), Receipt::Superseded);
    assert_eq!(link(&mut approval, "0-2-cy@example.com", Approve, 2), Receipt::Counted);
    vote(&mut approval, "bob", Approve, 3);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn nobody_gets_two_votes_or_their_own_submission_by_being_put_in_a_place() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    let mut reassign = |from, to| approval.reassign(address(from), address(to), "op".into(), at(0));
    assert_eq!(reassign("ann", "sue"), Err(NotReassigned::Submitter));
    assert_eq!(reassign("ann", "bob"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("ann", "ann"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("eve", "cy"), Err(NotReassigned::NotAsked));
    vote(&mut approval, "ann", Approve, 1);
    assert_eq!(
        approval.reassign(address("ann"), address("cy"), "op".into(), at(0)),
        Err(NotReassigned::NotAsked)
    );
}

#[test]
fn a_deputy_and_whom_they_stand_in_for_have_one_vote() {
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann", "bob"], Quorum::All)]);
    let invite = |reviewer: &str, absent: Option<&str>| Invited {
        on_behalf_of: absent.map(address),
        ..Invited::new(address(reviewer), reviewer.into())
    };
    let due = Due { deadline: at(100), reminders: vec![] };
    let invited = vec![invite("dee", Some("ann")), invite("bob", None)];
    approval.ask(invited, Some(due), at(0));
    let mut reassign = |from, to| approval.reassign(address(from), address(to), "op".into(), at(0));
    assert_eq!(reassign("bob", "ann"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("bob", "ann+x"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("bob", "dee"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("dee", "bob"), Err(NotReassigned::AskedAlready));
    assert_eq!(reassign("dee", "sue+x"), Err(NotReassigned::Submitter));
    assert_eq!(reassign("ann", "eve"), Err(NotReassigned::NotAsked), "it is Dee's seat");
    // Whoever Cy turns out to be away for, nobody gets a second vote, and Bob keeps his.
    for invited in [("dee", "cy"), ("cy", "ann"), ("cy", "bob"), ("cy", "sue+x")] {
        assert_eq!(approval.reassign(address("bob"), address("cy"), "op".into(), at(0)), Ok(()));
        let invited = invite(invited.0, Some(invited.1));
        assert_eq!(approval.ask(vec![invited], None, at(1)), []);
        assert_eq!(approval.stages()[0].seats().len(), 2);
    }
    // Ann is back.
    assert_eq!(approval.reassign(address("dee"), address("ann"), "op".into(), at(0)), Ok(()));
    let taken = approval.to_ask().expect("somebody to ask").taken;
    assert_eq!(taken, [address("bob"), address("dee")]);
    open(&mut approval, 2);
    assert_eq!(vote(&mut approval, "dee", Approve, 3), Receipt::Superseded);
    assert_eq!(vote(&mut approval, "ann", Approve, 3), Receipt::Counted);
    assert_eq!(
        approval.reassign(address("bob"), address("dee"), "op".into(), at(0)),
        Ok(()),
        "who has none now"
    );
}

#[test]
fn whoever_writes_their_address_in_another_way_is_the_same_person() {
    let carol: EmailAddress = "carol.davis@example.com".parse().expect("an address");
    let mut approval = Approval::new(carol, vec![plan(&["carol.davis+boss", "ann"], Quorum::All)]);
    open(&mut approval, 0);
    assert_eq!(approval.stages()[0].seats().len(), 1, "the submitter is not asked");
    assert_eq!(vote(&mut approval, "Carol.Davis+x", Approve, 1), Receipt::SelfVote);
    assert_eq!(vote(&mut approval, "ANN+by.phone", Approve, 1), Receipt::Counted);
    assert_eq!(vote(&mut approval, "ann", Reject, 1), Receipt::Contradiction);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn back_and_forth_ends_where_there_is_no_room_for_more_links() {
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    let mut names = ["ann", "bob"].into_iter().cycle();
    let mut from = names.next().expect("endless");
    let refused = loop {
        let to = names.next().expect("endless");
        match approval.reassign(address(from), address(to), "op".into(), at(0)) {
            Ok(()) => drop(open(&mut approval, 1)),
            Err(refused) => break refused,
        }
        from = to;
    };
    assert_eq!(refused, NotReassigned::TooMany);
    assert_eq!(approval.stages()[0].seats().len(), MAX_SEATS);
    assert_eq!(vote(&mut approval, from, Approve, 2), Receipt::Counted);
}

#[test]
fn the_next_stage_opens_only_after_the_one_before_it_approved() {
    let first = plan(&["ann"], Quorum::Any);
    let second = plan(&["ann", "bob"], Quorum::All);
    let mut approval = asking_first_stage(vec![first, second]);
    assert_eq!(approval.to_ask(), None);
    assert_eq!(vote(&mut approval, "bob", Approve, 1), Receipt::StageNotOpen);
    vote(&mut approval, "ann", Approve, 1);
    assert_eq!(approval.to_ask().map(|ask| ask.stage), Some(1));
    assert_eq!(approval.next_deadline(), None);
    open(&mut approval, 50);
    assert_eq!(approval.next_deadline(), Some(at(150)));
    assert_eq!(vote(&mut approval, "ann", Approve, 51), Receipt::Counted);
    assert_eq!(vote(&mut approval, "bob", Reject, 52), Receipt::Counted);
    assert!(
        matches!(approval.status(), Status::Rejected(Basis::Stage(stage), _) if stage.seats().len() == 2)
    );
}

#[test]
fn the_deadline_does_what_the_plan_says() {
    for (on_deadline, end) in [
        (OnDeadline::Expire, End::Expired),
        (OnDeadline::Reject, End::Rejected),
        (OnDeadline::Approve, End::Approved),
    ] {
        let plan = StagePlan { on_deadline, ..plan(&["ann"], Quorum::Any) };
        let mut approval = asking_first_stage(vec![plan]);
        assert_eq!(approval.next_deadline(), Some(at(100)));
        approval.tick(at(99));
        assert!(!approval.is_final());
        approval.tick(at(100));
        assert_eq!(approval.stages()[0].end(), Some((end, at(100))));
        assert_eq!(approval.next_deadline(), None);
        assert_eq!(vote(&mut approval, "ann", Approve, 100), Receipt::StageNotOpen);
    }
}

#[test]
fn silence_approves_only_what_nobody_has_rejected() {
    let two = Quorum::at_least(2).expect("positive");
    for (votes, end) in [
        (&[][..], End::Approved),
        (&[("ann", Approve)], End::Approved),
        (&[("ann", Reject)], End::Rejected),
        (&[("ann", Approve), ("bob", Reject)], End::Rejected),
        (&[("ann", Reject), ("bob", Approve)], End::Rejected),
    ] {
        let first =
            StagePlan { on_deadline: OnDeadline::Approve, ..plan(&["ann", "bob", "cy"], two) };
        let mut escalated = first.clone();
        escalated.levels.push(level(&["cfo"], false));
        for (plan, deadline) in [(first, 100), (escalated, 200)] {
            let mut approval = asking_first_stage(vec![plan]);
            for (name, verdict) in votes {
                assert_eq!(vote(&mut approval, name, *verdict, 1), Receipt::Counted);
            }
            approval.tick(at(100));
            if deadline > 100 {
                open(&mut approval, 100);
            }
            approval.tick(at(deadline));
            assert_eq!(approval.stages()[0].end(), Some((end, at(deadline))), "{votes:?}");
        }
    }
    // A rejection that an earlier stage's quorum has overruled is over with that stage.
    let second = StagePlan { on_deadline: OnDeadline::Approve, ..plan(&["di"], Quorum::Any) };
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob", "cy"], two), second]);
    for (name, verdict) in [("ann", Reject), ("bob", Approve), ("cy", Approve)] {
        vote(&mut approval, name, verdict, 1);
    }
    open(&mut approval, 2);
    approval.tick(at(102));
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn a_level_that_ends_earlier_links_leaves_those_it_names_theirs() {
    let mut plan = plan(&["ann", "bob"], Quorum::All);
    plan.levels.push(level(&["ann", "cy"], false));
    let mut approval = asking_first_stage(vec![plan]);
    approval.tick(at(100));
    let superseded = open(&mut approval, 100);
    let superseded: Vec<_> = superseded.iter().map(|seat| seat.link.as_str()).collect();
    assert_eq!(superseded, ["0-0-bob@example.com"]);
    assert_eq!(link(&mut approval, "0-0-ann@example.com", Approve, 101), Receipt::Counted);
    assert_eq!(vote(&mut approval, "bob", Approve, 101), Receipt::Superseded);
    assert!(!approval.is_final());
    assert_eq!(vote(&mut approval, "cy", Approve, 102), Receipt::Counted);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn a_decision_that_is_told_before_the_deadlines_tick_counts() {
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    assert_eq!(vote(&mut approval, "ann", Approve, 5_000), Receipt::Counted);
    approval.tick(at(5_000));
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn reminders_go_once_to_those_who_have_not_decided() {
    let plans = vec![plan(&["ann", "bob"], Quorum::All)];
    let mut approval = Approval::new(address("sue"), plans);
    open_with(&mut approval, 0, &[10, 20, 200]);
    assert_eq!(approval.next_deadline(), Some(at(10)));
    assert_eq!(approval.tick(at(9)), []);
    assert_eq!(approval.tick(at(10)), [address("ann"), address("bob")]);
    assert_eq!(approval.tick(at(10)), []);
    vote(&mut approval, "ann", Approve, 15);
    assert_eq!(approval.tick(at(20)), [address("bob")]);
    assert_eq!(approval.next_deadline(), Some(at(100)), "none after the deadline");
}

#[test]
fn reminders_that_were_missed_together_go_as_one() {
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann"], Quorum::All)]);
    open_with(&mut approval, 0, &[10, 20]);
    assert_eq!(approval.tick(at(50)), [address("ann")]);
    assert_eq!(approval.next_deadline(), Some(at(100)));
}

#[test]
fn a_withdrawal_ends_what_is_pending_and_nothing_else() {
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    assert_eq!(approval.withdraw("ordered twice".into(), "op".into(), at(3)), Ok(()));
    assert!(matches!(approval.status(), Status::Withdrawn(w) if w.reason == "ordered twice"));
    assert_eq!(vote(&mut approval, "ann", Approve, 4), Receipt::StageNotOpen);
    let too_late = Err(NotWithdrawn::Decided);
    assert_eq!(approval.withdraw(String::new(), "op".into(), at(5)), too_late);
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    vote(&mut approval, "ann", Approve, 1);
    assert_eq!(approval.withdraw(String::new(), "op".into(), at(5)), too_late);
    assert!(!approval.cancel(String::new(), at(5)));
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn where_the_rules_forbid_it_no_operator_withdraws_and_a_cancellation_still_does() {
    let operators = Operators { may_withdraw: false, ..Operators::default() };
    let restrictions = Restrictions { operators, ..Restrictions::default() };
    let mut approval = restricted(vec![plan(&["ann"], Quorum::Any)], restrictions);
    let before = approval.clone();
    for identity in ["op", UNKNOWN] {
        let refused = approval.withdraw(String::new(), identity.into(), at(1));
        assert_eq!(refused, Err(NotWithdrawn::NotAllowed), "{identity}");
    }
    assert_eq!(approval, before);
    assert!(approval.cancel("stopped".into(), at(2)));
    assert!(matches!(approval.status(), Status::Withdrawn(w) if w.reason == "stopped"));
}

#[test]
fn a_reason_says_who_or_what_gave_the_approval_its_status() {
    let json = |approval: &Approval| {
        serde_json::to_value(countersign_protos::v1::Reason::from(approval.reason())).expect("JSON")
    };
    let two = Quorum::at_least(2).expect("positive");
    let plan = StagePlan { on_deadline: OnDeadline::Approve, ..plan(&["ann", "bob", "cy"], two) };
    let approval = Approval::new(address("sue"), vec![plan.clone()]);
    assert_eq!(json(&approval), json!({"notOpened": "finance"}));

    let mut approval = asking_first_stage(vec![plan.clone()]);
    link(&mut approval, "0-0-bob@example.com", Approve, 1);
    let waiting = json!({"stage": "finance", "approvals": 1, "needed": 2});
    assert_eq!(json(&approval), json!({"waiting": waiting}));
    link(&mut approval, "0-0-ann@example.com", Approve, 2);
    let reviewers = ["bob@example.com", "ann@example.com"];
    assert_eq!(json(&approval), json!({"votes": {"stage": "finance", "reviewers": reviewers}}));

    let mut approval = asking_first_stage(vec![plan.clone()]);
    approval.tick(at(100));
    let passed = json!({"stage": "finance", "effect": "approve"});
    assert_eq!(json(&approval), json!({"deadlinePassed": passed}));

    let mut approval = asking_first_stage(vec![plan.clone()]);
    link(&mut approval, "0-0-cy@example.com", Reject, 1);
    approval.tick(at(100));
    let passed = json!({"stage": "finance", "effect": "reject", "rejectedBy": ["cy@example.com"]});
    assert_eq!(json(&approval), json!({"deadlinePassed": passed}));

    let mut approval = asking_first_stage(vec![plan]);
    approval.withdraw("typo".into(), "op".into(), at(1)).expect("pending");
    assert_eq!(json(&approval), json!({"withdrawn": "typo"}));
}

#[test]
fn a_deputy_is_replaced_also_where_fewer_are_asked_than_the_quorum_needs() {
    let quorum = Quorum::at_least(2).expect("positive");
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann", "bob"], quorum)]);
    let invited = |name, on_behalf_of: Option<&str>, link: &str| Invited {
        on_behalf_of: on_behalf_of.map(address),
        ..Invited::new(address(name), link.into())
    };
    let due = Due { deadline: at(100), reminders: vec![] };
    approval.ask(vec![invited("dee", Some("ann"), "d")], Some(due), at(0));
    approval.reassign(address("dee"), address("ann"), "op".into(), at(0)).expect("Ann is back");
    let superseded = approval.ask(vec![invited("ann", None, "a")], None, at(1));
    let links: Vec<_> = superseded.iter().map(|seat| seat.link.as_str()).collect();
    assert_eq!(links, ["d"], "or Ann would have two votes");
    assert_eq!(vote(&mut approval, "dee", Approve, 2), Receipt::Superseded);
    assert_eq!(vote(&mut approval, "ann", Approve, 3), Receipt::Counted);
    assert!(matches!(approval.status(), Status::Pending(..)));
}

#[test]
fn who_is_superseded_can_read_why() {
    let why = |approval: &Approval, name: &str| match approval.superseded(&address(name)) {
        Some(Superseded::Replaced { by, identity }) => format!("{by} by {identity}"),
        other => format!("{other:?}"),
    };
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    assert_eq!(why(&approval, "ann"), "None", "she is asked");
    let by_operator = approval.reassign(address("ann"), address("cy"), "op@laptop".into(), at(1));
    by_operator.expect("she can be replaced");
    assert_eq!(why(&approval, "ann"), "None", "until somebody is asked");
    approval.ask(vec![replacement("ann", "cy")], None, at(1));
    assert_eq!(why(&approval, "ann"), "cy@example.com by op@laptop");
    let seats = approval.open_stage().expect("open").seats();
    assert_eq!(seats[2].arranged, Some(Arranged::Operator("op@laptop".into())));
    assert_eq!(seats[0].arranged, None, "she was not asked in another's place");
    vote(&mut approval, "cy", Reject, 2);
    assert_eq!(why(&approval, "bob"), "Some(Decided)");
    assert_eq!(why(&approval, "cy"), "None", "he has decided");
    assert_eq!(why(&approval, "eve"), "None", "she was not asked");

    let levels = || vec![level(&["ann"], false), level(&["boss"], false)];
    let plans = || vec![StagePlan { levels: levels(), ..plan(&["ann"], Quorum::Any) }];
    let mut late = asking_first_stage(plans());
    late.tick(at(100));
    open(&mut late, 100);
    assert_eq!(why(&late, "ann"), "Some(Escalated)");
    late.tick(at(200));
    assert_eq!(why(&late, "boss"), "Some(DeadlinePassed)");
    let mut refused = asking_first_stage(plans());
    refused.reached("0-0-ann@example.com", false);
    open(&mut refused, 10);
    assert_eq!(why(&refused, "ann"), "Some(Unreachable)");
    refused.withdraw(String::new(), String::new(), at(11)).expect("pending");
    assert_eq!(why(&refused, "boss"), "Some(Withdrawn)");
}

/// In the second level nobody is new.
#[test]
fn who_is_superseded_in_time_reads_so_also_where_a_level_was_skipped() {
    let levels = vec![level(&["ann"], false), level(&["ann"], false), level(&["boss"], false)];
    let plans = || vec![StagePlan { levels: levels.clone(), ..plan(&["ann"], Quorum::Any) }];
    let mut late = asking_first_stage(plans());
    late.tick(at(100));
    assert_eq!(open(&mut late, 100), [], "nobody new");
    assert_eq!(open(&mut late, 100).len(), 1, "Ann is out of it");
    assert_eq!(late.superseded(&address("ann")), Some(Superseded::Escalated));
    let mut refused = asking_first_stage(plans());
    refused.reached("0-0-ann@example.com", false);
    open(&mut refused, 10);
    open(&mut refused, 10);
    assert_eq!(refused.superseded(&address("ann")), Some(Superseded::Unreachable));
}

/// What they read is about the place that they have lost last.
#[test]
fn who_has_got_their_place_back_and_is_late_does_not_read_that_they_were_replaced() {
    let levels = vec![level(&["ann"], false), level(&["boss"], false)];
    let mut approval =
        asking_first_stage(vec![StagePlan { levels, ..plan(&["ann"], Quorum::Any) }]);
    for (round, from, to) in [(1, "ann", "bob"), (2, "bob", "ann")] {
        let order = approval.reassign(address(from), address(to), "op@laptop".into(), at(1));
        order.expect("they can be replaced");
        let link = format!("0-{round}-{to}");
        let instead_of = Some(address(from));
        let invited = Invited { round, instead_of, ..Invited::new(address(to), link) };
        assert_eq!(approval.ask(vec![invited], None, at(1)).len(), 1, "{from} is out of it");
    }
    approval.tick(at(100));
    open(&mut approval, 100);
    assert_eq!(approval.superseded(&address("ann")), Some(Superseded::Escalated));
    let by = address("ann");
    let replaced = Superseded::Replaced { by: &by, identity: "op@laptop" };
    assert_eq!(approval.superseded(&address("bob")), Some(replaced));
}

/// Somebody who is asked in another's place.
fn replacement(from: &str, to: &str) -> Invited {
    let instead_of = Some(address(from));
    Invited { round: 2, instead_of, ..Invited::new(address(to), format!("0-2-{to}")) }
}

#[test]
fn where_mail_reaches_nobody_the_reason_says_so_and_a_fallback_is_asked() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]);
    let reached = |approval: &mut Approval, name: &str, reached: bool| {
        approval.reached(&format!("0-0-{name}@example.com"), reached);
    };
    reached(&mut approval, "ann", false);
    assert!(!approval.is_unreachable(), "Bob may still read his mail");
    reached(&mut approval, "bob", false);
    assert!(approval.is_unreachable());
    assert_eq!(approval.reason(), Reason::Unreachable { stage: "finance" });
    assert!(approval.next_deadline().is_some(), "the deadline ends it all the same");
    reached(&mut approval, "bob", true);
    assert!(matches!(approval.reason(), Reason::Waiting { .. }));
    vote(&mut approval, "bob", Approve, 1);
    assert!(approval.is_unreachable(), "it waits for Ann alone");

    let fallback = Level { fallback: true, ..level(&["boss"], false) };
    let levels = vec![level(&["ann"], false), level(&["coo"], true), fallback];
    let plans = || vec![StagePlan { levels: levels.clone(), ..plan(&["ann"], Quorum::All) }];
    let mut unreached = asking_first_stage(plans());
    assert!(unreached.open_stage().is_some_and(Stage::escalates_at_deadline));
    reached(&mut unreached, "ann", false);
    open(&mut unreached, 10);
    assert!(!unreached.open_stage().is_some_and(Stage::escalates_at_deadline));
    assert!(unreached.to_ask().is_none() && !unreached.is_unreachable(), "Coo is asked");
    unreached.reached("0-1-coo@example.com", false);
    let superseded = open(&mut unreached, 20);
    assert_eq!(superseded.len(), 2, "neither could be reached");
    vote(&mut unreached, "boss", Approve, 21);
    assert!(matches!(unreached.status(), Status::Approved(..)));

    let mut late = asking_first_stage(plans());
    late.tick(at(100));
    open(&mut late, 100);
    late.tick(at(200));
    assert!(matches!(late.status(), Status::Expired(..)), "no deadline has a fallback asked");
}

fn reissue(approval: &mut Approval, reviewer: Option<&str>) -> Result<(), NotReissued> {
    approval.reissue(reviewer.map(address), "op".into(), at(1))
}

#[test]
fn a_new_link_supersedes_the_old_one_and_changes_nothing_else() {
    let mut approval = asking_first_stage(vec![plan(&["ann", "bob", "cy"], Quorum::All)]);
    vote(&mut approval, "bob", Approve, 1);
    assert_eq!(reissue(&mut approval, None), Ok(()));
    let old = || Claim::Link("0-0-ann@example.com".into());
    assert!(approval.is_about_to_supersede(&old()), "at once");
    assert!(approval.may_ask_soon(&address("ann+x")) && !approval.may_ask_soon(&address("bob")));
    for name in ["ann", "cy"] {
        let superseded = open(&mut approval, 3);
        assert_eq!(superseded[0].link, format!("0-0-{name}@example.com"));
    }
    assert_eq!((approval.to_ask(), approval.next_deadline()), (None, Some(at(100))));
    let stage = &approval.stages()[0];
    assert_eq!((stage.electorate(), stage.votes().len()), (3, 1));
    let reissued: Vec<bool> = stage.seats().iter().map(|seat| stage.is_reissued(seat)).collect();
    assert_eq!(reissued, [true, false, true, false, false]);
    let earlier = |seat: &Seat| stage.superseded_links_of(seat).count();
    let earlier: Vec<usize> = stage.seats().iter().map(earlier).collect();
    assert_eq!(earlier, [0, 0, 0, 1, 1]);
    assert_eq!(link(&mut approval, "0-0-ann@example.com", Reject, 4), Receipt::Superseded);
    assert_eq!(link(&mut approval, "0-3-ann@example.com", Approve, 4), Receipt::Counted);
    assert_eq!(vote(&mut approval, "cy", Approve, 5), Receipt::Counted);
    assert!(matches!(approval.status(), Status::Approved(..)));
    assert_eq!(reissue(&mut approval, None), Err(NotReissued::NotAsked), "it is over");
}

#[test]
fn a_new_link_goes_to_whoever_is_asked_and_has_not_decided() {
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann", "bob"], Quorum::All)]);
    assert_eq!(reissue(&mut approval, None), Err(NotReissued::NotAsked), "nobody is asked yet");
    open(&mut approval, 0);
    vote(&mut approval, "ann", Approve, 1);
    approval.reassign(address("bob"), address("cy"), "op".into(), at(1)).expect("possible");
    for name in ["ann", "bob", "cy", "eve", "sue"] {
        assert_eq!(reissue(&mut approval, Some(name)), Err(NotReissued::NotAsked), "{name}");
    }
    assert_eq!(reissue(&mut approval, None), Err(NotReissued::NotAsked), "Cy gets one anyway");
    open(&mut approval, 2);
    assert_eq!(reissue(&mut approval, Some("CY+x")), Ok(()));
    assert_eq!(reissue(&mut approval, Some("cy")), Err(NotReissued::NotAsked), "it is on its way");
    let whom = Whom::Reissue {
        reviewer: address("cy"),
        on_behalf_of: None,
        instead_of: None,
        old_round: 2,
        old_link: "0-2-cy@example.com".into(),
    };
    assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(whom));
    // Whatever the shell says, nobody else gets a place by it.
    let eve = Invited::new(address("eve"), "e".into());
    assert_eq!(approval.ask(vec![eve], None, at(3)), []);
    assert_eq!(reissue(&mut approval, None), Ok(()));
    assert_eq!(open(&mut approval, 4).len(), 1);
    assert_eq!(link(&mut approval, "0-3-cy@example.com", Approve, 5), Receipt::Counted);
    assert!(matches!(approval.status(), Status::Approved(..)));
}

#[test]
fn new_links_are_as_many_as_there_is_room_for_or_none() {
    let names: Vec<String> = (0..30).map(|i| format!("person{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stages = vec![plan(&names, Quorum::All), plan(&names[..5], Quorum::Any)];
    let mut approval = asking_first_stage(stages);
    assert_eq!(reissue(&mut approval, None), Ok(()));
    while approval.to_ask().is_some() {
        open(&mut approval, 1);
    }
    let left = MAX_SEATS - 65;
    let refused = reissue(&mut approval, None).expect_err("too many");
    assert_eq!(refused, NotReissued::TooMany { wanted: 30, left });
    let room = "30 new links were requested, but only 15 can still be issued (at most 80";
    assert!(refused.to_string().starts_with(room), "{refused}");
    assert_eq!(approval.to_ask(), None, "nobody gets one");
    for _ in 0..left {
        assert_eq!(reissue(&mut approval, Some("person7")), Ok(()));
        open(&mut approval, 2);
    }
    let refused = reissue(&mut approval, Some("person7"));
    assert_eq!(refused, Err(NotReissued::TooMany { wanted: 1, left: 0 }));
}

#[test]
fn whom_others_replace_meanwhile_gets_no_new_link() {
    let mut approval = escalating(false);
    assert_eq!(reissue(&mut approval, Some("ann")), Ok(()));
    approval.tick(at(100));
    open(&mut approval, 100);
    assert!(matches!(approval.to_ask(), Some(ToAsk { whom: Whom::Reissue { .. }, .. })));
    assert_eq!(open(&mut approval, 101), []);
    assert_eq!(approval.to_ask(), None);
    assert_eq!(vote(&mut approval, "ann", Approve, 102), Receipt::Superseded);
}

#[test]
fn a_new_link_is_another_try_to_reach_somebody() {
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    open_all_unreachable(&mut approval);
    assert_eq!(reissue(&mut approval, None), Ok(()));
    open(&mut approval, 1);
    let asked: Vec<SeatStatus> = approval.stages()[0].undecided().map(|seat| seat.status).collect();
    assert_eq!(asked, [SeatStatus::Asked]);
}

#[test]
fn answers_are_those_that_the_fields_ask_for_and_stand_with_the_vote() {
    let field = |name: &str, kind: &str, required_for: &[&str]| Field {
        name: name.into(),
        label: name.to_uppercase(),
        r#type: kind.into(),
        required_for: required_for.iter().map(|&verdict| verdict.into()).collect(),
        ..Field::default()
    };
    let fields = vec![field("budget", "number", &["approve"]), field("why", "text", &[])];
    let mut approval =
        asking_first_stage(vec![plan(&["ann", "bob"], Quorum::All)]).with_fields(fields);
    let answers = |given: &[(&str, &str)]| -> Answers {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let ballot = |whom: &str, given: &[(&str, &str)]| {
        let ballot = Ballot::new(Claim::Reviewer(address(whom)), Approve, String::new());
        Ballot { answers: answers(given), ..ballot }
    };
    let before = approval.clone();
    for (given, why) in [
        (&[][..], "`budget` is required to approve"),
        (
            &[("budget", "much"), ("x", "1"), ("y", "2")],
            "`budget` must be a number, such as 10 or 2.5; an answer is given for something that is not among the fields",
        ),
    ] {
        let receipt = approval.vote(ballot("ann", given), at(1));
        assert_eq!(receipt, Receipt::InvalidAnswers(why.into()));
    }
    assert_eq!(approval, before);
    let given = [("why", " so\r\nit is "), ("budget", "1500.0")];
    assert_eq!(approval.vote(ballot("ann", &given), at(1)), Receipt::Counted);
    let Some(Entry::Voted { ballot: counted, .. }) = approval.journal().last() else {
        panic!("a vote")
    };
    assert_eq!(counted.answers, answers(&[("budget", "1500"), ("why", "so\nit is")]));
    assert_eq!(
        approval.vote(ballot("ann", &[]), at(2)),
        Receipt::Duplicate,
        "it is not asked again"
    );
    let vote = approval.stages()[0].votes()[0].1.clone();
    let told: Vec<_> = vote.answers.iter().map(|it| (&*it.label, &*it.value)).collect();
    assert_eq!(told, [("BUDGET", "1500"), ("WHY", "so\nit is")]);
    // Those of a vote that were left out to save space were checked before.
    let left_out = Some(answers::hash(&answers(&[("budget", "1500")])));
    let brief = Ballot { answers_left_out: left_out, ..ballot("bob", &[]) };
    assert!(crate::leaves::is_brief(&[Entry::Voted { ballot: brief.clone(), at: at(3) }]));
    assert_eq!(approval.vote(brief, at(3)), Receipt::Counted);
    let signed = Some(countersign_protos::v1::Proof::default());
    let unusual = Ballot { proof: signed, ..ballot("bob", &[("budget", "1500.0")]) };
    let mut fresh = before;
    let refused = "answers that are signed must be in their canonical form".to_owned();
    assert_eq!(fresh.vote(unusual, at(3)), Receipt::InvalidAnswers(refused));
}

fn submitters_link() -> SubmitterLink {
    SubmitterLink { link: "sue".into(), key: "key".into() }
}

#[test]
fn a_request_for_changes_pauses_the_stage_whatever_its_quorum() {
    for quorum in [Quorum::Any, Quorum::All, Quorum::at_least(2).expect("positive")] {
        let mut approval = asking_first_stage(vec![plan(&["ann", "bob", "cy"], quorum)]);
        let silent = vote(&mut approval, "ann", Verdict::RequestChanges, 1);
        assert_eq!(silent, Receipt::CommentRequired);
        let first = "0-0-bob@example.com";
        assert_eq!(link(&mut approval, first, Verdict::RequestChanges, 1), Receipt::Counted);
        assert_eq!(link(&mut approval, first, Verdict::RequestChanges, 2), Receipt::Duplicate);
        assert_eq!(link(&mut approval, first, Approve, 2), Receipt::Contradiction);
        for verdict in Verdict::ALL {
            assert_eq!(vote(&mut approval, "ann", verdict, 2), Receipt::ChangesRequested);
        }
        let Status::ChangesRequested(request) = approval.status() else {
            panic!("{:?}", approval.status())
        };
        assert_eq!((request.position, request.seat.reviewer.clone()), (0, address("bob")));
        assert_eq!((request.vote.comment.as_str(), request.deadline), ("ok", None));
        assert!(!approval.is_final() && approval.open_stage().is_none());
    }
}

#[test]
fn while_changes_are_requested_only_their_own_deadline_counts() {
    let mut approval = Approval::new(address("sue"), vec![plan(&["ann", "bob"], Quorum::All)]);
    open_with(&mut approval, 0, &[50]);
    link(&mut approval, "0-0-bob@example.com", Verdict::RequestChanges, 1);
    let asked = approval.to_ask().map(|to_ask| (to_ask.stage, to_ask.whom));
    assert_eq!(asked, Some((0, Whom::Submitter)));
    assert_eq!(approval.next_deadline(), None, "nobody waits yet");
    let before = approval.clone();
    approval.ask_submitter(submitters_link(), None, at(2));
    assert_eq!(approval, before, "they are told until when");
    approval.ask_submitter(submitters_link(), Some(at(500)), at(2));
    assert_eq!((approval.to_ask(), approval.next_deadline()), (None, Some(at(500))));
    let sent = approval.clone();
    approval.ask_submitter(submitters_link(), Some(at(900)), at(3));
    assert_eq!(approval, sent, "once");
    assert_eq!(approval.tick(at(100)), []);
    assert_eq!(approval, sent, "the stage's reminders and its deadline rest");
    let not_asked = Err(NotReassigned::NotAsked);
    assert_eq!(approval.reassign(address("ann"), address("cy"), "op".into(), at(101)), not_asked);
    assert_eq!(approval.reissue(None, "op".into(), at(101)), Err(NotReissued::NotAsked));
    approval.tick(at(500));
    assert!(matches!(approval.status(), Status::Expired(_, end) if end == at(500)));
    assert_eq!(approval.reason(), Reason::NotRevised { stage: "finance" });
    let why = crate::outcome::reason(&approval);
    assert_eq!(
        why,
        "The changes that finance requested were not made in time, which ends the approval."
    );
}

#[test]
fn the_submitter_has_one_link_from_the_start_or_from_a_request_for_changes() {
    let mut approval = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    approval.ask_submitter(submitters_link(), Some(at(9)), at(0));
    assert_eq!(approval.submitter_link(), None, "nobody has requested changes");
    approval.ask_submitter(submitters_link(), None, at(0));
    assert_eq!(approval.submitter_link(), Some(&submitters_link()));
    let other = SubmitterLink { link: "eve".into(), ..submitters_link() };
    link(&mut approval, "0-0-ann@example.com", Verdict::RequestChanges, 1);
    approval.ask_submitter(other, Some(at(9)), at(2));
    assert_eq!(approval.next_deadline(), None);
    approval.ask_submitter(submitters_link(), Some(at(9)), at(2));
    assert_eq!(approval.next_deadline(), Some(at(9)));
    let mut again = asking_first_stage(vec![plan(&["ann"], Quorum::Any)]);
    for entry in &approval.journal()[1..] {
        assert!(again.repeat(entry.clone()), "{entry:?}");
    }
    assert_eq!(again, approval);
}
