use std::time::Duration;

use countersign_protos::{Chain, Claims, LinkContext, LinkKeys, execution_key};
use serde_json::json;

use super::*;
use crate::{
    ledger::{Act, Entry},
    submission::{Quorum, Stage, Submission},
};

const KEY: &str = countersign_protos::TEST_KEYS[0];
const OTHER_KEY: &str = countersign_protos::TEST_KEYS[1];
const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];
const WORKFLOW: &str = "soak-1-0";
const ANN: &str = "ann.soak-1-0@example.com";
const BOB: &str = "bob.soak-1-0@example.com";
const CY: &str = "cy.soak-1-0@example.com";
const MALLORY: &str = "mallory.soak-1-0@example.com";
const SUBMITTER: &str = "sub.soak-1-0@example.com";
const PRESSED: Duration = Duration::from_secs(1_796_000_000);
const COUNTED: &str = "2026-11-30T10:00:00Z";

fn keys(key: &str) -> LinkKeys {
    key.parse().expect("a key")
}

fn stage(reviewers: &[&str], quorum: Quorum, on_deadline: &'static str) -> Stage {
    let reviewers = reviewers.iter().map(ToString::to_string).collect();
    Stage { reviewers, quorum, deadline: None, reminder: None, on_deadline }
}

/// Ann and Bob both have to approve, and then Cy.
fn approval() -> Approval {
    let stages =
        vec![stage(&[ANN, BOB], Quorum::All, "expire"), stage(&[CY], Quorum::Any, "approve")];
    let submission = Submission { workflow: WORKFLOW.to_owned(), stages, team: None };
    Approval::new(&submission, "first".to_owned())
}

fn link_of(stage: u32, reviewer: &str, round: u32, instead_of: &str) -> String {
    let (approval, keys) = (approval(), keys(KEY));
    let (digest, chain) = (approval.digest(), approval.chain());
    let context =
        LinkContext { stage, round, instead_of, ..LinkContext::new(chain, &digest, reviewer) };
    keys.first().link(context).id().reveal()
}

fn hash(id: &str) -> String {
    id.parse::<countersign_protos::ApprovalId>().expect("an ID").hash().as_str().to_owned()
}

fn stage_of(reviewer: &str) -> u32 {
    u32::from(reviewer == CY)
}

fn press(reviewer: &str, approves: bool) -> Press {
    let link = hash(&link_of(stage_of(reviewer), reviewer, 0, ""));
    Press { reviewer: reviewer.to_owned(), link, approves, at: PRESSED }
}

/// All of them have pressed *approve*, and Temporal has it.
fn facts() -> Facts {
    let presses: Vec<Press> = [ANN, BOB, CY].map(|reviewer| press(reviewer, true)).into();
    let signals = presses.iter().map(|press| (press.link.clone(), true)).collect();
    Facts {
        keys: keys(KEY),
        secret: SECRET.to_owned(),
        approvals: vec![approval()],
        presses,
        acts: HashMap::new(),
        made_up: HashMap::new(),
        signals,
        late: HashSet::new(),
        refused: HashSet::new(),
    }
}

fn with_acts(acts: &[OperatorAct]) -> Facts {
    Facts { acts: [(WORKFLOW.to_owned(), acts.to_vec())].into(), ..facts() }
}

fn vote(reviewer: &str, verdict: &str, by: &str) -> Value {
    let link = hash(&link_of(stage_of(reviewer), reviewer, 0, ""));
    json!({
        "reviewer": reviewer, "verdict": verdict, "by": by, "comment": COMMENT, "link": link,
        "decidedAt": COUNTED,
    })
}

fn stage_json(name: &str, status: &str, votes: Vec<Value>) -> Value {
    json!({"name": name, "status": status, "decisions": votes})
}

/// The outcome of all their presses.
fn good() -> Value {
    let first = vec![vote(ANN, "APPROVE", "link"), vote(BOB, "APPROVE", "link")];
    let second = vec![vote(CY, "APPROVE", "link")];
    outcome(
        "APPROVED",
        "people",
        false,
        vec![stage_json("S0", "APPROVED", first), stage_json("S1", "APPROVED", second)],
    )
}

