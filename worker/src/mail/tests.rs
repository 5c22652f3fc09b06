use countersign_protos::{
    Chain, GenuineLink, Json, LinkContext, MAX_REVISIONS,
    v1::{self, Action, Detail, Document, EarlierVersion, Item, Submission, Submitter},
};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    approval::{Ballot, Claim, Delegation, Due, Quorum, Receipt, Seat, Whom},
    leaves::{self, Leaves, SeatOf},
    outcome as outcomes,
    policy::{PlannedLevel, PlannedStage, TimePlan},
    testing::{address, keys, sealed},
};

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };
const ASKED: &str = "2026-11-24T09:31:00Z";
const DECIDED: &str = "2026-11-25T08:05:00Z";
const DEADLINE: &str = "2026-11-27T16:00:00Z";
const LATER: &str = "2026-11-30T16:00:00Z";
const OPERATOR: &str = "kim@laptop-17";
const CORP: &str = "Example Corp <it-help@example.com>";

fn links() -> Links {
    let link = keys().first().link(LinkContext::new(CHAIN, "v1:0", "ann@example.com"));
    let base = "https://approve.example.com/x/".parse().expect("a URL");
    Links::new(&base, link.id(), CHAIN.workflow_id)
}

fn submission() -> Submission {
    Submission {
        submission_id: "PO-2041".into(),
        submission_type: "equipment_purchase".into(),
        submitter: Some(Submitter {
            name: "Sue Storm".into(),
            email: "sue@example.com".into(),
            department: "R&D".into(),
            employee_id: "E7".into(),
        }),
        document: Some(Document {
            title: "15 laptops".into(),
            amount: "15750.00".into(),
            currency: "USD".into(),
            category: "hardware".into(),
            description: "For the new hires.\nQuote attached.".into(),
            items: vec![
                Item {
                    description: "14 laptops".into(),
                    amount: "14700.00".into(),
                    date: "2026-11-20".into(),
                },
                Item { description: String::new(), amount: "1050.00".into(), date: String::new() },
            ],
            attachments: vec!["s3://quotes/dell.pdf".into()],
            ..Document::default()
        }),
        submitted_at: Some(to_message(time("2026-11-24T09:30:00Z"))),
        ..Submission::default()
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn time_plan() -> TimePlan {
    TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] }
}

/// A plan that asks these people of Finance.
fn asking(people: &[&str], quorum: Quorum, on_deadline: OnDeadline) -> Plan {
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: people.iter().map(|name| address(name)).collect(),
        quorum,
        time: time_plan(),
        on_deadline,
        escalations: vec![],
    };
    Plan::asking(submission(), address("sue"), vec![stage])
}

/// Of what has no amount: an agent's call, and a leave.
fn agents_plan() -> Plan {
    let steps: Vec<_> =
        (1..=30).map(|i| json!({"service": format!("shop-{i}"), "replicas": i})).collect();
    let action = Action {
        name: "deploy.rollout".into(),
        arguments: Some(Json::from(&json!({
            "canary": false, "dryRun": null, "image": "registry.example/shop:2.3.0", "steps": steps,
        }))),
        risk: "high".into(),
        reason: "The checkout fails for every tenth customer.\nRelease 2.3 has the fix.".into(),
        on_behalf_of: "sue@example.com".into(),
    };
    let details = [("Runs at", "tonight,\nafter 22:00"), ("Rollback", "2.2.4")];
    let detail = |(label, value): (&str, &str)| Detail { label: label.into(), value: value.into() };
    let document = Document {
        title: "Roll out shop 2.3".into(),
        details: details.map(detail).into(),
        action: Some(action),
        ..Document::default()
    };
    about(document)
}

fn leave_plan() -> Plan {
    about(Document { title: "Leave from 7 to 18 December".into(), ..Document::default() })
}

/// The plan, about something else.
fn about(document: Document) -> Plan {
    let submission = Submission { document: Some(document), ..submission() };
    Plan::asking(submission, address("sue"), plan().stages)
}

fn plan() -> Plan {
    asking(&["ann"], Quorum::All, OnDeadline::Reject)
}

/// Ann or Bob decides, and the boss if neither does.
fn escalating() -> Plan {
    let mut plan = asking(&["ann", "bob"], Quorum::Any, OnDeadline::Reject);
    plan.stages[0].escalations = vec![PlannedLevel {
        reviewers: vec![address("boss")],
        time: time_plan(),
        keep_earlier: false,
        fallback: false,
    }];
    plan
}

/// The plan of the same for fewer people, who need no docks any more.
fn revised() -> Plan {
    let earlier = plan();
    let mut submission = submission();
    let document = submission.document.as_mut().expect("a document");
    document.title = "12 laptops".into();
    document.amount = "12600.00".into();
    document.items.truncate(1);
    document.attachments.push("s3://quotes/hp.pdf".into());
    let before = EarlierVersion { digest: earlier.digest, ..EarlierVersion::default() };
    Plan::asking(submission, address("sue"), earlier.stages)
        .revising(vec![before], earlier.submission)
}

fn in_berlin(plan: Plan) -> Plan {
    Plan { time_zone: "Europe/Berlin".into(), ..plan }
}

/// An approval to which things happen as they do in a workflow.
struct Happening {
    plan: Plan,
    approval: Approval,
}

impl Happening {
    /// Its first reviewers are asked.
    fn of(plan: Plan) -> Self {
        let approval = leaves::begin(&plan, time(ASKED));
        Self { plan, approval }.ask(ASKED, DEADLINE)
    }

    fn ask(mut self, at: &str, until: &str) -> Self {
        let (keys, at) = (keys(), time(at));
        let leaves = Leaves { chain: CHAIN, plan: &self.plan, key: keys.first() };
        let to_ask = self.approval.to_ask().expect("somebody to ask");
        let invited = leaves.invite(&to_ask, None, at);
        let is_level = matches!(to_ask.whom, Whom::Level(_));
        let due = is_level.then(|| Due { deadline: time(until), reminders: vec![] });
        self.approval.ask(invited, due, at);
        self
    }

    /// The link of somebody who is asked now.
    fn link(&self, reviewer: &str) -> GenuineLink {
        let keys = keys();
        let leaves = Leaves { chain: CHAIN, plan: &self.plan, key: keys.first() };
        let stage = self.approval.open().expect("an open stage");
        let mut seats = self.approval.stages()[stage].seats().iter();
        let seat = seats.rfind(|seat| seat.reviewer == address(reviewer)).expect("a seat");
        let Seat { reviewer, on_behalf_of, instead_of, round, .. } = seat;
        leaves.link(SeatOf {
            stage,
            round: *round,
            reviewer,
            on_behalf_of: on_behalf_of.as_ref(),
            instead_of: instead_of.as_ref(),
        })
    }

    fn press(mut self, reviewer: &str, verdict: Verdict, comment: &str) -> Self {
        let (link, at) = (self.link(reviewer), time(DECIDED));
        let claim = Claim::Link(link.hash().as_str().to_owned());
        let proof = Some(link.sign(verdict, comment, at));
        let ballot = Ballot { proof, ..Ballot::new(claim, verdict, comment.to_owned()) };
        assert_eq!(self.approval.vote(ballot, at), Receipt::Counted);
        self
    }

    fn decide_for(mut self, reviewer: &str, verdict: Verdict, identity: &str) -> Self {
        let claim = Claim::Reviewer(address(reviewer));
        let ballot = Ballot::new(claim, verdict, "Too many".to_owned());
        let (identity, version) = (identity.to_owned(), self.plan.version());
        let ballot = Ballot { identity, version, ..ballot };
        assert_eq!(self.approval.vote(ballot, time(DECIDED)), Receipt::Counted);
        self
    }

    fn replace(mut self, from: &str, to: &str) -> Self {
        let identity = OPERATOR.to_owned();
        let replaced = self.approval.reassign(address(from), address(to), identity, time(DECIDED));
        assert_eq!(replaced, Ok(()));
        self.ask(DECIDED, DEADLINE)
    }

    fn withdraw(mut self, reason: &str, identity: &str) -> Self {
        let withdrawn =
            self.approval.withdraw(reason.to_owned(), identity.to_owned(), time(DECIDED));
        assert_eq!(withdrawn, Ok(()));
        self
    }

    /// Somebody wants changes, and the submitter has a link.
    fn send_back(self, reviewer: &str, comment: &str) -> Self {
        let mut back = self.press(reviewer, Verdict::RequestChanges, comment);
        let keys = keys();
        let leaves = Leaves { chain: CHAIN, plan: &back.plan, key: keys.first() };
        let to_ask = back.approval.to_ask().expect("the submitter");
        let link = leaves.submitter(&to_ask).expect("a link");
        back.approval.ask_submitter(link, Some(time(LATER)), time(DECIDED));
        back
    }

    /// A mail to somebody is refused.
    fn refuse(mut self, reviewer: &str) -> Self {
        let link = self.link(reviewer);
        self.approval.reached(link.hash().as_str(), false);
        self
    }

    fn pass_deadline(mut self) -> Self {
        assert!(self.approval.tick(time(DEADLINE)).is_empty(), "nobody is reminded");
        self
    }

    fn outcome(&self) -> Outcome {
        outcomes::outcome(&self.plan, &self.approval, CHAIN)
    }

