use countersign_protos::{
    Chain, LinkContext, Verdict,
    text::to_message,
    v1::{Document, Item, StageOutcome, Submission, Submitter, Vote},
};
use jiff::Timestamp;

use super::*;
use crate::{
    approval::{Due, Invited, Quorum},
    leaves, outcome as outcomes,
    policy::{PlannedStage, TimePlan},
    testing::{address, keys, sealed},
};

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

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
        }),
        submitted_at: Some(to_message(time("2026-11-24T09:30:00Z"))),
        approval: None,
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn plan() -> Plan {
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: vec![address("ann")],
        quorum: Quorum::All,
        time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
        on_deadline: OnDeadline::Reject,
        escalations: vec![],
    };
    Plan::asking(submission(), address("sue"), vec![stage])
}

/// The mail for this request.
fn request(request: &ReviewRequest, links: &Links) -> Letter {
    Writer::default().request(&plan(), request, links)
}

fn outcome(outcome: &Outcome) -> Letter {
    Writer::default().outcome(outcome)
}

fn superseded(outcome: &Outcome, release: Release<'_>) -> Letter {
    Writer::default().superseded(outcome, release)
}

fn decided_by_operator(outcome: &Outcome) -> Letter {
    Writer::default().decided_by_operator(outcome)
}

fn review() -> ReviewRequest {
    ReviewRequest {
        plan: sealed(&plan(), CHAIN),
        first_run_id: CHAIN.first_run_id.into(),
        stage: 0,
        round: 0,
        instead_of: None,
        reassigned_by: None,
        reviewer: "ann@example.com".parse().expect("an address"),
        link: String::new(),
        asked_at: None,
        deadline: Some(to_message(time("2026-11-27T16:00:00Z"))),
        on_deadline: OnDeadline::Reject,
        on_behalf_of: None,
        escalates: false,
        reminder: false,
        new_link: false,
    }
}

fn decided() -> Outcome {
    let Submission { submission_id, submission_type, submitter, document, .. } = submission();
    Outcome {
        status: Status::Rejected.into(),
        submission_id,
        submission_type,
        submitter,
        document,
        decided_at: Some(to_message(time("2026-11-25T08:05:00Z"))),
        reason: "Rejected by ann@example.com.".into(),
        stages: vec![StageOutcome {
            name: "Finance".into(),
            status: Status::Rejected.into(),
            decisions: vec![Vote {
                on_behalf_of: String::new(),
                reviewer: "ann@example.com".into(),
                verdict: Verdict::Reject.into(),
                link: String::new(),
                comment: "Too many".into(),
                decided_at: Some(to_message(time("2026-11-25T08:05:00Z"))),
                by: "link".into(),
                ..Vote::default()
            }],
            undecided: vec![],
        }],
        ..Outcome::default()
    }
}