fn outcome(status: &str, basis: &str, operator: bool, stages: Vec<Value>) -> Value {
    let approval = approval();
    let mut outcome = approval.submission.clone();
    outcome["workflowId"] = json!(WORKFLOW);
    (outcome["status"], outcome["basis"]) = (json!(status), json!(basis));
    (outcome["operator"], outcome["stages"]) = (json!(operator), json!(stages));
    outcome["digest"] = json!(approval.digest());
    outcome["executionKey"] = json!(execution_key(approval.chain(), &approval.digest()));
    outcome
}

fn signed_by(key: &str, mut outcome: Value, change: impl FnOnce(&mut Claims)) -> Value {
    let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
    let mut claims = Claims {
        workflow_id: WORKFLOW.into(),
        first_run_id: "first".into(),
        submission_id: text("submissionId"),
        status: text("status"),
        basis: text("basis"),
        operator: outcome["operator"] == true,
        digest: text("digest"),
        action_digest: String::new(),
        execution_key: text("executionKey"),
        decided_at: COUNTED.into(),
    };
    change(&mut claims);
    outcome["jws"] = json!(keys(key).first().sign(&claims));
    outcome
}

fn signed(outcome: Value) -> Value {
    signed_by(KEY, outcome, |_| ())
}

fn found_in(facts: &Facts, outcomes: Vec<Value>) -> usize {
    judge(facts, &Evidence { outcomes, ..Evidence::default() }).len()
}

fn is_explained(facts: &Facts, outcome: Value) -> bool {
    found_in(facts, vec![signed(outcome)]) == 0
}

/// An outcome after the first stage alone.
fn first(status: &str, basis: &str, operator: bool, votes: Vec<Value>) -> Value {
    let stage = if status == "WITHDRAWN" { "WITHDRAWN" } else { status };
    outcome(status, basis, operator, vec![stage_json("S0", stage, votes)])
}

#[test]
fn a_vote_by_link_is_explained_by_the_press_of_its_reviewer_alone() {
    assert!(is_explained(&facts(), good()));
    let without = |change: fn(&mut Press)| {
        let mut facts = facts();
        change(&mut facts.presses[0]);
        is_explained(&facts, good())
    };
    assert!(without(|_| ()));
    assert!(!without(|ann| ann.reviewer = BOB.into()), "somebody else pressed");
    assert!(!without(|ann| ann.approves = false), "another button");
    assert!(!without(|ann| ann.link = press(CY, true).link), "at another link");
    assert!(!without(|ann| ann.at += Duration::from_secs(86_400)), "later");
    let mut elsewhere = good();
    let foreign = press(CY, true).link;
    elsewhere["stages"][0]["decisions"][0]["link"] = json!(foreign);
    let mut at_another = facts();
    at_another.presses[0].link = foreign;
    assert!(!is_explained(&at_another, elsewhere), "by a link that was not hers");
    let mut written = good();
    written["stages"][0]["decisions"][0]["comment"] = json!("Yes!");
    assert!(!is_explained(&facts(), written), "the comment is another one");
    let by_hand = with_acts(&[OperatorAct::Vote { of: ANN.into(), approves: true }]);
    let unpressed = Facts { presses: facts().presses[1..].to_vec(), ..by_hand };
    assert!(!is_explained(&unpressed, good()), "an operator's vote is not her own");
}

#[test]
fn a_vote_by_an_operator_is_told_as_one() {
    let acts = |of: &str, approves| with_acts(&[OperatorAct::Vote { of: of.into(), approves }]);
    let rejected =
        |by: &str, operator| first("REJECTED", "people", operator, vec![vote(ANN, "REJECT", by)]);
    let link = press(ANN, true).link;
    assert!(is_explained(&acts(ANN, false), rejected("operator", true)));
    assert!(is_explained(&acts(&link, false), rejected("operator", true)), "by the hash");
    assert!(!is_explained(&acts(ANN, false), rejected("operator", false)), "and nobody is told");
    assert!(!is_explained(&acts(ANN, false), rejected("link", false)));
    assert!(!is_explained(&acts(ANN, true), rejected("operator", true)), "the other verdict");
    assert!(!is_explained(&acts(BOB, false), rejected("operator", true)), "for somebody else");
    let mut without = good();
    without["operator"] = json!(true);
    assert!(!is_explained(&facts(), without), "no operator had a part");
}