    /// The mail to somebody who is out of it.
    fn superseded(&self, writer: Writer<'_>, reviewer: &str) -> Letter {
        let why = self.approval.superseded(&address(reviewer)).expect("superseded");
        writer.superseded(&self.outcome(), why)
    }
}

/// The mail for this request.
fn request(request: &ReviewRequest, links: &Links) -> Letter {
    Writer::default().request(&plan(), request, links)
}

fn outcome(outcome: &Outcome) -> Letter {
    Writer::default().outcome(outcome)
}

fn superseded(outcome: &Outcome, why: Superseded<'_>) -> Letter {
    Writer::default().superseded(outcome, why)
}

fn review() -> ReviewRequest {
    ReviewRequest {
        plan: sealed(&plan(), CHAIN),
        first_run_id: CHAIN.first_run_id.into(),
        stage: 0,
        round: 0,
        instead_of: None,
        reassigned_by: None,
        delegated: None,
        reviewer: "ann@example.com".parse().expect("an address"),
        link: String::new(),
        asked_at: Some(time(ASKED)),
        deadline: Some(to_message(time(DEADLINE))),
        times_out_at: None,
        on_deadline: OnDeadline::Reject,
        on_behalf_of: None,
        escalates: false,
        reminder: false,
        new_link: false,
        follows: None,
    }
}

fn decided() -> Outcome {
    Happening::of(plan()).press("ann", Verdict::Reject, "Too many").outcome()
}

fn by_operator(identity: &str) -> Outcome {
    Happening::of(plan()).decide_for("ann", Verdict::Reject, identity).outcome()
}

#[test]
fn a_deputy_reads_whom_they_replace_and_that_others_come_next() {
    let absent = Some(address("cfo"));
    let request =
        request(&ReviewRequest { on_behalf_of: absent, escalates: true, ..review() }, &links());
    let words = "You are asked instead of cfo@example.com, who is away: you are their deputy.";
    assert!(request.text.contains(words), "{}", request.text);
    for letter in [request.text, request.html] {
        assert!(letter.contains(", who is away: you are their deputy."), "{letter}");
        assert!(letter.contains(", or others are asked."), "{letter}");
    }
}

#[test]
fn a_request_says_who_asks_for_what_until_when_and_how_to_answer() {
    let letter = request(&review(), &links());
    let subject = "Please decide: 15 laptops, 15,750.00 USD, from Sue Storm";
    assert_eq!(letter.subject.to_string(), subject);
    let id = links().id;
    assert_eq!(
        letter.text,
        format!(
            "Sue Storm asks for your decision.

Title: 15 laptops
Amount: 15,750.00 USD

Decide by Fri 27 Nov 2026, 16:00 UTC, or it counts as rejected.

Review and approve:
https://approve.example.com/x/a/{id}/laptops?choice=approve

Review and reject:
https://approve.example.com/x/a/{id}/laptops?choice=reject

Both links open a page that shows everything and asks you to confirm; there you can also request \
             changes. Opening them decides nothing, and neither does a reply to this mail.

Stage: Finance
Submitted by: Sue Storm <sue@example.com>, R&D, E7
Submission: PO-2041 (equipment purchase), Tue 24 Nov 2026, 09:30 UTC
Category: hardware

From Sue Storm:
> For the new hires.
> Quote attached.

Items:
- 14,700.00 USD  14 laptops (Fri 20 Nov 2026)
- 1,050.00 USD  (no description)

Files:
- s3://quotes/dell.pdf

Approval ID: {id}
You can also type it at https://approve.example.com/x/
These links and this approval ID are yours alone: anybody who has them can decide in your name, so \
             please do not forward this mail."
        )
    );
    for part in [
        "?choice=approve\"",
        "?choice=reject\"",
        "Finance &middot; Sue Storm asks for your decision",
        "15,750.00 USD",
        ">From Sue Storm:</p>",
        ">No description</span>",
        ">Fri 20 Nov 2026</span>",
        ">Files</p>",
        ">dell.pdf<br>",
        ">s3://quotes/dell.pdf</span>",
        "neither does a reply to this mail",
        "R&#38;D",
        id.as_str(),
    ] {
        assert!(letter.html.contains(part), "{part} is missing in {}", letter.html);
    }
}

#[test]
fn a_request_leads_with_the_amount_or_the_action_or_the_title() {
    let large = |text: &str| {
        format!("font-size:26px;line-height:32px;font-weight:600;color:#1f2937\">{text}</p>")
    };
    let mut both = agents_plan();
    let document = both.submission.document.as_mut().expect("a document");
    (document.amount, document.currency) = ("15750.00".into(), "USD".into());
    for (plan, subject, lines, lead) in [
        (
            agents_plan(),
            "Please decide: Roll out shop 2.3, deploy.rollout, from Sue Storm",
            "\nTitle: Roll out shop 2.3\nAction: deploy.rollout (risk: high)\n\nDecide by",
            Some("deploy.rollout"),
        ),
        (
            both,
            "Please decide: Roll out shop 2.3, 15,750.00 USD, from Sue Storm",
            "\nTitle: Roll out shop 2.3\nAmount: 15,750.00 USD\nAction: deploy.rollout (risk: high)\n\nDecide by",
            Some("15,750.00 USD"),
        ),
        (
            leave_plan(),
            "Please decide: Leave from 7 to 18 December, from Sue Storm",
            "\nTitle: Leave from 7 to 18 December\n\nDecide by",
            None,
        ),
    ] {
        let letter = Writer::default().request(&plan, &review(), &links());
        assert_eq!(letter.subject.to_string(), subject);
        assert!(letter.text.contains(lines), "{}", letter.text);
        assert_eq!(letter.html.matches("font-size:26px").count(), usize::from(lead.is_some()));
        assert!(lead.is_none_or(|lead| letter.html.contains(&large(lead))), "{}", letter.html);
        let decided = outcome(&Happening::of(plan).press("ann", Verdict::Approve, "").outcome());
        let title = lines.split("\n\n").next().unwrap_or_default();
        assert!(decided.text.contains(&format!("{title}\n\nStage Finance")), "{}", decided.text);
        assert!(lead.is_none_or(|lead| decided.html.contains(&format!(">{lead}</p>"))));
    }
}

#[test]
fn a_request_has_an_excerpt_of_the_arguments_that_says_so() {
    let letter = Writer::default().request(&agents_plan(), &review(), &links());
    let expected = "
On behalf of: sue@example.com

Why:
> The checkout fails for every tenth customer.
> Release 2.3 has the fix.

Arguments, an excerpt (the page shows all):
- canary: false
- dryRun: null
- image: \"registry.example/shop:2.3.0\"
- steps[0].replicas: 1
- steps[0].service: \"shop-1\"
";
    assert!(letter.text.contains(expected), "{}", letter.text);
    assert!(letter.text.contains("\n- and 43 more, on the page\n"), "{}", letter.text);
    assert!(letter.html.contains(">Arguments, an excerpt: the page shows all</p>"));
    assert!(letter.html.contains(">and 43 more, on the page</p>"), "{}", letter.html);

    let with = |arguments: serde_json::Value| {
        let action = Action {
            name: "x".into(),
            arguments: Some(Json::from(&arguments)),
            ..Action::default()
        };
        let document = Document { title: "T".into(), action: Some(action), ..Document::default() };
        Writer::default().request(&about(document), &review(), &links()).text
    };
    let short = with(json!({"to": "a\nb\u{202e}"}));
    assert!(short.contains("\nArguments:\n- to: \"a\\nb⟨U+202E⟩\"\n\nApproval ID"), "{short}");
    let long = with(json!("x".repeat(200)));
    assert!(long.contains("\nArguments, an excerpt (the page shows all):\n- \"xxx"), "{long}");
    assert!(long.contains("xxx...\n\nApproval ID"), "{long}");
}

#[test]
fn details_stand_as_they_were_written() {
    let mut plan = agents_plan();
    let letter = Writer::default().request(&plan, &review(), &links());
    let expected = "\n\nDetails:\n- Runs at:\n  > tonight,\n  > after 22:00\n- Rollback: 2.2.4\n";
    assert!(letter.text.contains(expected), "{}", letter.text);
    assert_in_order(
        &letter.html,
        &[">Runs at</td>", ">tonight,</p>", ">after 22:00</p>", ">2.2.4</p>"],
    );
    let document = plan.submission.document.as_mut().expect("a document");
    document.details[0].value = "x".repeat(501);
    let letter = Writer::default().request(&plan, &review(), &links());
    assert!(letter.text.contains("\nDetails, an excerpt (the page shows all):\n- Runs at: xxx"));
    assert!(letter.html.contains(">Details, an excerpt: the page shows all</p>"));
}

/// Asserts that these stand in a mail, in this order.
#[track_caller]
fn assert_in_order(mail: &str, parts: &[&str]) {
    let mut rest = mail;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no {part} here: {rest}"));
        rest = after;
    }
}