#[test]
fn a_deputy_reads_whom_they_replace_and_that_others_come_next() {
    let absent = Some("cfo@example.com".parse().expect("an address"));
    let request =
        request(&ReviewRequest { on_behalf_of: absent, escalates: true, ..review() }, &links());
    for letter in [request.text, request.html] {
        assert!(letter.contains("instead of cfo@example.com, who is away"), "{letter}");
        assert!(letter.contains("After that, others are asked."), "{letter}");
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

15 laptops
15,750.00 USD

Review and approve:
https://approve.example.com/x/a/{id}/laptops?choice=approve

Review and reject:
https://approve.example.com/x/a/{id}/laptops?choice=reject

Both links open a page that shows everything and asks you to confirm. Opening them decides nothing, \
             and neither does a reply to this mail. You can also type the approval ID at \
             https://approve.example.com/x/
Approval ID: {id}

Please decide by Fri 27 Nov 2026, 16:00 UTC. After that, it counts as rejected.

Stage: Finance
Submitted by: Sue Storm <sue@example.com>, R&D, E7
Submission: PO-2041 (equipment purchase), Tue 24 Nov 2026, 09:30 UTC
Category: hardware

> For the new hires.
> Quote attached.

Items:
- 14,700.00 USD  14 laptops (2026-11-20)
- 1,050.00 USD

Attachments:
- dell.pdf (s3://quotes/dell.pdf)

These links are yours alone: anybody who has them can decide in your name, so please do not forward \
             this mail."
        )
    );
    for part in [
        "?choice=approve\"",
        "?choice=reject\"",
        "15,750.00 USD",
        "dell.pdf",
        "neither does a reply to this mail",
        "R&#38;D",
        id.as_str(),
    ] {
        assert!(letter.html.contains(part), "{part} is missing in {}", letter.html);
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
    let organization = "Example Corp <it-help@example.com>".parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let letters = [
        writer.request(&plan(), &review(), &links()),
        writer.outcome(&decided()),
        writer.superseded(&decided(), Release::Decided),
        writer.decided_by_operator(&decided()),
    ];
    let words = "This is about an approval at Example Corp. If you have questions, or doubt that it is \
                 genuine, ask it-help@example.com";
    for letter in &letters {
        assert!(letter.text.ends_with(&format!("\n\n{words}")), "{}", letter.text);
        assert!(letter.html.contains(words), "{}", letter.html);
    }
    let tell = "did not ask for that, tell Example Corp (it-help@example.com).";
    assert!(letters[3].text.contains(tell), "{}", letters[3].text);
    assert!(!request(&review(), &links()).text.contains("genuine"), "nobody says who runs it");
}

#[test]
fn a_name_that_looks_like_an_address_has_the_real_one_beside_it_and_nothing_submitted_is_a_link() {
    let mut eve = plan();
    let submitter = eve.submission.submitter.as_mut().expect("a submitter");
    (submitter.name, submitter.email) = ("ceo@example.com".into(), "eve@example.com".into());
    let document = eve.submission.document.as_mut().expect("a document");
    document.title = "Log in at https://evil.example/ first".into();
    let letter = Writer::default().request(&eve, &review(), &links());
    let asks = "ceo@example.com <eve@example.com> asks for your decision.";
    assert!(letter.text.starts_with(asks), "{}", letter.text);
    assert!(letter.html.contains("ceo@example.com &#60;eve@example.com&#62; asks"));
    let subject = letter.subject.to_string();
    assert!(subject.ends_with(", from eve@example.com"), "{subject}");
    let links: Vec<&str> = letter.html.split("href=\"").skip(1).collect();
    assert_eq!(links.len(), 2, "{}", letter.html);
    assert!(links.iter().all(|link| link.starts_with("https://approve.example.com/x/a/")));
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
fn a_reminder_says_so() {
    let letter = request(&ReviewRequest { reminder: true, ..review() }, &links());
    let subject = letter.subject.to_string();
    assert!(subject.starts_with("Reminder: please decide: 15 laptops"), "{subject}");
    assert!(letter.text.starts_with("This is waiting for your decision.\n"));
    assert_eq!(letter.kind, "reminder");
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
    let style = |choice: &str| -> Vec<String> {
        let (_, rest) = html.split_once(&format!("?choice={choice}\" style=\"")).expect("a button");
        let (style, _) = rest.split_once('"').expect("its end");
        style.split(';').filter(|one| !one.starts_with("background:")).map(str::to_owned).collect()
    };
    assert_eq!(style("approve"), style("reject"));
    assert!(html.find("?choice=approve") < html.find("?choice=reject"), "in the order of the page");
}

#[test]
fn an_outcome_says_who_decided_what_and_why() {
    let letter = outcome(&decided());
    assert_eq!(letter.subject.to_string(), "Rejected: 15 laptops, 15,750.00 USD, PO-2041");
    assert_eq!(
        letter.text,
        "Your submission is rejected.

15 laptops
15,750.00 USD

Rejected by ann@example.com.
Wed 25 Nov 2026, 08:05 UTC

Finance: rejected
- ann@example.com rejected, Wed 25 Nov 2026, 08:05 UTC
  > Too many

Submitted by: Sue Storm <sue@example.com>
Submission: PO-2041 (equipment purchase)"
    );
}

#[test]
fn a_superseded_reviewer_reads_that_their_decision_is_not_needed() {
    let letter = superseded(&decided(), Release::Decided);
    let subject = "No longer needed: 15 laptops, 15,750.00 USD, from Sue Storm";
    assert_eq!(letter.subject.to_string(), subject);
    assert!(letter.text.starts_with("Your decision is no longer needed.\n"));
}

/// Lines are broken where people broke them: mail programs wrap the rest.
#[test]
fn no_sentence_of_ours_is_wrapped_in_a_text() {
    let ends = |line: &str| line.is_empty() || line.ends_with(['.', ':', ')', '>', '-']);
    for letter in [request(&review(), &links()), outcome(&decided())] {
        for (line, next) in letter.text.lines().zip(letter.text.lines().skip(1)) {
            let goes_on = next.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(ends(line) || !goes_on || next.starts_with("http"), "{line:?} {next:?}");
        }
        let longest = letter.text.lines().map(str::len).max();
        assert!(longest < Some(998), "RFC 5322, 2.1.1");
    }
}

/// What Outlook for Windows leaves out is the style of blocks inside of lines; cells it shows.
#[test]
fn buttons_are_table_cells_with_a_colour_and_room() {
    let html = request(&review(), &links()).html;
    for (choice, colour) in [("approve", "#15803d"), ("reject", "#b91c1c")] {
        let at = html.find(&format!("?choice={choice}\"")).expect("a link");
        let (before, after) = html.split_at(at);
        let cell = &before[before.rfind("<td").expect("a cell")..];
        assert!(cell.contains(&format!("bgcolor=\"{colour}\"")), "{cell}");
        assert!(cell.contains("mso-padding-alt:"), "{cell}");
        assert!(after[..after.find("</td>").expect("its end")].contains("</a>"), "{choice}");
    }
    assert!(!html.contains("inline-block"), "{html}");
}

#[test]
fn a_frame_holds_and_long_words_wrap_in_it() {
    let mut long = plan();
    let document = long.submission.document.as_mut().expect("a document");
    document.description = "First line\n\nThird <line>".into();
    let html = Writer::default().request(&long, &review(), &links()).html;
    assert!(html.contains("First line<br><br>Third &#60;line&#62;"), "{html}");
    assert!(!html.contains("white-space"), "{html}");
    assert!(html.contains("table-layout:fixed;width:100%;max-width:600px"), "{html}");
    assert!(html.contains("width=\"600\""), "for Outlook, which knows no max-width");
    let text = html.find("overflow-wrap:anywhere").expect("wrapped");
    assert!(html.find("<h1").is_some_and(|title| text < title), "everything is inside of it");
    // All tables of one width; no word makes one wider.
    let tables = html.split("<table ").skip(1).filter(|table| table.contains("width=\"100%\""));
    for table in tables {
        let tag = table.split('>').next().unwrap_or_default();
        assert!(!tag.contains("width=\"100%\"") || tag.contains("table-layout:fixed"), "{tag}");
    }
}

#[test]
fn in_dark_mode_everything_that_has_a_colour_gets_another() {
    for html in every_mail().into_iter().map(|(_, letter)| letter.html) {
        assert!(html.contains("name=\"color-scheme\" content=\"light dark\""), "{html}");
        assert!(html.contains("@media (prefers-color-scheme: dark)"), "{html}");
        let (_, body) = html.split_once("<body").expect("a body");
        for tag in body.split('<').filter_map(|part| part.split('>').next()) {
            // White on green and on red is readable in both.
            let is_button = ["#15803d", "#b91c1c", "color:#ffffff;text"];
            let of_button = is_button.iter().any(|colour| tag.contains(colour));
            let coloured = tag.contains(";color:#") || tag.contains("background-color:#");
            assert!(!coloured || of_button || tag.contains("class=\""), "{tag}");
        }
    }
}

#[test]
fn times_are_those_of_the_calendars_zone() {
    let mut plan = plan();
    plan.time_zone = "America/Los_Angeles".into();
    let letter = Writer::default().request(&plan, &review(), &links());
    let deadline = "Fri 27 Nov 2026, 08:00 PST (America/Los_Angeles)";
    assert!(letter.html.contains(deadline), "{}", letter.html);
    assert!(letter.text.contains(&format!("Please decide by {deadline}. ")), "{}", letter.text);
    assert!(letter.text.contains(", Tue 24 Nov 2026, 01:30 PST\n"), "{}", letter.text);
    let outcome = outcome(&Outcome { time_zone: "America/Los_Angeles".into(), ..decided() });
    assert_eq!(outcome.text.matches("Wed 25 Nov 2026, 00:05 PST").count(), 2, "{}", outcome.text);
}

#[test]
fn whoever_is_released_reads_why() {
    let by = address("cy");
    for (release, start, words) in [
        (
            Release::Replaced { by: &by, identity: "op@laptop" },
            "Somebody else is asked: ",
            "cy@example.com is asked in your place. An operator (op@laptop) wanted that; your link \
             does not decide any more.",
        ),
        (
            Release::Escalated,
            "Deadline passed: ",
            "The deadline has passed without your decision. Others are asked now; your link does \
             not decide any more.",
        ),
        (
            Release::Unreachable,
            "Others are asked: ",
            "Mails were refused. Others are asked now; your link does not decide any more.",
        ),
        (
            Release::DeadlinePassed,
            "Deadline passed: ",
            "The deadline has passed without your decision.",
        ),
        (Release::Withdrawn, "Withdrawn: ", "It was withdrawn: your decision is no longer needed."),
    ] {
        let letter = superseded(&decided(), release);
        assert!(letter.subject.to_string().starts_with(start), "{}", letter.subject);
        assert!(letter.text.starts_with(&format!("{words}\n\n15 laptops\n")), "{}", letter.text);
        assert!(letter.html.contains(words), "{}", letter.html);
    }
}

#[test]
fn whoever_is_asked_in_anothers_place_reads_in_whose_and_who_wanted_that() {
    let (instead_of, reassigned_by) = (Some(address("bob")), Some("op@laptop\nCFO".to_owned()));
    let replacing = ReviewRequest { instead_of, reassigned_by, ..review() };
    let words = "An operator (op@laptop CFO) has had you asked in place of bob@example.com.";
    let letter = request(&replacing, &links());
    assert!(letter.text.contains(words), "{}", letter.text);
    assert!(letter.html.contains(words), "{}", letter.html);
    let deputy = ReviewRequest { on_behalf_of: Some(address("fay")), ..replacing };
    let words = "has had fay@example.com asked in place of bob@example.com. You are asked instead \
                 of fay@example.com, who is away.";
    assert!(request(&deputy, &links()).text.contains(words));
}

/// Ann is asked, and her mail comes through or not.
fn open_approval(reached: bool) -> Approval {
    let at = time("2026-11-24T09:30:00Z");
    let mut approval = leaves::begin(&plan(), at);
    let due = Due { deadline: time("2026-11-27T16:00:00Z"), reminders: vec![] };
    approval.ask(vec![Invited::new(address("ann"), "a".into())], Some(due), at);
    approval.reached("a", reached);
    approval
}

#[test]
fn a_submitter_reads_who_is_asked_until_when_and_that_nobody_can_be_reached() {
    let open = |approval: &Approval| outcomes::outcome(&plan(), approval, CHAIN);
    let asked = open_approval(true);
    let letter = Writer::default().started(&open(&asked), &asked).expect("Ann is asked");
    assert_eq!(letter.subject.to_string(), "Waiting: 15 laptops, 15,750.00 USD, PO-2041");
    let words = "Your submission is waiting for a decision. Asked to decide by Fri 27 Nov 2026, \
                 16:00 UTC: ann@example.com.\n\n15 laptops\n15,750.00 USD\n\nFinance waits for a \
                 decision.\n\nFinance: still open\n";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    assert_eq!(Writer::default().unreachable(&open(&asked), &asked), None);

    let alone = open_approval(false);
    let organization = "Example Corp <it-help@example.com>".parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let letter = writer.unreachable(&open(&alone), &alone).expect("nobody can be reached");
    let subject = "Nobody can be reached: 15 laptops, 15,750.00 USD, PO-2041";
    assert_eq!(letter.subject.to_string(), subject);
    let words = "Nobody can be reached to decide your submission: mails to ann@example.com were refused. \
                 Ask Example Corp (it-help@example.com) to have somebody else asked. Otherwise, it \
                 counts as rejected on Fri 27 Nov 2026, 16:00 UTC.";
    assert!(letter.text.starts_with(words), "{}", letter.text);
    assert!(letter.html.contains(words), "{}", letter.html);
}

/// Each kind of mail, by a name for it, from a company of its own in a zone of its own.
fn every_mail() -> Vec<(&'static str, Letter)> {
    let organization = "Example Corp <it-help@example.com>".parse().expect("an organization");
    let writer = Writer { organization: Some(&organization) };
    let zone = || "Europe/Berlin".to_owned();
    let short = Plan { time_zone: zone(), ..plan() };
    let mut long = short.clone();
    let document = long.submission.document.as_mut().expect("a document");
    document.title = "Verlängerung der Wartungsverträge für alle Standorte, ".repeat(3);
    let long_url = format!("https://quotes.example/{}", "long-name".repeat(25));
    document.description = format!("שלום, this has to be paid by Friday.\n\n{long_url}");
    document.attachments = vec![format!("{long_url}.pdf")];
    let asked = |change: &dyn Fn(&mut ReviewRequest)| {
        let mut request = review();
        change(&mut request);
        writer.request(&short, &request, &links())
    };
    let replaces = |request: &mut ReviewRequest| {
        request.instead_of = Some(address("bob"));
        request.reassigned_by = Some("kim@laptop-17".into());
    };
    let ended = |status: Status, reason: &str| {
        let (status, reason) = (status.into(), reason.to_owned());
        writer.outcome(&Outcome { status, reason, time_zone: zone(), ..decided() })
    };
    let released = |release: Release<'_>| {
        writer.superseded(&Outcome { time_zone: zone(), ..decided() }, release)
    };
    let mut by_operator = decided();
    let vote = &mut by_operator.stages[0].decisions[0];
    (vote.by, vote.identity) = ("operator".into(), "kim@laptop-17".into());
    let (open, alone) = (open_approval(true), open_approval(false));
    let so_far = |approval: &Approval| outcomes::outcome(&short, approval, CHAIN);
    let by = address("cy");
    let replaced = Release::Replaced { by: &by, identity: "kim@laptop-17" };
    vec![
        ("request", asked(&|_| ())),
        ("request-long", writer.request(&long, &review(), &links())),
        ("request-reminder", asked(&|request| request.reminder = true)),
        ("request-for-somebody-away", asked(&|it| it.on_behalf_of = Some(address("fay")))),
        ("request-in-anothers-place", asked(&replaces)),
        ("released-replaced", released(replaced)),
        ("released-others-asked", released(Release::Escalated)),
        ("released-unreachable", released(Release::Unreachable)),
        ("released-deadline", released(Release::DeadlinePassed)),
        ("released-decided", released(Release::Decided)),
        ("released-withdrawn", released(Release::Withdrawn)),
        ("decided-by-operator", writer.decided_by_operator(&by_operator)),
        ("submitter-started", writer.started(&so_far(&open), &open).expect("asked")),
        ("submitter-unreachable", writer.unreachable(&so_far(&alone), &alone).expect("refused")),
        ("outcome-approved", ended(Status::Approved, "Approved by ann@example.com.")),
        ("outcome-rejected", ended(Status::Rejected, "Rejected by ann@example.com.")),
        ("outcome-expired", ended(Status::Expired, "Nobody in Finance decided in time.")),
        ("outcome-withdrawn", ended(Status::Withdrawn, "Withdrawn: ordered twice.")),
    ]
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

#[test]
fn a_reviewer_for_whom_an_operator_decided_reads_so_and_who_it_was() {
    let mut outcome = decided();
    let vote = &mut outcome.stages[0].decisions[0];
    (vote.by, vote.identity) = ("operator".into(), "42@laptop\nApproved by the CFO".into());
    let letter = decided_by_operator(&outcome);
    let subject = "Decided for you: 15 laptops, 15,750.00 USD, from Sue Storm";
    assert_eq!(letter.subject.to_string(), subject);
    let line = "ann@example.com rejected, recorded by an operator (42@laptop Approved by the CFO)";
    for text in [&letter.text, &letter.html] {
        assert!(text.contains("An operator has recorded a decision for you."), "{text}");
        assert!(text.contains(line), "{text}");
    }
    assert!(!Writer::default().outcome(&decided()).text.contains("operator"));
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
    document.attachments[0] = forged.into();
    let mut forging = decided();
    forging.submission_id = forged.into();
    forging.submitter = hostile.submission.submitter.clone();
    forging.document = hostile.submission.document.clone();
    forging.reason = format!("Withdrawn: {forged}");
    forging.stages[0].name = forged.into();
    forging.stages[0].decisions[0].comment = forged.into();
    for letter in [
        Writer::default().request(&hostile, &self::review(), &links()),
        outcome(&forging),
        superseded(&forging, Release::Decided),
    ] {
        for line in letter.text.lines() {
            let genuine = format!("Approval ID: {}", links().id);
            assert!(!line.starts_with("- cfo@") && !line.starts_with("\"\n"), "{}", letter.text);
            assert!(!line.starts_with("Approval ID:") || line == genuine, "{}", letter.text);
        }
        assert_eq!(letter.subject.to_string().lines().count(), 1, "{}", letter.subject);
    }
    assert!(
        Writer::default()
            .request(&hostile, &self::review(), &links())
            .text
            .contains("\n> - cfo@example.com approved\n> \n> App")
    );
    assert!(outcome(&forging).text.contains("\n  > - cfo@example.com approved\n  > \n  > App"));
}

#[test]
fn tabs_become_spaces() {
    let mut tabbed = plan();
    let document = tabbed.submission.document.as_mut().expect("a document");
    document.title = "15\tlaptops".into();
    document.description = "a\tb".into();
    let letter = Writer::default().request(&tabbed, &self::review(), &links());
    assert!(letter.text.contains("\n15 laptops\n") && letter.text.contains("\n> a\tb\n"));
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