#[test]
fn who_is_asked_instead_of_another_makes_it_an_operators_too() {
    let reassigned = OperatorAct::Reassign { from: ANN.into(), to: MALLORY.into() };
    let id = link_of(0, MALLORY, 2, ANN);
    let own = Press { reviewer: MALLORY.into(), link: hash(&id), approves: false, at: PRESSED };
    let mut vote = vote(ANN, "REJECT", "link");
    (vote["reviewer"], vote["link"]) = (json!(MALLORY), json!(hash(&id)));
    let outcome = |operator| {
        let mut outcome = first("REJECTED", "people", operator, vec![vote.clone()]);
        let action = json!({"action": "reassign", "reviewer": ANN, "to": MALLORY});
        outcome["operatorActions"] = json!([action]);
        outcome
    };
    let mut facts = with_acts(&[reassigned]);
    facts.presses.push(own);
    assert!(is_explained(&facts, outcome(true)));
    assert!(!is_explained(&facts, outcome(false)));
    facts.acts.clear();
    assert!(!is_explained(&facts, outcome(true)), "nobody has reassigned it");
}

#[test]
fn a_status_without_enough_votes_is_found() {
    let ann = || vec![vote(ANN, "APPROVE", "link")];
    let both = || vec![vote(ANN, "APPROVE", "link"), vote(BOB, "APPROVE", "link")];
    assert!(!is_explained(&facts(), first("APPROVED", "people", false, ann())));
    assert!(!is_explained(&facts(), first("APPROVED", "people", false, both())), "Cy is to come");
    let mut early = good();
    early["stages"][0]["decisions"].as_array_mut().expect("votes").pop();
    assert!(!is_explained(&facts(), early));
    let twice = vec![vote(ANN, "APPROVE", "link"), vote(ANN, "APPROVE", "link")];
    let mut stages = good();
    stages["stages"][0]["decisions"] = json!(twice);
    assert!(!is_explained(&facts(), stages), "one person, two votes");
    let mut stranger = good();
    stranger["stages"][0]["decisions"][0]["reviewer"] = json!(CY);
    assert!(!is_explained(&facts(), stranger), "Cy is not asked there");
    let mut silent = first("EXPIRED", "deadline", false, vec![]);
    silent["stages"][0]["undecided"] = json!([ANN, BOB]);
    assert!(is_explained(&facts(), silent.clone()));
    silent["stages"][0]["undecided"] = json!([MALLORY]);
    assert!(!is_explained(&facts(), silent), "nobody has asked Mallory");
    let mut more = good();
    more["stages"].as_array_mut().expect("stages").push(stage_json("S2", "APPROVED", vec![]));
    assert!(!is_explained(&facts(), more));
}

#[test]
fn a_deadline_does_what_was_planned_and_is_told_as_one() {
    let ann = || vec![vote(ANN, "APPROVE", "link")];
    assert!(is_explained(&facts(), first("EXPIRED", "deadline", false, ann())));
    assert!(is_explained(&facts(), first("EXPIRED", "deadline", false, vec![])), "left out");
    assert!(!is_explained(&facts(), first("EXPIRED", "people", false, ann())));
    assert!(!is_explained(&facts(), first("REJECTED", "deadline", false, ann())));
    let silent = |status: &str, basis: &str| {
        let mut outcome = good();
        (outcome["status"], outcome["basis"]) = (json!(status), json!(basis));
        (outcome["stages"][1]["status"], outcome["stages"][1]["decisions"]) =
            (json!(status), json!([]));
        is_explained(&facts(), outcome)
    };
    assert!(silent("APPROVED", "deadline"));
    assert!(!silent("APPROVED", "people") && !silent("REJECTED", "deadline"));
}