#[test]
fn the_deadline_is_above_the_buttons_and_the_warning_beside_the_approval_id() {
    let id = links().id;
    for reminder in [false, true] {
        let letter = request(&ReviewRequest { reminder, ..review() }, &links());
        let deadline = "<p class=\"ink\" style=\"margin:16px 0;color:#1f2937\">Decide by <strong>";
        let mono = "font-family:Consolas,";
        let opening = "Opening it decides nothing";
        let warning = "<br>These links and this approval ID are yours alone";
        let choices = ["?choice=approve", "?choice=reject"];
        let parts = [deadline, choices[0], choices[1], opening, mono, id.as_str(), warning];
        assert_in_order(&letter.html, &parts);
        assert!(!letter.html.contains(&format!("{id}</strong>")), "{}", letter.html);
        let typed = "<a class=\"ink\" href=\"https://approve.example.com/x/\"";
        assert!(letter.html.contains(typed), "mail programs give it no colour of theirs");
    }
}

#[test]
fn a_link_names_its_workflow_in_any_letters_unless_that_is_too_long() {
    let approve = |workflow_id: &str| {
        let link = keys().first().link(LinkContext::new(CHAIN, "v1:0", "ann@example.com"));
        let base = "https://approve.example.com".parse().expect("a URL");
        let links = Links::new(&base, link.id(), workflow_id);
        let (_, hint) = links.approve.split_once(&links.id).expect("an ID");
        hint.to_owned()
    };
    assert_eq!(approve("order-1_A~2"), "/order-1_A~2?choice=approve");
    assert_eq!(approve("a/b ?#.é"), "/a%2Fb%20%3F%23%2E%C3%A9?choice=approve");
    assert_eq!(approve(&"x".repeat(200)), format!("/{}?choice=approve", "x".repeat(200)));
    assert_eq!(approve(&"x".repeat(201)), "?choice=approve");
}

#[test]
fn mails_say_who_runs_this_and_whom_to_ask() {
    let organization = CORP.parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let letters = [
        writer.request(&plan(), &review(), &links()),
        writer.outcome(&decided()),
        writer.superseded(&decided(), Superseded::Decided),
    ];
    let words = "This is about an approval at Example Corp. If you have questions, or doubt that it is \
                 genuine, ask ";
    let contact = "<a class=\"ink\" href=\"mailto:it-help@example.com\" style=\"text-decoration:none;\
                   color:#1f2937;white-space:nowrap\">it-help@example.com</a>";
    for letter in &letters {
        let text = format!("\n\n{words}it-help@example.com");
        assert!(letter.text.ends_with(&text), "{}", letter.text);
        assert!(letter.html.contains(&format!("{words}{contact}</td>")), "{}", letter.html);
    }
    assert!(!request(&review(), &links()).text.contains("genuine"), "nobody says who runs it");
}

#[test]
fn a_name_that_looks_like_an_address_has_the_real_one_beside_it_and_nothing_submitted_is_a_link() {
    let mut eve = plan();
    let submitter = eve.submission.submitter.as_mut().expect("a submitter");
    (submitter.name, submitter.email) = ("ceo@example.com".into(), "eve@example.com".into());
    let document = eve.submission.document.as_mut().expect("a document");
    document.title = "Log in at https://evil.example/ first".into();
    document.description = "or write to help@evil.example".into();
    let letter = Writer::default().request(&eve, &review(), &links());
    let asks = "ceo@example.com <eve@example.com> asks for your decision.";
    assert!(letter.text.starts_with(asks), "{}", letter.text);
    assert!(letter.html.contains("ceo@example.com &#60;eve@example.com&#62; asks"));
    let subject = letter.subject.to_string();
    assert!(subject.ends_with(", from eve@example.com"), "{subject}");
    let links = letter.html.split("href=\"").skip(1);
    let links: Vec<&str> = links.filter_map(|link| link.split('"').next()).collect();
    let [approve, reject, address, home] = &links[..] else { panic!("{links:?}") };
    for link in [approve, reject] {
        assert!(link.starts_with("https://approve.example.com/x/a/"), "{link}");
    }
    assert_eq!((*address, *home), ("mailto:eve@example.com", "https://approve.example.com/x/"));
}

#[test]
fn requests_of_different_people_have_different_subjects() {
    let subject = |name: &str| {
        let mut plan = plan();
        plan.submission.submitter.as_mut().expect("a submitter").name = name.into();
        Writer::default().request(&plan, &review(), &links()).subject.to_string()
    };
    assert_ne!(subject("Sue Storm"), subject("Reed Richards"));
}

#[test]
fn a_reminder_says_so_and_who_asked_when() {
    let reminder = ReviewRequest { reminder: true, ..review() };
    let letter = request(&reminder, &links());
    let subject = letter.subject.to_string();
    assert!(subject.starts_with("Reminder: please decide: 15 laptops"), "{subject}");
    let asked = "Sue Storm asked for your decision on Tue 24 Nov 2026, 09:31 UTC";
    let text = format!("Reminder: {asked}.\n\nTitle: 15 laptops\n");
    assert!(letter.text.starts_with(&text), "{}", letter.text);
    let html = format!("Finance &middot; {asked}</p>");
    assert_in_order(&letter.html, &["class=\"wait\"", ">Reminder</p>", html.as_str(), "<h1"]);
    assert_eq!(letter.kind, "reminder");
    let unknown = request(&ReviewRequest { asked_at: None, ..reminder }, &links());
    let words = "Reminder: Sue Storm asks for your decision.\n";
    assert!(unknown.text.starts_with(words), "{}", unknown.text);
}

#[test]
fn a_new_link_says_that_it_replaces_the_earlier_one() {
    let says = "These links replace those in an earlier mail, which no longer work.";
    for (reminder, new_link) in [(false, true), (true, true), (true, false), (false, false)] {
        let letter = request(&ReviewRequest { reminder, new_link, ..review() }, &links());
        for text in [&letter.text, &letter.html] {
            assert_eq!(text.contains(says), new_link, "{text}");
        }
        let subject = letter.subject.to_string();
        let is_new = subject.starts_with("New link: please decide: 15 laptops");
        assert_eq!(is_new, new_link && !reminder, "{subject}");
    }
}

#[test]
fn both_verdicts_have_the_same_weight() {
    let html = request(&review(), &links()).html;
    let style = |choice: &str, colour: &str| {
        let (_, rest) = html.split_once(&format!("?choice={choice}\" style=\"")).expect("a button");
        let (style, _) = rest.split_once('"').expect("its end");
        style.replace(colour, "its colour")
    };
    assert_eq!(style("approve", "#15803d"), style("reject", "#b91c1c"));
    assert_eq!(html.matches("<td class=\"button\" align=\"center\"").count(), 2);
    assert!(html.find("?choice=approve") < html.find("?choice=reject"), "in the order of the page");
}

#[test]
fn an_outcome_says_who_decided_what_and_why() {
    let letter = outcome(&decided());
    assert_eq!(letter.subject.to_string(), "Rejected: 15 laptops, 15,750.00 USD, PO-2041");
    assert_eq!(
        letter.text,
        "Your submission is rejected.

Title: 15 laptops
Amount: 15,750.00 USD

Stage Finance: rejected
- ann@example.com rejected, Wed 25 Nov 2026, 08:05 UTC
  > Too many

Submitted by: Sue Storm <sue@example.com>
Submission: PO-2041 (equipment purchase)"
    );
}

/// With one vote, its result, reviewer, time and comment are there once, above what it is about.
#[test]
fn the_result_is_the_headline_and_is_said_once() {
    for (verdict, class, word) in
        [(Verdict::Approve, "yes", "Approved"), (Verdict::Reject, "no", "Rejected")]
    {
        let one = Happening::of(plan()).press("ann", verdict, "Too many,\n\nas I said").outcome();
        let html = outcome(&one).html;
        let large = format!("<h1 class=\"{class}\" style=\"margin:0;font-size:28px");
        let headline = format!(">{word}</h1>");
        let by = ">ann@example.com</a> in Finance<br>";
        let when = ">Wed 25 Nov 2026, 08:05 UTC</span>";
        let bar = "<td class=\"ink bar\"";
        let comment = [">Comment:</p>", bar, ">Too many,</p>", ">as I said</p>"];
        let about = ["<h2 class=\"ink\"", ">15 laptops</h2>", ">15,750.00 USD</p>"];
        let result = [large.as_str(), headline.as_str(), by, when];
        assert_in_order(&html, &[&result[..], &comment[..], &about[..]].concat());
        for once in [">ann@example.com<", "08:05", "as I said", "Finance"] {
            assert_eq!(html.matches(once).count(), 1, "{once}: {html}");
        }
        let past = verdict.terms().past;
        assert_eq!(html.to_lowercase().matches(past).count(), 1, "{past}: {html}");
    }
}