#[test]
fn a_withdrawal_needs_somebody_who_withdraws() {
    let withdrawn = || first("WITHDRAWN", "withdrawal", false, vec![vote(ANN, "APPROVE", "link")]);
    assert!(is_explained(&with_acts(&[OperatorAct::Withdraw]), withdrawn()));
    assert!(!is_explained(&facts(), withdrawn()));
    let mut decided = good();
    (decided["status"], decided["basis"]) = (json!("WITHDRAWN"), json!("withdrawal"));
    assert!(!is_explained(&with_acts(&[OperatorAct::Withdraw]), decided), "it was decided");
}

#[test]
fn an_outcome_is_that_of_what_was_submitted_and_started() {
    let changed = |change: fn(&mut Value)| {
        let mut outcome = good();
        change(&mut outcome);
        is_explained(&facts(), outcome)
    };
    assert!(!changed(|outcome| outcome["document"]["title"] = json!("Ten cars")));
    assert!(!changed(|outcome| outcome["submissionId"] = json!("soak-1-1")));
    assert!(!changed(|outcome| outcome["digest"] = json!("v1:0")));
    assert!(!changed(|outcome| outcome["executionKey"] = json!("0")));
    assert!(!changed(|outcome| outcome["status"] = json!("PENDING")));
    let claimed =
        |change: fn(&mut Claims)| found_in(&facts(), vec![signed_by(KEY, good(), change)]);
    assert_eq!(claimed(|claims| claims.workflow_id = "other".into()), 1);
    assert_eq!(claimed(|claims| claims.first_run_id = "other".into()), 1, "another chain");
    assert_eq!(claimed(|claims| claims.operator = true), 1, "it says that no operator had a part");
}

#[test]
fn what_is_not_signed_is_not_believed_and_a_copied_signature_has_to_be_explained() {
    let found = |outcomes: &[Value], result: &Value| {
        let (outcomes, results) = (outcomes.to_vec(), vec![result.clone()]);
        judge(&facts(), &Evidence { outcomes, results, ..Evidence::default() }).len()
    };
    let forged = first("APPROVED", "people", false, vec![]);
    assert_eq!(found(&[], &forged), 0);
    assert_eq!(found(&[], &signed_by(OTHER_KEY, forged.clone(), |_| ())), 0);
    assert_eq!(found(&[], &signed(forged.clone())), 1);
    assert_eq!(found_in(&facts(), vec![forged]), 1, "what is concluded is signed");
    let (genuine, mut copied) = (signed(good()), signed(good()));
    copied["status"] = json!("REJECTED");
    assert_eq!(found(&[], &genuine), 0);
    assert_eq!(found(&[genuine], &copied), 0, "its signature is genuine");
    assert_eq!(found(&[], &copied), 1, "nobody has concluded that");
}

fn delivery(outcome: &Value, id: &str, secret: &str) -> Delivery {
    let status = outcome["status"].as_str().unwrap_or_default().to_lowercase();
    let body = json!({"type": format!("approval.{status}"), "data": outcome}).to_string();
    let secret = standardwebhooks::Webhook::new(secret).expect("a secret");
    let signature = secret.sign(id, 1_796_000_000, body.as_bytes()).expect("a signature");
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", "1796000000".to_owned()),
        ("webhook-signature", signature),
    ];
    Delivery {
        path: "/hook".to_owned(),
        taken: true,
        at: std::time::Instant::now(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: body.into_bytes(),
    }
}

fn found_in_deliveries(deliveries: Vec<Delivery>) -> usize {
    let facts = with_acts(&[OperatorAct::Withdraw]);
    judge(&facts, &Evidence { deliveries, ..Evidence::default() }).len()
}

#[test]
fn a_webhook_is_signed_and_one_event_for_each_id() {
    let genuine = || delivery(&signed(good()), "one", SECRET);
    assert_eq!(found_in_deliveries(vec![genuine(), genuine()]), 0, "repeated");
    let other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=";
    assert_eq!(found_in_deliveries(vec![delivery(&signed(good()), "one", other)]), 1);
    assert_eq!(found_in_deliveries(vec![delivery(&good(), "one", SECRET)]), 1, "without `jws`");
    let withdrawn = signed(first("WITHDRAWN", "withdrawal", false, vec![]));
    let both = |id: &str| vec![genuine(), delivery(&withdrawn, id, SECRET)];
    assert_eq!((found_in_deliveries(both("two")), found_in_deliveries(both("one"))), (0, 1));
    let mut elsewhere = signed(good());
    elsewhere["workflowId"] = json!("soak-1-1");
    assert_eq!(found_in_deliveries(vec![delivery(&elsewhere, "one", SECRET)]), 1);
    let unfounded = signed(first("APPROVED", "people", false, vec![]));
    assert_eq!(found_in_deliveries(vec![delivery(&unfounded, "one", SECRET)]), 1);
}

fn mail(to: &str, text: String) -> Mail {
    Mail {
        from: String::new(),
        to: vec![to.to_owned()],
        subject: String::new(),
        content_type: String::new(),
        text,
        html: String::new(),
        raw: Vec::new(),
    }
}

fn is_mail_explained(facts: &Facts, mail: Mail) -> bool {
    judge(facts, &Evidence { mails: vec![mail], ..Evidence::default() }).is_empty()
}

const DOCUMENT: &str = "\n\nTitle: Train to the fair\nAmount: 125.50 USD\n\n";
const ABOUT: &str = "\nSubmitted by: Sam Submitter <sub.soak-1-0@example.com>\n\
    Submission: soak-1-0 (expense report)\n";

fn request(to: &str, id: &str, workflow: &str, document: &str) -> Mail {
    let link = |choice| format!("http://localhost/a/{id}/{workflow}?choice={choice}\n");
    let (approve, reject) = (link("approve"), link("reject"));
    let stage = format!("Stage: S{}", stage_of(to));
    mail(to, format!("Sam asks.{document}{approve}{reject}{stage}{ABOUT}"))
}

#[test]
fn a_request_goes_to_whom_the_plan_or_an_operator_names_with_their_own_link() {
    let own = link_of(0, ANN, 0, "");
    assert!(is_mail_explained(&facts(), request(ANN, &own, WORKFLOW, DOCUMENT)));
    assert!(!is_mail_explained(&facts(), request(BOB, &own, WORKFLOW, DOCUMENT)), "to another");
    assert!(!is_mail_explained(&facts(), request(ANN, &own, "soak-1-1", DOCUMENT)));
    let cars = "\n\nTitle: Ten cars\nAmount: 125.50 USD\n\n";
    assert!(!is_mail_explained(&facts(), request(ANN, &own, WORKFLOW, cars)));
    let dear = "\n\nTitle: Train to the fair\nAmount: 9,125.50 USD\n\n";
    assert!(!is_mail_explained(&facts(), request(ANN, &own, WORKFLOW, dear)));
    let mallory = request(MALLORY, &link_of(0, MALLORY, 2, ANN), WORKFLOW, DOCUMENT);
    assert!(!is_mail_explained(&facts(), mallory.clone()));
    let named = OperatorAct::Reassign { from: ANN.into(), to: MALLORY.into() };
    assert!(is_mail_explained(&with_acts(&[named]), mallory));
    let chain = Chain { workflow_id: WORKFLOW, first_run_id: "other" };
    let other = keys(KEY).first().link(LinkContext::new(chain, &approval().digest(), ANN));
    let other = request(ANN, &other.id().reveal(), WORKFLOW, DOCUMENT);
    assert!(!is_mail_explained(&facts(), other), "a link of another chain");
}

fn notice(to: &str, first: &str, stages: &str) -> Mail {
    mail(to, format!("{first}{DOCUMENT}Because.\n\n{stages}{ABOUT}"))
}