#[test]
fn several_votes_are_listed_below_and_the_last_stage_decides() {
    let mut plan = asking(&["ann", "bob"], Quorum::All, OnDeadline::Expire);
    let both = |plan: &Plan| {
        let asked = Happening::of(plan.clone()).press("ann", Verdict::Approve, "Fine");
        asked.press("bob", Verdict::Approve, "")
    };
    let html = outcome(&both(&plan).outcome()).html;
    let stage = ">Finance: approved</p>";
    let [ann, bob] = [">ann@example.com</a>", ">bob@example.com</a>"];
    let listed = ["<h2", stage, ann, " approved<br>", ">Fine</p>", bob, " approved<br>"];
    let by = [">Approved</h1>", ">by <a", ann, " and <a", bob, " in Finance<br>"];
    assert_in_order(&html, &[&by[..], &listed[..]].concat());

    let cfo = PlannedStage {
        name: "Board".into(),
        reviewers: vec![address("cfo")],
        ..plan.stages[0].clone()
    };
    plan.stages.push(cfo);
    let asked = both(&plan).ask(DECIDED, DEADLINE);
    let html = outcome(&asked.press("cfo", Verdict::Approve, "Go").outcome()).html;
    let last = [">Approved</h1>", ">last by <a", ">cfo@", " in Board<br>", ">Go</p>"];
    assert_in_order(&html, &[&last[..], &listed[..]].concat());
    assert!(!html.contains("Board: approved"), "it is said already: {html}");
}

#[test]
fn what_no_person_decided_says_why_once() {
    let mut plan = plan();
    let silent = outcome(&Happening::of(plan.clone()).pass_deadline().outcome());
    let words = "Finance was not decided before its deadline, which counts as rejection.";
    let when = "Fri 27 Nov 2026, 16:00 UTC";
    let says = format!("15,750.00 USD\n\nWhy: {words}\n{when}\n\nStage Finance: rejected\n");
    assert!(silent.text.contains(&says), "{}", silent.text);
    assert_in_order(&silent.html, &[">Rejected</h1>", words, when, "<h2"]);
    assert_eq!(silent.html.matches("before its deadline").count(), 1, "{}", silent.html);

    (plan.rule, plan.rule_decision) = ("Small expenses".into(), Some(Verdict::Approve));
    let approval = leaves::begin(&plan, time(DECIDED));
    let ruled = outcome(&outcomes::outcome(&plan, &approval, CHAIN));
    let says = "\n\nWhy: Approved by the rule Small expenses.\n";
    assert!(ruled.text.contains(says), "{}", ruled.text);
    assert_in_order(&ruled.html, &[">Approved</h1>", "by the rule Small expenses<br>", "<h2"]);
}

#[test]
fn an_expired_submission_says_what_that_means() {
    let consequence = "so your submission ended on Fri 27 Nov 2026, 16:00 UTC, neither approved nor \
                       rejected. If it is still needed, submit it again.";
    let plan = asking(&["ann", "bob"], Quorum::All, OnDeadline::Expire);
    let nobody = Happening::of(plan.clone()).pass_deadline();
    let somebody = Happening::of(plan).press("ann", Verdict::Approve, "").pass_deadline();
    for (happened, who) in [(nobody, "Nobody"), (somebody, "Too few people")] {
        let letter = outcome(&happened.outcome());
        let words = format!("{who} decided in time, {consequence}");
        let text = format!("{words}\n\nTitle: 15 laptops\n");
        assert!(letter.text.starts_with(&text), "{}", letter.text);
        let parts = ["<h1 class=\"wait\"", ">Expired</h1>", words.as_str(), "<h2"];
        assert_in_order(&letter.html, &parts);
        let subject = letter.subject.to_string();
        assert!(subject.starts_with("Not decided in time: "), "{subject}");
    }
}

#[test]
fn a_withdrawn_submission_says_by_whom_and_why() {
    let withdrawn = Happening::of(plan()).withdraw("Ordered twice,\nsee PO-2040", OPERATOR);
    let by = "withdrawn by an operator (kim@laptop-17)";
    let letter = outcome(&withdrawn.outcome());
    let words = format!("Your submission was {by} on Wed 25 Nov 2026, 08:05 UTC.");
    let quote = "Reason:\n> Ordered twice,\n> see PO-2040";
    let text = format!("{words}\n\n{quote}\n\nTitle: 15 laptops\n");
    assert!(letter.text.starts_with(&text), "{}", letter.text);
    let reason = [">Reason:</p>", "bar", ">Ordered twice,</p>", ">see PO-2040</p>", "<h2"];
    let result = [">Withdrawn</h1>", words.as_str()];
    assert_in_order(&letter.html, &[&result[..], &reason[..]].concat());
    let superseded = withdrawn.superseded(Writer::default(), "ann");
    let words = format!("This request was {by}, so your decision is no longer needed.");
    assert!(superseded.text.starts_with(&words), "{}", superseded.text);
    assert!(superseded.text.contains("\n\nReason:\n> Ordered twice,\n"), "{}", superseded.text);
    let result = [">Withdrawn</h1>", words.as_str()];
    assert_in_order(&superseded.html, &[&result[..], &reason[..]].concat());
    // A workflow that is cancelled.
    let cancelled = outcome(&Happening::of(plan()).withdraw("", "unknown").outcome());
    let words = "Your submission was withdrawn on Wed 25 Nov 2026, 08:05 UTC.\n\nTitle: ";
    assert!(cancelled.text.starts_with(words), "{}", cancelled.text);
}

/// Lines are broken where people broke them: mail programs wrap the rest.
#[test]
fn no_sentence_of_ours_is_wrapped_in_a_text() {
    let ends = |line: &str| line.is_empty() || line.ends_with(['.', ':', ')', '>', '-']);
    for (_, letter) in every_mail() {
        for (line, next) in letter.text.lines().zip(letter.text.lines().skip(1)) {
            let goes_on = next.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(ends(line) || !goes_on || next.starts_with("http"), "{line:?} {next:?}");
        }
        let longest = letter.text.lines().map(str::len).max();
        assert!(longest < Some(998), "RFC 5322, 2.1.1");
    }
}

/// Outlook for Windows leaves out the padding of links. It shows cells, and the borders of links, which
/// can be clicked.
#[test]
fn buttons_are_table_cells_that_their_links_fill() {
    let html = request(&review(), &links()).html;
    for (choice, colour) in [("approve", "#15803d"), ("reject", "#b91c1c")] {
        let at = html.find(&format!("?choice={choice}\"")).expect("a link");
        let (before, after) = html.split_at(at);
        let cell = &before[before.rfind("<td").expect("a cell")..];
        assert!(cell.contains(&format!("bgcolor=\"{colour}\"")), "{cell}");
        assert!(!cell.contains("padding"), "{cell}");
        let link = &after[..after.find("</td>").expect("its end")];
        assert!(link.contains(&format!("display:block;border:12px solid {colour};")), "{link}");
        assert!(link.contains("</a>"), "{link}");
    }
    assert!(!html.contains("inline-block"), "{html}");
    assert!(html.contains("<table role=\"presentation\" class=\"wide\" width=\"280\""), "{html}");
}

#[test]
fn a_frame_holds_and_long_words_wrap_in_it() {
    let html = request(&review(), &links()).html;
    assert!(!html.contains("white-space:pre"), "{html}");
    assert!(html.contains("table-layout:fixed;width:100%;max-width:600px"), "{html}");
    assert!(html.contains("width=\"560\""), "for Outlook, which knows no max-width");
    let text = html.find("overflow-wrap:anywhere").expect("wrapped");
    assert!(html.find("<h1").is_some_and(|title| text < title), "everything is inside of it");
    // All tables of one width; no word makes one wider.
    let tables = html.split("<table ").skip(1).filter(|table| table.contains("width=\"100%\""));
    for table in tables {
        let tag = table.split('>').next().unwrap_or_default();
        assert!(!tag.contains("width=\"100%\"") || tag.contains("table-layout:fixed"), "{tag}");
    }
    let narrow = "@media (max-width: 480px) {\n.cell { display: block !important; width: auto \
                  !important; }\n.wide { width: 100% !important; }\n}";
    assert!(html.contains(narrow), "{html}");
    for cell in ["<td class=\"soft cell\"", "<td class=\"ink cell\""] {
        assert_eq!(html.matches(cell).count(), 3, "labels are above values there: {html}");
    }
}

/// Each of their lines has the direction in which it is written.
#[test]
fn what_others_write_is_quoted_line_by_line() {
    let mut mixed = plan();
    let document = mixed.submission.document.as_mut().expect("a document");
    document.description = "שלום\n\nThird <line>".into();
    let html = Writer::default().request(&mixed, &review(), &links()).html;
    let style = "margin:0;font-size:16px;line-height:24px;text-align:start";
    let lines = ["שלום", "&nbsp;", "Third &#60;line&#62;"];
    let line = |words| format!("<p dir=\"auto\" style=\"{style}\">{words}</p>");
    let lines: String = lines.map(line).concat();
    let parts = [">From Sue Storm:</p>", "<td class=\"ink bar\"", lines.as_str()];
    assert_in_order(&html, &parts);
}

#[test]
fn a_long_title_is_cut_in_the_heading_and_whole_below() {
    let title = "Everything that the new office in Leipzig needs ".repeat(4).trim().to_owned();
    let mut long = plan();
    long.submission.document.as_mut().expect("a document").title = title.clone();
    let letter = Writer::default().request(&long, &review(), &links());
    let says = format!("\n\nTitle: {title}\nAmount: 15,750.00 USD\n");
    assert!(letter.text.contains(&says), "{}", letter.text);
    let decided = Happening::of(long).press("ann", Verdict::Reject, "").outcome();
    let whole = format!(">{title}</td>");
    let cut = ">Everything that the new office in Leipzig needs Everything that the new offic...";
    for (html, end) in [(letter.html, "</h1>"), (outcome(&decided).html, "</h2>")] {
        assert_in_order(&html, &[cut, end, ">Title</td>", whole.as_str()]);
        assert_eq!(html.matches(whole.as_str()).count(), 1, "{html}");
    }
    let short = request(&review(), &links()).html;
    assert!(!short.contains(">Title</td>"), "it is there already: {short}");
}