#[test]
fn a_notice_is_true_and_goes_to_whom_it_concerns() {
    let approved = format!(
        "Stage S0: approved\n- {ANN} approved, Mon\n  > By page\n- {BOB} approved, Mon\n  > By page\n\
         Stage S1: approved\n- {CY} approved, Mon\n  > By page\n"
    );
    let outcome = |to| notice(to, "Your submission is approved.", &approved);
    assert!(is_mail_explained(&facts(), outcome(SUBMITTER)));
    assert!(!is_mail_explained(&facts(), outcome(MALLORY)));
    let unpressed = || Facts { presses: facts().presses[1..].to_vec(), ..facts() };
    assert!(!is_mail_explained(&unpressed(), outcome(SUBMITTER)), "Ann has not pressed");
    let open = approved.replace("S1: approved", "S1: still open");
    let early = notice(SUBMITTER, "Your submission is approved.", &open);
    assert!(!is_mail_explained(&facts(), early));

    let rejected = |by: &str| format!("Stage S0: rejected\n- {ANN} rejected{by}, Mon\n");
    let by_operator = rejected(", recorded by an operator (x)");
    let act = || with_acts(&[OperatorAct::Vote { of: ANN.into(), approves: false }]);
    let superseded = |to, stages: &str| {
        let first = "Your decision is no longer needed. There is nothing for you to do.";
        notice(to, first, stages)
    };
    let silent = |stages: &str| stages.replace("  > By page\n", "");
    assert!(is_mail_explained(&act(), superseded(BOB, &by_operator)));
    assert!(!is_mail_explained(&facts(), superseded(BOB, &by_operator)), "nobody has");
    assert!(!is_mail_explained(&act(), superseded(BOB, &rejected(""))), "not her own");
    let late = || notice(BOB, "The deadline has passed without your decision.", &by_operator);
    let passed = Facts { late: [WORKFLOW.to_owned()].into(), ..act() };
    assert!(is_mail_explained(&passed, late()));
    assert!(!is_mail_explained(&act(), late()), "it has not");
    assert!(!is_mail_explained(&act(), superseded(ANN, &by_operator)), "Ann has decided");
    assert!(!is_mail_explained(&act(), superseded(CY, &by_operator)), "Cy was not asked");
    let mut twice = facts();
    twice.approvals[0].stages[1].reviewers.push(ANN.into());
    let one_silent = approved.split("- cy").next().unwrap_or_default();
    let silent = superseded(ANN, &silent(one_silent));
    assert!(is_mail_explained(&twice, silent), "she was asked in two stages");
    let talks = superseded(ANN, one_silent);
    assert!(!is_mail_explained(&twice, talks), "what others wrote is not for her");
    let waits = format!("Stage S0: still open\n- {ANN} approved, Mon\n");
    assert!(!is_mail_explained(&facts(), superseded(BOB, &waits)), "he is still asked");
    let replaced = |by: &str| {
        notice(ANN, &format!("{by} is asked in your place. An operator (x) arranged this."), "")
    };
    let reassigned = || with_acts(&[OperatorAct::Reassign { from: ANN.into(), to: CY.into() }]);
    assert!(is_mail_explained(&reassigned(), replaced(CY)));
    assert!(!is_mail_explained(&reassigned(), replaced(MALLORY)), "she is not asked");
    assert!(!is_mail_explained(&facts(), replaced(CY)), "nobody wanted that");
    let withdrawn = |to| notice(to, "This request was withdrawn, so there is nothing to do.", "");
    assert!(is_mail_explained(&with_acts(&[OperatorAct::Withdraw]), withdrawn(ANN)));
    assert!(!is_mail_explained(&facts(), withdrawn(ANN)), "nobody has");
    let stage = "Stage S0: not decided in time\n";
    let expired = notice(SUBMITTER, "Nobody decided in time, so it ended.", stage);
    assert!(is_mail_explained(&facts(), expired));
    let waiting = notice(SUBMITTER, "Waiting for S0 to decide. x@example.com has until Mon.", "");
    assert!(!is_mail_explained(&facts(), waiting), "no rule says so");
    let unreached = |to: &str, people: &str| {
        let first = "Nobody can be reached to decide your submission. Ask x. Mail to";
        notice(to, &format!("{first} {people} was refused."), "")
    };
    let refused = |people: &[&str]| {
        let refused = people.iter().map(|who| (WORKFLOW.to_owned(), (*who).to_owned()));
        Facts { refused: refused.collect(), ..facts() }
    };
    let both = format!("{ANN} and {BOB}");
    assert!(is_mail_explained(&refused(&[ANN, BOB]), unreached(SUBMITTER, &both)));
    assert!(!is_mail_explained(&refused(&[ANN, BOB]), unreached(MALLORY, &both)));
    assert!(!is_mail_explained(&refused(&[ANN]), unreached(SUBMITTER, &both)), "Bob has his mail");
    assert!(!is_mail_explained(&facts(), unreached(SUBMITTER, ANN)), "so has Ann");
    let others = |facts: &Facts| {
        let first = "Mail to you was refused, so others are asked now.";
        is_mail_explained(facts, notice(BOB, first, &by_operator))
    };
    assert!(others(&Facts { refused: refused(&[BOB]).refused, ..act() }));
    assert!(!others(&act()), "it was not");
    let represented = |to| {
        let first = "An operator (x) recorded a rejection for you in S0 on Mon.";
        notice(to, first, &by_operator)
    };
    assert!(is_mail_explained(&act(), represented(ANN)));
    assert!(!is_mail_explained(&act(), represented(BOB)));
    assert!(!is_mail_explained(&facts(), notice(ANN, "Hello.", &approved)), "of no kind");
}