/// Whether a tag has one of these classes.
fn has_class(tag: &str, known: &[&str]) -> bool {
    let (_, classes) = tag.split_once("class=\"").unwrap_or_default();
    let classes = classes.split('"').next().unwrap_or_default();
    classes.split(' ').any(|class| known.contains(&class))
}

#[test]
fn in_dark_mode_everything_that_has_a_colour_gets_another() {
    for html in every_mail().into_iter().map(|(_, letter)| letter.html) {
        assert!(html.contains("name=\"color-scheme\" content=\"light dark\""), "{html}");
        assert!(html.contains("@media (prefers-color-scheme: dark)"), "{html}");
        let (_, body) = html.split_once("<body").expect("a body");
        for tag in body.split('<').filter_map(|part| part.split('>').next()) {
            // White on green and on red is readable in both.
            let of_button = tag.starts_with("a href=\"") || has_class(tag, &["button"]);
            let text = has_class(tag, &["ink", "soft", "yes", "no", "wait"]);
            assert!(!tag.contains(";color:#") || text || of_button, "{tag}");
            let ground = has_class(tag, &["page", "card"]);
            assert!(!tag.contains("background-color:#") || ground || of_button, "{tag}");
        }
    }
}

/// WCAG 2.2, contrast ratio.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| -> f64 {
        let channel = |at: usize| {
            let byte = u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal");
            match f64::from(byte) / 255.0 {
                dark if dark <= 0.04045 => dark / 12.92,
                light => ((light + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn headlines_quotes_and_buttons_stand_out_in_light_and_dark() {
    let html = outcome(&decided()).html;
    for tone in [YES, NO, WAIT] {
        assert!(contrast(tone.colour, "#ffffff") >= 4.5, "{tone:?}");
    }
    assert!(html.contains("border-left:3px solid #6b7280"), "{html}");
    assert!(contrast("#6b7280", "#ffffff") >= 3.0);
    let (_, dark) = html.split_once("@media (prefers-color-scheme: dark) {\n").expect("rules");
    let (dark, _) = dark.split_once("\n}\n").expect("their end");
    let card = "#1b212a";
    assert!(dark.contains(&format!(".card {{ background-color: {card} ")), "{dark}");
    for class in ["ink", "soft", "yes", "no", "wait", "bar", "button"] {
        let least = if ["bar", "button"].contains(&class) { 3.0 } else { 4.5 };
        let (_, rule) = dark.split_once(&format!(".{class} {{")).expect("a rule");
        let at = rule.find('#').expect("a colour");
        assert!(contrast(&rule[at..at + 7], card) >= least, "{class}");
    }
    for rule in dark.lines() {
        let in_outlook = ["c", "b"].map(|kind| format!("\n[data-ogs{kind}] {rule}\n"));
        assert!(in_outlook.iter().any(|rule| html.contains(rule)), "Outlook.com lacks {rule}");
    }
}

#[test]
fn times_are_those_of_the_calendars_zone() {
    let plan = Plan { time_zone: "America/Los_Angeles".into(), ..plan() };
    let letter = Writer::default().request(&plan, &review(), &links());
    let deadline = "Fri 27 Nov 2026, 08:00 PST (America/Los_Angeles)";
    let bold = format!("Decide by <strong>{deadline}</strong>, or ");
    assert!(letter.html.contains(&bold), "{}", letter.html);
    assert!(letter.text.contains(&format!("Decide by {deadline}, or ")), "{}", letter.text);
    assert!(letter.text.contains(", Tue 24 Nov 2026, 01:30 PST\n"), "{}", letter.text);
    let outcome = outcome(&Happening::of(plan).press("ann", Verdict::Approve, "").outcome());
    let when = "Wed 25 Nov 2026, 00:05 PST (America/Los_Angeles)";
    for part in [outcome.text, outcome.html] {
        assert_eq!(part.matches(when).count(), 1, "{part}");
    }
}

#[test]
fn a_request_names_a_time_out_that_ends_it_before_its_deadline() {
    let earlier = time(DEADLINE) - jiff::SignedDuration::from_hours(1);
    for reminder in [false, true] {
        let times_out_at = Some(to_message(earlier));
        let letter = request(&ReviewRequest { times_out_at, reminder, ..review() }, &links());
        let by = if reminder { "Decide by " } else { "Decide by Fri 27 Nov 2026, 15:00 UTC, or " };
        let words = "or it ends undecided: it was started with a time-out, which is over before the \
                     deadline on Fri 27 Nov 2026, 16:00 UTC.";
        assert!(letter.text.contains(by) && letter.text.contains(words), "{}", letter.text);
        assert!(
            letter.html.contains("<strong>Fri 27 Nov 2026, 15:00 UTC</strong>"),
            "{}",
            letter.html
        );
        assert!(letter.html.contains(words), "{}", letter.html);
    }
}

#[test]
fn the_first_time_of_a_mail_names_its_zone_and_no_other_does() {
    for (name, letter) in every_mail() {
        for part in [letter.text, letter.html] {
            let named = part.matches(" (Europe/Berlin)").count();
            assert_eq!(named, usize::from(part.contains(" 2026, ")), "{name}: {part}");
            let Some((_, first)) = part.split_once(" 2026, ") else { continue };
            assert!(first[5..].starts_with(" CET (Europe/Berlin)"), "{name}: {part}");
        }
    }
}

/// They read why, that nothing is left to do, and nothing that others wrote.
#[test]
fn whoever_is_superseded_reads_why() {
    let two = || Happening::of(asking(&["ann", "bob"], Quorum::Any, OnDeadline::Reject));
    let escalated = Happening::of(escalating()).pass_deadline().ask(DEADLINE, LATER);
    let refused = Happening::of(escalating()).refuse("ann").refuse("bob").ask(DECIDED, DEADLINE);
    let passed = "The deadline has passed without your decision.";
    for (happened, start, words) in [
        (
            two().replace("bob", "cy"),
            "Somebody else is asked: ",
            "cy@example.com is asked in your place. An operator (kim@laptop-17) arranged this.",
        ),
        (escalated, "Deadline passed: ", &*format!("{passed} Others are asked now.")),
        (refused, "Others are asked: ", "Mail to you was refused, so others are asked now."),
        (two().pass_deadline(), "Deadline passed: ", &*format!("{passed} It counts as rejected.")),
        (
            two().withdraw("", OPERATOR),
            "Withdrawn: ",
            "This request was withdrawn by an operator (kim@laptop-17), so your decision is no longer \
             needed.",
        ),
        (
            two().press("ann", Verdict::Reject, "Too many"),
            "No longer needed: ",
            "Your decision is no longer needed.",
        ),
    ] {
        let letter = happened.superseded(Writer::default(), "bob");
        assert!(letter.subject.to_string().starts_with(start), "{}", letter.subject);
        let end = "There is nothing for you to do. Your link can no longer decide.";
        let opening = format!("{words} {end}\n\nTitle: 15 laptops\n");
        assert!(letter.text.starts_with(&opening), "{}", letter.text);
        assert_in_order(&letter.html, &["<h1 class=\"wait\"", "</h1>", end, "<h2"]);
        for part in [&letter.text, &letter.html] {
            assert!(!part.contains("Too many"), "{part}");
            assert!(!part.contains("new hires"), "{part}");
            assert!(!part.contains("still open"), "{part}");
        }
        let decided = letter.text.contains("\n- ann@example.com rejected, Wed 25 Nov 2026");
        assert_eq!(decided, start.starts_with("No longer"), "{}", letter.text);
    }
}

#[test]
fn whoever_is_asked_in_anothers_place_reads_in_whose_and_who_wanted_that() {
    let (instead_of, reassigned_by) = (Some(address("bob")), Some("op@laptop\nCFO".to_owned()));
    let replacing = ReviewRequest { instead_of, reassigned_by, ..review() };
    let letter = request(&replacing, &links());
    let words = "An operator (op@laptop CFO) asked you to decide instead of bob@example.com.";
    assert!(letter.text.contains(&format!("\n\n{words}\n\nTitle: 15 laptops")), "{}", letter.text);
    let dark = "<p class=\"ink\" style=\"margin:12px 0 0;color:#1f2937\">An operator (op@laptop";
    let title = "<h1 class=\"ink\" dir=\"auto\" style=\"margin:16px 0 0;";
    assert_in_order(&letter.html, &[dark, ">bob@example.com</a>.</p>", title]);

    let organization = CORP.parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let deputy = ReviewRequest { on_behalf_of: Some(address("fay")), ..replacing };
    let letter = writer.request(&plan(), &deputy, &links());
    let words = "asked fay@example.com to decide instead of bob@example.com. You are asked instead of \
                 fay@example.com, who is away: you are their deputy. Not the right person? Tell Example \
                 Corp (it-help@example.com).";
    assert!(letter.text.contains(words), "{}", letter.text);
    let own = writer.request(&plan(), &review(), &links());
    assert!(!own.text.contains("Not the right person?"), "{}", own.text);
}

#[test]
fn whom_a_reviewer_has_asked_instead_reads_for_whom_by_whom_and_why() {
    let delegation = Delegation {
        link: "hash".into(),
        to: address("ann"),
        reason: "You know laptops.\nI do not.".into(),
        left_out: None,
        proof: v1::Proof::default(),
    };
    let delegated = Delegated { round: 0, on_behalf_of: None, instead_of: None, delegation };
    let asked = |delegated: Delegated| {
        let (instead_of, delegated) = (Some(address("bob")), Some(delegated));
        request(&ReviewRequest { instead_of, delegated, ..review() }, &links())
    };
    let letter = asked(delegated.clone());
    let words = "\n\nbob@example.com passed this to you.\n\nTheir \
                 reason:\n> You know laptops.\n> I do not.\n\nTitle: 15 laptops";
    assert!(letter.text.contains(words), "{}", letter.text);
    let html = [">bob@example.com</a> passed this", "Their reason:", "You know laptops.", "<h1 "];
    assert_in_order(&letter.html, &html);
    let deputy = Delegated { on_behalf_of: Some(address("fay")), ..delegated };
    let words = "bob@example.com, as the deputy of fay@example.com, passed this to you.";
    let letter = asked(deputy);
    assert!(letter.text.contains(words), "{}", letter.text);
}

#[test]
fn a_submitter_reads_who_is_asked_until_when_and_that_nobody_can_be_reached() {
    let asked = Happening::of(plan());
    let letter = Writer::default().started(&asked.outcome(), &asked.approval, None).expect("asked");
    assert_eq!(letter.subject.to_string(), "Waiting: 15 laptops, 15,750.00 USD, PO-2041");
    let words = "ann@example.com has until Fri 27 Nov 2026, 16:00 UTC. Otherwise, it counts as \
                 rejected.";
    let about = "\n\nTitle: 15 laptops\nAmount: 15,750.00 USD\n\nSubmitted by: ";
    let text = format!("Waiting for Finance to decide. {words}{about}");
    assert!(letter.text.starts_with(&text), "{}", letter.text);
    let headline = ">Waiting for Finance to decide</h1>";
    assert_in_order(&letter.html, &[headline, "ann@", "</a> has until Fri 27 Nov", "<h2"]);
    assert_eq!(letter.html.matches("Finance").count(), 1, "{}", letter.html);
    assert_eq!(Writer::default().unreachable(&asked.outcome(), &asked.approval), None);
    let both = Happening::of(escalating());
    let letter = Writer::default().started(&both.outcome(), &both.approval, None).expect("asked");
    let words = " ann@example.com and bob@example.com have until Fri 27 Nov 2026, 16:00 UTC. Otherwise, \
                 others are asked.\n";
    assert!(letter.text.contains(words), "{}", letter.text);

    let alone = Happening::of(plan()).refuse("ann");
    let organization = CORP.parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let letter = writer.unreachable(&alone.outcome(), &alone.approval).expect("refused");
    let subject = "Nobody can be reached: 15 laptops, 15,750.00 USD, PO-2041";
    assert_eq!(letter.subject.to_string(), subject);
    let words = "Nobody can be reached to decide your submission. Ask Example Corp (it-help@example.com) to \
                 have somebody else asked. Otherwise, on Fri 27 Nov 2026, 16:00 UTC, it counts as \
                 rejected. Mail to ann@example.com was refused.\n";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    let call = "color:#1f2937\">Ask Example Corp (<a class=\"ink\"";
    assert_in_order(&letter.html, &[">Nobody can be reached</h1>", call, "Mail to <a", "<h2"]);
}

#[test]
fn a_submitter_reads_what_to_change_until_when_and_how() {
    let back = Happening::of(plan()).send_back("ann", "Without docks,\nplease.");
    let changes = |back: &Happening| {
        Writer::default().changes_requested(&back.outcome(), &back.approval, &links())
    };
    let letter = changes(&back).expect("sent back");
    let subject = "Changes requested: 15 laptops, 15,750.00 USD, PO-2041";
    assert_eq!((letter.kind, &*letter.subject.to_string()), ("changes", subject));
    let words = "Changes requested. ann@example.com asks you to change it (Finance). Please revise or withdraw it by \
                 Mon 30 Nov 2026, 16:00 UTC. Otherwise, it ends undecided. Once revised, it is decided anew from \
                 its first stage, and earlier decisions do not count.\n\nWhat to change:\n> Without \
                 docks,\n> please.\n\nTitle: 15 laptops\n";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    let page = links().page;
    assert!(!page.contains("choice"), "there is nothing to decide: {page}");
    assert_in_order(
        &letter.text,
        &["revise or withdraw it:\n", &page, "\n\nOpening the page changes nothing"],
    );
    assert_in_order(&letter.text, &["Submitted by: ", "Approval ID: ", "are yours alone"]);
    let button = format!("<a href=\"{page}\"");
    assert_in_order(&letter.html, &["Changes requested</h1>", "please.", &button, "yours alone"]);
    assert!(letter.html.matches("Without docks").count() == 1, "{}", letter.html);
    assert_eq!(changes(&Happening::of(plan())), None, "nobody has asked for any");
    let mut by_operator = Happening::of(plan());
    let claim = Claim::Reviewer(address("ann"));
    let ballot = Ballot::new(claim, Verdict::RequestChanges, "By phone".to_owned());
    by_operator.approval.vote(Ballot { identity: OPERATOR.to_owned(), ..ballot }, time(DECIDED));
    let letter = changes(&by_operator).expect("sent back");
    assert!(letter.text.contains(&format!("(Finance, recorded by an operator ({OPERATOR}))")));
}

#[test]
fn a_submitter_with_a_link_of_their_own_can_follow_it() {
    let asked = Happening::of(plan());
    let links = links();
    let letter = Writer::default().started(&asked.outcome(), &asked.approval, Some(&links));
    let letter = letter.expect("asked");
    let invitation = "Follow it, withdraw it, or revise it while nobody has decided:\n";
    assert_in_order(&letter.text, &["Waiting for Finance", invitation, &links.page, &links.id]);
    assert_in_order(
        &letter.html,
        &["Waiting for Finance", &links.page, "Follow your submission</a>", &links.id],
    );
}

#[test]
fn a_request_of_a_later_version_says_what_changed_field_by_field() {
    let letter = Writer::default().request(&revised(), &review(), &links());
    let subject = "Revised: please decide: 12 laptops, 12,600.00 USD, from Sue Storm";
    assert_eq!(letter.subject.to_string(), subject);
    let changed = [
        "\n\nThis is version 2. It is decided anew from its first stage, and earlier decisions do not count. \
         What changed:\n",
        "- Title: 12 laptops (was 15 laptops)\n",
        "- Amount: 12,600.00 USD (was 15,750.00 USD)\n",
        "- Item 2: removed (was amount: 1,050.00 USD)\n",
        "s3://quotes/hp.pdf (new)\n",
        "\nTitle: 12 laptops\n",
    ];
    assert_in_order(&letter.text, &changed);
    let changed = [
        "This is version 2. It is decided anew from its first stage, and earlier decisions do not count. \
         What changed:</p>",
        ">15 laptops</del> <strong>12 laptops</strong>",
        "(removed)",
        "<strong>s3://quotes/hp.pdf</strong>",
        "Decide by <strong>",
    ];
    assert_in_order(&letter.html, &changed);
    assert!(!letter.text.contains("Category: hardware (was"), "nothing else: {}", letter.text);
    let mut long = revised();
    let document = long.submission.document.as_mut().expect("a document");
    document.description = "New words, ".repeat(1_000);
    document.attachments = (0..50).map(|i| format!("s3://quotes/{i}.pdf")).collect();
    let letter = Writer::default().request(&long, &review(), &links());
    let changed = [
        "What changed, an excerpt (the page shows all):\n",
        "New words,... (was For the new hires. ",
        " more, on the page",
    ];
    assert_in_order(&letter.text, &changed);
    let first = Writer::default().request(&plan(), &review(), &links());
    assert!(!first.text.contains("What changed"), "{}", first.text);
}

#[test]
fn a_request_mentions_the_third_button_as_long_as_the_page_has_it() {
    let mut last = revised();
    last.earlier = vec![EarlierVersion::default(); MAX_REVISIONS as usize];
    for (plan, mentions) in [(plan(), true), (revised(), true), (last, false)] {
        let letter = Writer::default().request(&plan, &review(), &links());
        for mail in [&letter.text, &letter.html] {
            let said = mail.contains("to confirm; there you can also request changes. Opening ");
            assert_eq!(said, mentions, "{mail}");
            assert!(!mail.contains("choice=request_changes"), "no link of its own: {mail}");
        }
    }
}

#[test]
fn whoever_was_asked_about_an_earlier_version_reads_that_it_was_revised() {
    let letter = Writer::default().revised(&Happening::of(plan()).outcome());
    assert_eq!(letter.subject.to_string(), "Revised: 15 laptops, 15,750.00 USD, from Sue Storm");
    let words = "This request was revised, so a decision on this version is no longer needed. The new one is decided \
                 anew from its first stage, and earlier decisions do not count. If yours is needed on it,";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    assert!(!letter.text.contains("http"), "{}", letter.text);
}

#[test]
fn an_outcome_says_which_version_it_is_about_and_who_has_withdrawn_it() {
    let approved = Happening::of(revised()).press("ann", Verdict::Approve, "").outcome();
    let note = "It was revised; this is about version 2, the latest.";
    let letter = outcome(&approved);
    assert_in_order(&letter.text, &["Your submission is approved.\n\n", note, "Title: 12 laptops"]);
    assert_in_order(&letter.html, &["Approved</h1>", note, "12 laptops</h2>"]);
    let last = Outcome { version: 6, ..approved };
    assert!(outcome(&last).text.contains("this is about version 6, the latest."));
    assert!(!outcome(&decided()).text.contains("revised"));

    let mut late = Happening::of(asking(&["ann", "bob"], Quorum::Any, OnDeadline::Reject));
    late = late.send_back("ann", "Cheaper");
    assert!(late.approval.tick(time(LATER)).is_empty());
    let letter = outcome(&late.outcome());
    let words = "The changes that were requested in Finance were not made in time, so your submission ended on";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    let letter = late.superseded(Writer::default(), "bob");
    let words =
        "The changes that were requested were not made in time, so this request ended undecided.";
    assert!(letter.text.starts_with(words), "{}", letter.text);

    let withdrawn = Happening::of(asking(&["ann"], Quorum::Any, OnDeadline::Reject));
    let withdrawn = withdrawn.withdraw("Typo", OPERATOR).outcome();
    let by_link = Some(countersign_protos::v1::Withdrawal::default());
    let own = Outcome { withdrawal: by_link, operator_actions: vec![], ..withdrawn };
    assert!(outcome(&own).text.starts_with("Your submission was withdrawn by you on "));
    let letter = superseded(&own, Superseded::Withdrawn);
    assert!(
        letter.text.starts_with("This request was withdrawn by its submitter, so "),
        "{}",
        letter.text
    );
}

/// Each kind of mail, by a name for it, from a company of its own in a zone of its own.
fn every_mail() -> Vec<(&'static str, Letter)> {
    let organization = CORP.parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let short = in_berlin(plan());
    let mut long = short.clone();
    let document = long.submission.document.as_mut().expect("a document");
    document.title = "Verlängerung der Wartungsverträge für alle Standorte, ".repeat(3);
    let long_url = format!("https://quotes.example/{}", "long-name".repeat(25));
    document.description = format!("שלום\nThis has to be paid by Friday.\n\n{long_url}");
    document.attachments = vec![format!("{long_url}.pdf")];
    let asked = |change: &dyn Fn(&mut ReviewRequest)| {
        let mut request = review();
        change(&mut request);
        writer.request(&short, &request, &links())
    };
    let replaces = |request: &mut ReviewRequest| {
        request.instead_of = Some(address("bob"));
        request.reassigned_by = Some(OPERATOR.into());
    };
    let is_away = |request: &mut ReviewRequest| request.on_behalf_of = Some(address("fay"));
    let reminded = |change: &dyn Fn(&mut ReviewRequest)| {
        let mut request = review();
        change(&mut request);
        writer.request(&short, &ReviewRequest { reminder: true, ..request }, &links())
    };
    let one = || Happening::of(short.clone());
    let two =
        |on_deadline| Happening::of(in_berlin(asking(&["ann", "bob"], Quorum::Any, on_deadline)));
    let to_boss = || Happening::of(in_berlin(escalating()));
    let rejected = || two(OnDeadline::Reject).press("ann", Verdict::Reject, "Too many");
    let others_asked = to_boss().pass_deadline().ask(DEADLINE, LATER);
    let refused = to_boss().refuse("ann").refuse("bob").ask(ASKED, DEADLINE);
    let withdrawn = || two(OnDeadline::Reject).withdraw("Ordered twice, see PO-2040.", OPERATOR);
    let by_operator = one().decide_for("ann", Verdict::Reject, OPERATOR).outcome();
    let decided = writer.decided_by_operator(&by_operator, &address("ann")).expect("decided");
    let (open, alone) = (one(), one().refuse("ann"));
    let started = writer.started(&open.outcome(), &open.approval, None).expect("asked");
    let follows = writer.started(&open.outcome(), &open.approval, Some(&links())).expect("asked");
    let back = one().send_back("ann", "Without docks, please.");
    let changes = writer.changes_requested(&back.outcome(), &back.approval, &links());
    let changed = Happening::of(in_berlin(revised())).press("ann", Verdict::Approve, "");
    let unreachable = writer.unreachable(&alone.outcome(), &alone.approval).expect("refused");
    let approved = two(OnDeadline::Reject).press("bob", Verdict::Approve, "Within budget.");
    let expired = two(OnDeadline::Expire).pass_deadline();
    vec![
        ("request", asked(&|_| ())),
        ("request-long", writer.request(&long, &review(), &links())),
        ("request-of-an-agent", writer.request(&in_berlin(agents_plan()), &review(), &links())),
        ("request-of-a-title-alone", writer.request(&in_berlin(leave_plan()), &review(), &links())),
        ("request-revised", writer.request(&in_berlin(revised()), &review(), &links())),
        ("request-reminder", asked(&|request| request.reminder = true)),
        ("request-new-link", asked(&|request| request.new_link = true)),
        ("request-for-somebody-away", asked(&is_away)),
        ("request-for-somebody-away-reminder", reminded(&is_away)),
        ("request-in-anothers-place", asked(&replaces)),
        ("request-in-anothers-place-reminder", reminded(&replaces)),
        (
            "superseded-replaced",
            two(OnDeadline::Reject).replace("bob", "cy").superseded(writer, "bob"),
        ),
        ("superseded-others-asked", others_asked.superseded(writer, "bob")),
        ("superseded-unreachable", refused.superseded(writer, "bob")),
        ("superseded-deadline", two(OnDeadline::Reject).pass_deadline().superseded(writer, "bob")),
        ("superseded-decided", rejected().superseded(writer, "bob")),
        ("superseded-withdrawn", withdrawn().superseded(writer, "bob")),
        ("superseded-revised", writer.revised(&one().outcome())),
        ("decided-by-operator", decided),
        ("submitter-follows", follows),
        ("submitter-changes", changes.expect("sent back")),
        ("outcome-revised", writer.outcome(&changed.outcome())),
        ("submitter-started", started),
        ("submitter-unreachable", unreachable),
        ("outcome-approved", writer.outcome(&approved.outcome())),
        ("outcome-rejected", writer.outcome(&rejected().outcome())),
        ("outcome-expired", writer.outcome(&expired.outcome())),
        ("outcome-withdrawn", writer.outcome(&withdrawn().outcome())),
    ]
}

#[test]
fn no_sample_contradicts_itself() {
    let with_votes = [
        "superseded-decided",
        "decided-by-operator",
        "outcome-approved",
        "outcome-rejected",
        "outcome-revised",
    ];
    for (name, letter) in every_mail() {
        let text = letter.text;
        assert!(!text.to_lowercase().contains("vote"), "it is called a decision: {name}: {text}");
        let notice = !name.starts_with("request");
        assert_eq!(notice && text.contains("\n- "), with_votes.contains(&name), "{name}: {text}");
        if name == "outcome-approved" {
            assert!(text.contains("- bob@example.com approved"), "{text}");
            assert!(!text.contains("rejected"), "{text}");
        }
        if name == "outcome-expired" {
            assert!(text.contains("\nStage Finance: not decided in time\n"), "{text}");
        }
    }
}

#[test]
#[ignore = "scripts/screenshots asks for these, to draw them"]
fn every_mail_is_written_as_html() {
    let folder = std::env::var_os("COUNTERSIGN_MAILS").expect("COUNTERSIGN_MAILS names a folder");
    for (name, letter) in every_mail() {
        let file = std::path::Path::new(&folder).join(format!("{name}.html"));
        std::fs::write(file, letter.html).expect("a writable folder");
    }
}

/// It warns them: so it says that first, and whom to tell once.
#[test]
fn a_reviewer_for_whom_an_operator_decided_reads_so_and_who_it_was() {
    let organization = CORP.parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let outcome = by_operator("42@laptop\nApproved by the CFO");
    let letter = writer.decided_by_operator(&outcome, &address("ann")).expect("decided");
    let subject = "Decided for you: 15 laptops, 15,750.00 USD, from Sue Storm";
    assert_eq!(letter.subject.to_string(), subject);
    let operator = "An operator (42@laptop Approved by the CFO) recorded a rejection for you in Finance \
                    on Wed 25 Nov 2026, 08:05 UTC. If you did not ask for that, tell Example Corp ";
    let text = format!("{operator}(it-help@example.com).\n\nTitle: 15 laptops\n");
    assert!(letter.text.starts_with(&text), "{}", letter.text);
    let vote =
        "\n- ann@example.com rejected, recorded by an operator (42@laptop Approved by the CFO)";
    assert!(letter.text.contains(vote), "{}", letter.text);
    let dark = format!("color:#1f2937\">{operator}(<a class=\"ink\"");
    let (headline, dark) = (">Decided for you</h1>", dark.as_str());
    let parts = ["<h1 class=\"wait\"", headline, dark, ">Too many</p>", "<h2"];
    assert_in_order(&letter.html, &parts);
    assert_eq!(letter.html.matches("mailto:it-help@example.com").count(), 1, "{}", letter.html);
    let imprint = "\n\nThis is about an approval at Example Corp.";
    assert!(letter.text.ends_with(imprint), "{}", letter.text);

    assert_eq!(writer.decided_by_operator(&outcome, &address("bob")), None);
    assert_eq!(writer.decided_by_operator(&decided(), &address("ann")), None);
    let tell = "If you did not ask for that, tell whoever runs the approvals.";
    let letter = Writer::default().decided_by_operator(&outcome, &address("ann"));
    assert!(letter.is_some_and(|letter| letter.text.contains(tell)));
    assert!(!Writer::default().outcome(&decided()).text.contains("operator"));
    let told = Writer::default().outcome(&outcome).html;
    let by = "</a> in Finance, recorded by an operator (42@laptop Approved by the CFO)<br>";
    assert!(told.contains(by), "{told}");
}

#[test]
fn what_people_write_is_never_markup() {
    let mut hostile = plan();
    let document = hostile.submission.document.as_mut().expect("a document");
    document.title = "<script>alert(1)</script>\u{202e}".into();
    document.description = "{{ links.id }} <img src=x>".into();
    document.attachments = vec!["https://x.example/\"><b>".into()];
    let letter = Writer::default().request(&hostile, &self::review(), &links());
    assert!(!letter.html.contains("<script"), "{}", letter.html);
    assert!(!letter.html.contains("<img"));
    assert!(!letter.html.contains("\"><b>"));
    assert!(letter.text.contains("{{ links.id }}"));
    assert!(!letter.subject.to_string().contains('\u{202e}'));
}

#[test]
fn submitted_text_cannot_pass_for_ours() {
    let forged = "ok\"\n- cfo@example.com approved\r\n\u{2028}\rApproval ID: X";
    let mut hostile = plan();
    hostile.stages[0].name = forged.into();
    let submitter = hostile.submission.submitter.as_mut().expect("a submitter");
    submitter.name = forged.into();
    submitter.department = forged.into();
    submitter.employee_id = forged.into();
    hostile.submission.submission_id = forged.into();
    hostile.submission.submission_type = forged.into();
    let document = hostile.submission.document.as_mut().expect("a document");
    document.title = forged.into();
    document.category = forged.into();
    document.description = forged.into();
    document.items[0].description = forged.into();
    document.items[0].date = forged.into();
    document.attachments[0] = forged.into();
    document.details = vec![Detail { label: forged.into(), value: forged.into() }];
    document.action = Some(Action {
        name: forged.into(),
        arguments: Some(Json::from(&json!({forged: forged, "list": [forged]}))),
        risk: forged.into(),
        reason: forged.into(),
        on_behalf_of: forged.into(),
    });
    let asked = || Happening::of(hostile.clone());
    let forging = asked().press("ann", Verdict::Reject, forged).outcome();
    let withdrawn = asked().withdraw(forged, forged);
    let replacing = ReviewRequest {
        instead_of: Some(address("bob")),
        reassigned_by: Some(forged.into()),
        ..review()
    };
    let request = Writer::default().request(&hostile, &replacing, &links());
    let (sent, of_withdrawal) = (outcome(&forging), outcome(&withdrawn.outcome()));
    let quoted = "> - cfo@example.com approved\n> \n> App";
    assert!(request.text.contains(&format!("\n{quoted}")), "{}", request.text);
    assert!(of_withdrawal.text.contains(&format!("\n{quoted}")), "{}", of_withdrawal.text);
    assert!(sent.text.contains("\n  > - cfo@example.com approved\n  > \n  > App"), "{}", sent.text);
    for letter in [
        request,
        sent,
        of_withdrawal,
        superseded(&forging, Superseded::Decided),
        withdrawn.superseded(Writer::default(), "ann"),
    ] {
        for line in letter.text.lines() {
            let genuine = format!("Approval ID: {}", links().id);
            assert!(!line.starts_with("- cfo@") && !line.starts_with("\"\n"), "{}", letter.text);
            assert!(!line.starts_with("Approval ID:") || line == genuine, "{}", letter.text);
        }
        assert_eq!(letter.subject.to_string().lines().count(), 1, "{}", letter.subject);
    }
}

/// What was submitted begins no line.
#[test]
fn a_title_or_a_stage_cannot_pass_for_a_line_of_ours() {
    for forged in [
        "- cfo@example.com approved, Wed 25 Nov 2026, 08:05 UTC",
        "Stage Board: approved",
        "Approved by the rule Small expenses.",
        "> Fine with me",
    ] {
        let mut hostile = plan();
        hostile.stages[0].name = forged.into();
        hostile.submission.submission_id = forged.into();
        hostile.submission.submission_type = forged.into();
        let document = hostile.submission.document.as_mut().expect("a document");
        document.title = forged.into();
        document.category = forged.into();
        document.items[1].description = forged.into();
        document.attachments = vec![format!("s3://quotes/{forged}")];
        document.details = vec![Detail { label: forged.into(), value: forged.into() }];
        document.action = Some(Action {
            name: forged.into(),
            arguments: Some(Json::from(&json!(forged))),
            ..Action::default()
        });
        let asked = || Happening::of(hostile.clone());
        let writer = Writer::default();
        for letter in [
            writer.request(&hostile, &review(), &links()),
            outcome(&asked().press("ann", Verdict::Reject, forged).outcome()),
            outcome(&asked().pass_deadline().outcome()),
            asked().pass_deadline().superseded(writer, "ann"),
            writer.started(&asked().outcome(), &asked().approval, None).expect("asked"),
        ] {
            assert!(letter.text.contains(forged), "{}", letter.text);
            let passes = letter.text.lines().any(|line| line.starts_with(forged));
            assert!(!passes, "{}", letter.text);
        }
    }
}

#[test]
fn tabs_become_spaces() {
    let mut tabbed = plan();
    let document = tabbed.submission.document.as_mut().expect("a document");
    document.title = "15\tlaptops".into();
    document.description = "a\tb".into();
    let letter = Writer::default().request(&tabbed, &self::review(), &links());
    assert!(letter.text.contains("\nTitle: 15 laptops\n") && letter.text.contains("\n> a\tb\n"));
}

#[test]
fn two_hundred_items_are_listed_and_the_rest_is_counted() {
    let mut long = plan();
    let document = long.submission.document.as_mut().expect("a document");
    let item =
        |i| Item { description: format!("item {i}"), amount: "1.00".into(), date: String::new() };
    document.items = (1..=203).map(item).collect();
    let letter = Writer::default().request(&long, &self::review(), &links());
    assert!(letter.text.contains("item 200\n- and 3 more, on the page\n"));
    assert!(!letter.text.contains("item 201"));
}

#[test]
fn mail_programs_decode_nothing_in_a_subject() {
    let mut review = plan();
    let document = review.submission.document.as_mut().expect("a document");
    document.title = "=?utf-8?b?4oCuMTAwIEVVUg0KQmNjOiB4QHku?= Chairs".into();
    let letter = Writer::default().request(&review, &self::review(), &links());
    let sent = format!("Subject: {}\r\n\r\n", letter.subject);
    let read = mail_parser::MessageParser::default().parse(sent.as_bytes()).expect("a mail");
    assert_eq!(
        read.subject(),
        Some(
            "Please decide: = ?utf-8?b?4oCuMTAwIEVVUg0KQmNjOiB4QHku?= Chairs, 15,750.00 USD, from Sue \
             Storm"
        )
    );
}

#[test]
fn each_voters_answers_stand_with_their_vote_as_what_they_are() {
    let plan = asking(&["ann", "bob"], Quorum::All, OnDeadline::Reject);
    let decided = Happening::of(plan).press("ann", Verdict::Approve, "fine");
    let mut decided = decided.press("bob", Verdict::Approve, "").outcome();
    let answer = |value: &str| v1::Answer {
        name: "budget".into(),
        label: "Which <budget>?".into(),
        value: value.into(),
    };
    for (vote, value) in decided.stages[0].decisions.iter_mut().zip(["2026", "two\nlines"]) {
        vote.answers = vec![answer(value)];
    }
    let Letter { text, html, .. } = outcome(&decided);
    let stands = |who: &str, answer: &str| {
        let (_, after) = text.split_once(&format!("- {who}@example.com approved")).expect("a vote");
        let (_, below) = after.split_once('\n').expect("lines");
        assert!(below.starts_with(answer), "{text}");
    };
    stands("ann", "  Which <budget>?: 2026\n  > fine");
    stands("bob", "  Which <budget>?: two\n    lines\n");
    for words in [">Which &#60;budget&#62;?</p>", ">2026</p>", ">two</p>", ">lines</p>"] {
        assert!(html.contains(words), "{words}: {html}");
    }
    // Who is out of it learns who has decided what, and no more.
    let told = superseded(&decided, Superseded::Decided);
    assert!(told.text.contains("ann@example.com approved"), "{}", told.text);
    assert!(!told.text.contains("2026\n  >") && !told.text.contains("<budget>"), "{}", told.text);
}