/// A page that shows Ann her approval.
fn page(answer: &str, approves: bool, status: &str, change: impl FnOnce(&mut Value)) -> Page {
    let entry = Entry {
        sent_at: PRESSED,
        workflow: WORKFLOW.into(),
        act: Act::Press,
        reviewer: ANN.into(),
        key: press(ANN, true).link,
        approves: Some(approves),
        to: String::new(),
        status: 200,
        answer: answer.into(),
        said: status.into(),
    };
    let signed = signed(good());
    let seat = |vote: &Value| json!({"reviewer": vote["reviewer"], "vote": vote});
    let stage = |stage: &Value| {
        let seats: Vec<Value> = countersign_e2e::list(&stage["decisions"]).map(seat).collect();
        json!({"name": stage["name"], "status": stage["status"], "reviewers": seats})
    };
    let stages: Vec<Value> = countersign_e2e::list(&signed["stages"]).map(stage).collect();
    let mut state = json!({
        "status": status, "submission": approval().submission, "stages": stages,
        "digest": signed["digest"], "jws": signed["jws"],
    });
    change(&mut state);
    Page { entry, body: json!({"answer": answer, "reviewer": ANN, "approval": state}) }
}

fn is_page_explained(facts: &Facts, page: Page) -> bool {
    judge(facts, &Evidence { pages: vec![page], ..Evidence::default() }).is_empty()
}

#[test]
fn a_page_shows_its_own_approval_and_as_final_only_what_is_signed() {
    let decided = |change: fn(&mut Value)| {
        is_page_explained(&facts(), page("decided", true, "APPROVED", change))
    };
    assert!(decided(|_| ()));
    assert!(!decided(|state| state["jws"] = json!("a.b.c")));
    assert!(!decided(|state| state["submission"]["document"]["title"] = json!("Ten cars")));
    assert!(!decided(|state| state["submission"]["submissionId"] = json!("soak-1-1")));
    assert!(!decided(
        |state| state["stages"][0]["reviewers"][0]["vote"]["verdict"] = json!("REJECT")
    ));
    let other = |claims: fn(&mut Claims)| {
        let jws = signed_by(KEY, good(), claims)["jws"].clone();
        let page = page("decided", true, "APPROVED", |state| state["jws"] = jws);
        is_page_explained(&facts(), page)
    };
    assert!(!other(|claims| claims.status = "REJECTED".into()));
    assert!(!other(|claims| claims.workflow_id = "other".into()));
    assert!(!other(|claims| claims.digest = "v1:0".into()));
    let hidden = || {
        page("decided", true, "APPROVED", |state| {
            state["stages"][0]["reviewers"] = json!([]);
        })
    };
    assert!(!is_page_explained(&facts(), hidden()), "without votes");
    let concluded = |page: Page| {
        let (outcomes, pages) = (vec![signed(good())], vec![page]);
        judge(&facts(), &Evidence { outcomes, pages, ..Evidence::default() }).is_empty()
    };
    assert!(concluded(hidden()), "they are hidden, and it was concluded so");
    let mut lie = hidden();
    lie.body["approval"]["stages"][0]["reviewers"] =
        json!([{"reviewer": BOB, "vote": vote(BOB, "REJECT", "link")}]);
    assert!(!concluded(lie), "Bob has not rejected it");
    let mut foreign = page("decided", true, "APPROVED", |_| ());
    foreign.body["reviewer"] = json!(BOB);
    assert!(!is_page_explained(&facts(), foreign));
    assert!(!is_page_explained(&facts(), page("expired", true, "APPROVED", |_| ())));
}

#[test]
fn a_page_may_hide_the_document_and_comments_where_nothing_can_be_decided_any_more() {
    fn hide(state: &mut Value) {
        state["submission"] = json!({"submissionId": state["submission"]["submissionId"]});
        for stage in state["stages"].as_array_mut().into_iter().flatten() {
            for reviewer in stage["reviewers"].as_array_mut().into_iter().flatten() {
                reviewer["vote"].as_object_mut().expect("a vote").remove("comment");
            }
        }
    }
    let shown = |answer: &str, change: fn(&mut Value)| {
        is_page_explained(&facts(), page(answer, true, "APPROVED", change))
    };
    assert!(shown("decided", hide));
    assert!(!shown("open", hide), "nobody decides on what is not shown");
    assert!(!shown("decided", |state| state["submission"] = json!({"submissionId": "soak-1-1"})));
    assert!(!shown("decided", |state| {
        state["stages"][0]["reviewers"][0]["vote"]["comment"] = json!("Yes!");
    }));
}

#[test]
fn a_page_may_leave_open_what_a_deadline_has_done_to_an_earlier_stage() {
    fn left_open(state: &mut Value) {
        let stage = |name: &str, status: &str| json!({"name": name, "status": status});
        state["stages"] = json!([stage("S0", ""), stage("S1", "PENDING")]);
    }
    let mut approves = approval();
    approves.stages[0].on_deadline = "approve";
    for (approval, is_explained) in [(approves, true), (approval(), false)] {
        let facts = Facts { approvals: vec![approval], ..facts() };
        let page = page("too_late", true, "PENDING", left_open);
        assert_eq!(is_page_explained(&facts, page), is_explained);
    }
}

#[test]
fn a_page_says_recorded_only_of_what_was_pressed_and_has_arrived() {
    /// Nothing is said of what has become of it.
    fn open(state: &mut Value) {
        state["stages"] = json!([]);
    }
    let said = |facts: &Facts, answer: &str, approves| {
        is_page_explained(facts, page(answer, approves, "PENDING", open))
    };
    for answer in ["recorded", "already_recorded", "accepted"] {
        assert!(said(&facts(), answer, true), "{answer}");
        assert!(!said(&facts(), answer, false), "{answer}: the other button");
        let lost = Facts { signals: HashSet::new(), ..facts() };
        assert!(!said(&lost, answer, true), "{answer}: Temporal does not have it");
        let unpressed = Facts { presses: vec![], ..facts() };
        assert!(!said(&unpressed, answer, true), "{answer}: nobody pressed");
    }
    assert!(said(&facts(), "other_verdict", false) && !said(&facts(), "other_verdict", true));
    assert!(said(&facts(), "voted", true));
    let unpressed = Facts { presses: vec![], ..facts() };
    assert!(!said(&unpressed, "voted", true));
    assert!(said(&unpressed, "open", true) && !said(&unpressed, "too_late", true));
    let lagging = page("sealing", true, "PENDING", |state| {
        state["stages"][1]["status"] = json!("PENDING");
    });
    assert!(is_page_explained(&facts(), lagging), "what is decided may be shown as open");
    let ahead = page("stage_over", true, "PENDING", |state| {
        state["stages"] = json!([{"name": "S0", "status": "APPROVED", "reviewers": []}]);
    });
    assert!(!is_page_explained(&facts(), ahead), "and nothing open as decided");
}
