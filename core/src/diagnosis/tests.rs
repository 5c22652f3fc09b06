//! The words for twelve broken set-ups, as an operator reads them. What is broken comes in as facts; stories
//! break the real thing.

use countersign_protos::{text::to_message, v1};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn now() -> Timestamp {
    at("2026-12-01T12:00:00Z")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn worker(process: &str) -> WorkerIdentity {
    WorkerIdentity {
        process: process.into(),
        version: "0.4.0".into(),
        keys: vec!["keyA".into(), "keyB".into()],
        payload_keys: vec![],
        rules: "rulesA".into(),
        since: at("2026-12-01T08:00:00Z"),
    }
}

fn poller(identity: &WorkerIdentity, last_seen: &str) -> Poller {
    Poller { identity: identity.to_string(), last_seen: at(last_seen) }
}

fn queue(name: &str, pollers: Vec<Poller>) -> Result<Queue, String> {
    Ok(Queue { name: name.into(), pollers, oldest_task: None })
}

/// One in which everything is as it should be.
fn sound() -> Setup {
    let pollers = || vec![poller(&worker("7@a"), "2026-12-01T11:59:30Z")];
    Setup {
        now: now(),
        own: Own {
            identity: worker("9@here"),
            address: "temporal:7233".into(),
            namespace: "default".into(),
            task_queue: "approvals".into(),
            public_url: "https://approvals.example.com".into(),
            longest_wait: SignedDuration::from_hours(7 * 24),
        },
        server: Ok(Server {
            version: "1.32.1".into(),
            stores: Some(("postgres12".into(), "postgres12".into())),
        }),
        connected: Some(Connected {
            retention: Ok(SignedDuration::from_hours(30 * 24)),
            attributes: Ok(vec![("ApprovalLinks".into(), AttributeState::There)]),
            make_attributes: "temporal operator search-attribute create --name ApprovalLinks"
                .into(),
            permissions: vec![(CALL, Permission::Given)],
            refused: Refused::default(),
            queues: vec![queue("approvals", pollers()), queue("approvals-webhook", pollers())],
            answer: Some(("laptops".into(), Ok(SignedDuration::from_millis(7)))),
            clock: Ok(SignedDuration::from_millis(40)),
            writes: Ok(()),
            approvals: Ok(Overview::default()),
        }),
        mail: Ok("mail.example.com answers".into()),
        webhook: None,
        signaler: Ok(Signaler { is_ready: true, keys: Some(worker("").keys) }),
    }
}

const CALL: Call = Call { name: "SignalWorkflowExecution", without_it: "no decision is recorded" };

/// Breaks something of what Temporal answers.
fn broken(breaks: impl FnOnce(&mut Connected)) -> Setup {
    let mut setup = sound();
    breaks(setup.connected.as_mut().expect("connected"));
    setup
}

/// The one problem of a set-up.
#[track_caller]
fn problem(setup: &Setup) -> Finding {
    let findings = examine(setup);
    let wrong: Vec<Finding> =
        findings.iter().filter(|finding| finding.level == Level::Problem).cloned().collect();
    assert_eq!(wrong.len(), 1, "{}", as_text(&findings, setup.now));
    wrong.into_iter().next().expect("one")
}

#[track_caller]
fn says(finding: &Finding, check: &str, words: &[&str], since: Option<&str>, remedy: &[&str]) {
    assert_eq!(finding.check, check, "{finding:?}");
    for word in words {
        assert!(finding.says.contains(word), "{word:?} is not said: {}", finding.says);
    }
    assert_eq!(finding.since, since.map(at), "{finding:?}");
    for word in remedy {
        assert!(finding.remedy.contains(word), "{word:?} is not to do: {}", finding.remedy);
    }
}

fn activity(kind: &str, message: &str) -> Activity {
    Activity {
        kind: kind.into(),
        id: "3".into(),
        summary: format!("{kind} to ann@example.com"),
        attempt: 8,
        since: at("2026-12-01T09:30:00Z"),
        failure: Some(Failure { kind: "MailUnavailable".into(), message: message.into() }),
        paused: false,
    }
}

fn approval(id: &str, activities: Vec<Activity>) -> Approval {
    Approval {
        workflow_id: id.into(),
        kind: Kind::Approval,
        task_queue: "approvals".into(),
        started: at("2026-12-01T09:00:00Z"),
        status: "PENDING".into(),
        reviewers: vec!["ann@example.com".into()],
        deadline: Some(at("2026-12-04T09:00:00Z")),
        undeliverable: false,
        task: None,
        activities,
        refused: Vec::new(),
        signals: Vec::new(),
        title: Some("15 laptops".into()),
    }
}

fn overview(approvals: &[Approval]) -> Overview {
    let rows = approvals.iter().map(|approval| Row::new(approval, now(), false)).collect();
    Overview::new(Counts::default(), rows)
}

const MAIL_DOWN: &str = "the mail server: Connection refused (os error 111)";

#[test]
fn of_a_sound_set_up_nothing_is_said_to_be_wrong() {
    let findings = examine(&sound());
    let text = as_text(&findings, now());
    assert!(text.ends_with("\nNo problem was found."), "{text}");
    assert_eq!(findings.iter().filter(|finding| finding.level != Level::Good).count(), 0, "{text}");
    assert_eq!(as_json(&findings)["problems"], 0);
}

#[test]
fn set_up_1_the_mail_server_is_down() {
    let mut setup = broken(|connected| {
        let mut waits =
            overview(&[approval("laptops", vec![activity("request_approval", MAIL_DOWN)])]);
        // Only the server's own finding is looked at here.
        waits.rows[0].causes.clear();
        connected.approvals = Ok(waits);
    });
    setup.mail = Err(MAIL_DOWN.into());
    let findings = examine(&setup);
    let mail = findings.iter().find(|finding| finding.check == "mail").expect("one");
    let to_do = ["The mail server does not listen there", "COUNTERSIGN_NOTIFY"];
    says(mail, "mail", &["Connection refused"], Some("2026-12-01T09:30:00Z"), &to_do);
    let text = as_text(&findings, now());
    assert!(text.starts_with("PROBLEM mail "), "what is wrong comes first: {text}");
    assert!(text.contains("since 2026-12-01 09:30:00 UTC (2 h 30 min ago)"), "{text}");
    assert!(text.contains(&format!("{MAIL_DOWN} (in laptops)")), "{text}");
}

#[test]
fn set_up_2_the_password_is_wrong() {
    let mut setup = sound();
    let why = "the mail server answered AUTH with 535 5.7.8 Authentication credentials invalid";
    setup.mail = Err(why.into());
    says(&problem(&setup), "mail", &["535"], None, &["user and password", "COUNTERSIGN_NOTIFY"]);
}

#[test]
fn set_up_3_one_side_has_other_keys() {
    let mut setup = sound();
    setup.signaler = Ok(Signaler { is_ready: true, keys: Some(vec!["keyX".into()]) });
    let finding = problem(&setup);
    let signs = [
        "the signaler refuses every link that workers mail: this machine and the worker 7@a sign with keyA \
         and have keyB; the signaler at https://approvals.example.com signs with keyX",
    ];
    says(
        &finding,
        "keys",
        &signs,
        Some("2026-12-01T08:00:00Z"),
        &["COUNTERSIGN_LINK_KEYS", "restart each", "append"],
    );
    let connected = setup.connected.as_mut().expect("connected");
    connected.queues = vec![queue("approvals", Vec::new())];
    let findings = examine(&setup);
    let keys = findings.iter().find(|finding| finding.check == "keys").expect("one");
    let nobody_polls = "the signaler refuses every link that a worker with these settings mails: ";
    assert!(keys.says.starts_with(nobody_polls), "{keys:?}");

    let other = WorkerIdentity {
        keys: vec!["keyB".into()],
        since: at("2026-12-01T10:00:00Z"),
        ..worker("8@b")
    };
    let setup = broken(|connected| {
        let both = vec![
            poller(&worker("7@a"), "2026-12-01T11:59:30Z"),
            poller(&other, "2026-12-01T11:59:40Z"),
        ];
        connected.queues = vec![queue("approvals", both)];
    });
    let since = Some("2026-12-01T10:00:00Z");
    let words = [
        "the worker 8@b lacks a key that others have, and refuses links under it: ",
        "this machine, the worker 7@a and the signaler at https://approvals.example.com sign with keyA and have keyB;",
        "; the worker 8@b signs with keyB",
    ];
    says(&problem(&setup), "keys", &words, since, &["same"]);
}

#[test]
fn workers_with_other_keys_of_payloads_are_named() {
    let with = |process: &str, keys: &str| WorkerIdentity {
        payload_keys: keys.split_whitespace().map(str::to_owned).collect(),
        ..worker(process)
    };
    let found = |own: &str, others: &[&str]| {
        let pollers = others.iter().zip(["7@a", "8@b"]);
        let pollers =
            pollers.map(|(keys, name)| poller(&with(name, keys), "2026-12-01T11:59:30Z")).collect();
        let mut setup = broken(|connected| connected.queues = vec![queue("approvals", pollers)]);
        setup.own.identity = with("9@here", own);
        let findings = examine(&setup).into_iter();
        findings.filter(|finding| finding.check == "payload keys").collect::<Vec<_>>().remove(0)
    };
    for (own, other, level, says) in [
        ("", "", Level::Good, "not encrypted"),
        ("k1:A", "k1:A", Level::Good, "k1:A (encrypts)"),
        ("k2:B k1:A", "k1:A k2:B", Level::Note, "not the same one in front"),
        ("k1:A", "none k1:A", Level::Note, "not the same one in front"),
        ("k1:A", "", Level::Problem, "the worker 7@a has none"),
        ("k1:A", "k1:B", Level::Problem, "the worker 7@a has k1:B"),
    ] {
        let finding = found(own, &[other]);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.says.contains(says), "{finding:?}");
    }
    let finding = found("k1:A", &["k1:A", ""]);
    assert!(finding.remedy.contains("COUNTERSIGN_PAYLOAD_KEYS_FILE"), "{finding:?}");
}

#[test]
fn a_change_of_keys_that_is_under_way_is_no_problem() {
    let mut setup = sound();
    let turned = vec!["keyB".into(), "keyA".into()];
    setup.signaler = Ok(Signaler { is_ready: true, keys: Some(turned) });
    let findings = examine(&setup);
    assert_eq!(problems(&findings), 0);
    let keys = findings.iter().find(|finding| finding.check == "keys").expect("one");
    assert!(
        keys.level == Level::Note && keys.says.contains("not the same one in front"),
        "{keys:?}"
    );
}

#[test]
fn set_up_4_the_worker_is_gone() {
    let setup = broken(|connected| {
        let gone = vec![poller(&worker("7@a"), "2026-12-01T11:57:00Z")];
        let oldest_task = Some(SignedDuration::from_secs(170));
        let queue = Queue { name: "approvals".into(), pollers: gone, oldest_task };
        connected.queues = vec![Ok(queue)];
    });
    let words = ["nobody polls approvals", "a task has waited for 2 min 50 s"];
    says(
        &problem(&setup),
        "workers",
        &words,
        Some("2026-12-01T11:57:00Z"),
        &["Start countersign-worker"],
    );
    let setup = broken(|connected| connected.queues = vec![queue("approvals", Vec::new())]);
    says(&problem(&setup), "workers", &["nobody polls approvals"], None, &["Start"]);
    let setup = broken(|connected| {
        let oldest_task = Some(minutes(20));
        let queue = Queue { name: "approvals".into(), pollers: Vec::new(), oldest_task };
        connected.queues = vec![Ok(queue)];
    });
    says(
        &problem(&setup),
        "workers",
        &["waited for 20 min"],
        Some("2026-12-01T11:40:00Z"),
        &["Start"],
    );
    // One that has just been killed is still shown.
    let late = || Some(("laptops".into(), Err("no answer within 10s".into())));
    let setup = broken(|connected| connected.answer = late());
    let words = ["nobody has answered a query of laptops: no answer within 10s"];
    says(&problem(&setup), "workers", &words, None, &["Start", "explain"]);
}

#[test]
fn set_up_5_the_webhook_is_down() {
    let mut setup = sound();
    setup.webhook =
        Some(Err("the webhook cannot be reached: Connection refused (os error 111)".into()));
    let to_do = [
        "The webhook's receiver does not listen there",
        "COUNTERSIGN_WEBHOOK_URL",
        "Outcomes that wait are then delivered by themselves",
    ];
    says(&problem(&setup), "webhook", &["Connection refused"], None, &to_do);
}

#[test]
fn set_up_6_policies_differ() {
    let other = WorkerIdentity {
        rules: "rulesB".into(),
        since: at("2026-12-01T11:00:00Z"),
        ..worker("8@b")
    };
    let setup = broken(|connected| {
        let both = vec![
            poller(&worker("7@a"), "2026-12-01T11:59:30Z"),
            // What it said before it read its rules again.
            poller(&other, "2026-12-01T11:59:20Z"),
            poller(&worker("8@b"), "2026-12-01T11:59:40Z"),
        ];
        connected.queues = vec![queue("approvals", both)];
    });
    let words = ["these settings route by rulesA, but 8@b has rulesB"];
    let to_do = ["COUNTERSIGN_POLICY", "within seconds", "log names"];
    says(&problem(&setup), "rules", &words, Some("2026-12-01T11:00:00Z"), &to_do);
}

#[test]
fn set_up_7_a_search_attribute_is_missing() {
    let setup = broken(|connected| {
        connected.attributes = Ok(vec![
            ("ApprovalLinks".into(), AttributeState::There),
            ("ApprovalDeadline".into(), AttributeState::Missing),
        ]);
    });
    let to_do = ["temporal operator search-attribute create"];
    says(&problem(&setup), "search attributes", &["lacks ApprovalDeadline"], None, &to_do);
    let setup = broken(|connected| {
        connected.attributes = Ok(vec![("ApprovalStatus".into(), AttributeState::OtherType)]);
    });
    says(&problem(&setup), "search attributes", &["ApprovalStatus exist"], None, &["remove"]);
}

#[test]
fn set_up_8_the_namespaces_limits_are_too_low() {
    let words = "namespace rate limit exceeded";
    let refused = |calls: &[(&str, u32)]| {
        let calls = calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        broken(|connected| connected.refused = Refused { calls, words: words.into() })
    };
    let setup = refused(&[("CountWorkflowExecutions", 5), ("ListWorkflowExecutions", 2)]);
    let which = "refused 7 calls of this command's own over a limit (5 of CountWorkflowExecutions and 2 of \
                 ListWorkflowExecutions): namespace rate";
    says(&problem(&setup), "limits", &[which], None, &["frontend.namespaceRPS.visibility"]);
    let text = as_text(&examine(&setup), now());
    assert!(text.contains(" since when is not known\n"), "{text}");
    let setup = refused(&[("CountWorkflowExecutions", 1)]);
    assert_eq!(problems(&examine(&setup)), 0, "others may have asked at the same time");
}

#[test]
fn set_up_9_a_certificate_has_expired() {
    let expired = "invalid peer certificate: certificate expired: verification time 1796126400 (UNIX), but \
                   certificate is not valid after 1796083200 (43200 seconds ago)";
    let mut setup = sound();
    setup.webhook = Some(Err(format!("the webhook cannot be reached: {expired}")));
    let to_do = ["Have the certificate of the webhook's receiver renewed"];
    let since = Some("2026-12-01T00:00:00Z");
    says(&problem(&setup), "webhook", &["certificate expired"], since, &to_do);
    assert!(!problem(&setup).remedy.contains("clock"), "it is right: {:?}", problem(&setup));

    let mut setup = sound();
    setup.connected = None;
    setup.server = Err(expired.into());
    says(
        &problem(&setup),
        "temporal",
        &["temporal:7233 cannot be reached"],
        since,
        &["Temporal renewed", "this machine's clock is wrong"],
    );
}

#[test]
fn set_up_10_the_clock_is_off() {
    for (offset, words) in [(minutes(10), "10 min ahead of"), (-minutes(10), "10 min behind")] {
        let setup = broken(|connected| {
            connected.clock = Ok(offset);
            let pollers = connected.queues.iter_mut().flatten().flat_map(|it| &mut it.pollers);
            pollers.for_each(|poller| poller.last_seen -= offset);
        });
        says(&problem(&setup), "clock", &[words], None, &["NTP"]);
    }
    let setup = broken(|connected| connected.clock = Ok(SignedDuration::from_secs(5)));
    assert_eq!(problems(&examine(&setup)), 0, "a few seconds are a note");
}

#[test]
fn a_clock_that_is_off_is_corrected_by_what_is_known() {
    let second = SignedDuration::from_secs(1);
    assert_eq!(server_time(now(), Some(60 * second)), now() - 60 * second);
    assert_eq!(server_time(now(), Some(-60 * second)), now() + 60 * second);
    for hardly in [Some(second), Some(-second), None] {
        assert_eq!(server_time(now(), hardly), now());
    }
}

#[test]
fn what_the_server_has_seen_is_compared_with_its_clock() {
    for offset in [minutes(15), -minutes(15)] {
        let seen = |ago: i64| {
            let at = now().checked_sub(offset + SignedDuration::from_secs(ago));
            Poller { identity: worker("7@a").to_string(), last_seen: at.expect("a time") }
        };
        let polled = |ago: i64| {
            broken(|connected| {
                connected.clock = Ok(offset);
                connected.queues = vec![queue("approvals", vec![seen(ago)])];
            })
        };
        assert_eq!(problem(&polled(1)).check, "clock", "it polls");
        let findings = examine(&polled(180));
        let gone = findings.iter().find(|finding| finding.says.starts_with("nobody polls"));
        assert_eq!(gone.expect("nobody").since, Some(seen(180).last_seen));
        let text = as_text(&findings, polled(180).server_time());
        assert!(text.contains("(3 min ago)"), "{text}");
    }
}

#[test]
fn set_up_11_the_topic_has_no_subscription() {
    let setup = broken(|connected| {
        let refused = Approval { undeliverable: true, ..approval("laptops", Vec::new()) };
        let counts = Counts { undeliverable: Some(1), ..Counts::default() };
        connected.approvals = Ok(Overview::new(counts, vec![Row::new(&refused, now(), false)]));
    });
    let finding = problem(&setup);
    says(&finding, "approvals", &["1 with mail"], None, &["countersign-worker explain"]);
    let mut setup = sound();
    setup.mail =
        Err("Amazon SNS: nobody has confirmed a subscription to the topic (1 pending)".into());
    says(&problem(&setup), "mail", &["(1 pending)"], None, &["countersign-worker subscribe"]);
}

#[test]
fn set_up_12_the_store_is_full() {
    let setup = broken(|connected| connected.writes = Err("database or disk is full (13)".into()));
    let words = ["Temporal reads and does not write", "disk is full"];
    let to_do = ["free space", "nothing is lost"];
    says(&problem(&setup), "store", &words, None, &to_do);
    let setup = broken(|connected| connected.writes = Err("something went wrong".into()));
    let finding = problem(&setup);
    says(&finding, "store", &[], None, &["disk is full, or it is read-only, locked", "own log"]);
    assert!(!finding.remedy.contains("TEMPORAL_"), "the connection is well: {finding:?}");
    let setup = broken(|connected| {
        connected.writes = Err("database or disk is full (13)".into());
        connected.answer = Some(("laptops".into(), Err("no answer within 10s".into())));
    });
    assert_eq!(problem(&setup).check, "store", "no worker is to blame");
}

#[test]
fn a_call_that_is_not_permitted_is_named_with_what_needs_it() {
    let setup = broken(|connected| connected.permissions = vec![(CALL, Permission::Denied)]);
    let words = ["SignalWorkflowExecution (no decision is recorded)"];
    says(&problem(&setup), "permissions", &words, None, &["permission Write"]);
}

#[test]
fn a_retention_that_ends_before_deadlines_is_a_note() {
    let setup = broken(|connected| connected.retention = Ok(SignedDuration::from_hours(24)));
    let findings = examine(&setup);
    assert_eq!(problems(&findings), 0);
    let namespace = findings.iter().find(|finding| finding.check == "namespace").expect("one");
    assert!(namespace.says.contains("for 1 d, and approvals wait up to 7 d"), "{namespace:?}");
    assert!(namespace.remedy.ends_with("--retention 7d"), "{namespace:?}");
}

#[test]
fn the_worst_of_an_approval_is_its_state() {
    let state = |approval: &Approval| approval.state(now());
    let half_past_nine = Some(at("2026-12-01T09:30:00Z"));
    let mails = approval("a", vec![activity("request_approval", MAIL_DOWN)]);
    assert_eq!(state(&mails), (State::Failing, half_past_nine));
    let waiting = approval("b", Vec::new());
    assert_eq!(state(&waiting), (State::Waiting, Some(waiting.started)));
    let refused = Approval { undeliverable: true, ..waiting.clone() };
    assert_eq!(state(&refused).0, State::Undeliverable);
    let late = at("2026-12-01T11:59:00Z");
    let overdue = Approval { deadline: Some(late), ..refused.clone() };
    assert_eq!(state(&overdue), (State::Overdue, Some(late)));
    let just = Approval { deadline: Some(at("2026-12-01T11:59:50Z")), ..waiting.clone() };
    assert_eq!(state(&just).0, State::Waiting, "its timer may be firing");
    let task = |since: &str, attempt| {
        Some(Task { since: at(since), attempt, is_running: false, failure: None })
    };
    let stuck = Approval { task: task("2026-12-01T11:00:00Z", 1), ..waiting.clone() };
    assert_eq!(state(&stuck), (State::Failing, Some(at("2026-12-01T11:00:00Z"))));
    let busy = Approval { task: task("2026-12-01T11:59:59Z", 1), ..waiting.clone() };
    assert_eq!(state(&busy).0, State::Waiting);
    let decided = Approval {
        status: "APPROVED".into(),
        deadline: Some(late),
        activities: vec![activity("process_decision", "the webhook answered 503")],
        ..waiting
    };
    assert_eq!(state(&decided), (State::WebhookPending, half_past_nine));
    let closing = Approval { activities: Vec::new(), ..decided };
    assert_eq!(state(&closing).0, State::Notices);
    let sent_back = Approval { status: "CHANGES_REQUESTED".into(), deadline: None, ..closing };
    assert_eq!(state(&sent_back), (State::ChangesRequested, None));
    let overdue = Approval { deadline: Some(late), ..sent_back };
    assert_eq!(state(&overdue), (State::Overdue, Some(late)), "the submitter's deadline");
}

#[test]
fn a_list_names_people_and_titles_only_with_details() {
    let approvals = [
        approval("waits", Vec::new()),
        approval("fails", vec![activity("request_approval", MAIL_DOWN)]),
    ];
    let text = |details| {
        let rows = approvals.iter().map(|approval| Row::new(approval, now(), details)).collect();
        let counts = Counts { waiting: Some(2), overdue: None, ..Counts::default() };
        Overview::new(counts, rows).text(now())
    };
    let (brief, full) = (text(false), text(true));
    assert!(brief.starts_with("Open approvals: 1 failing and 1 waiting.\n"), "{brief}");
    let failing = "\nfailing: 1\n  fails since 2026-12-01 09:30:00 UTC (2 h 30 min ago)\n    the request: \
                   the mail server: Connection refused (os error 111) (7 failed attempts)\n";
    assert!(brief.contains(failing), "{brief}");
    assert!(brief.contains("\nwaiting: 1\n  waits since 2026-12-01 09:00:00 UTC"), "{brief}");
    assert!(brief.contains("deadline 2026-12-04 09:00:00 UTC (in 2 d 21 h)"), "{brief}");
    assert!(brief.find("failing") < brief.find("waiting: 1"), "the worst first: {brief}");
    assert!(brief.ends_with("explain WORKFLOW says why, and what to do."), "{brief}");
    let sound = overview(&approvals[..1]).text(now());
    let nothing =
        "Nothing is recorded against these. For the installation, run countersign-worker doctor.";
    assert!(sound.ends_with(nothing), "{sound}");
    for private in ["15 laptops", "ann@example.com"] {
        assert!(!brief.contains(private) && full.contains(private), "{brief}\n{full}");
        let row = serde_json::to_string(&Row::new(&approvals[1], now(), false)).expect("JSON");
        assert!(!row.contains(private), "{row}");
    }
}

#[test]
fn a_list_that_is_cut_off_counts_by_the_index() {
    let one = approval("waits", Vec::new());
    let rows = vec![Row::new(&one, now(), false); MAX_ROWS];
    let counts = Counts { waiting: Some(340), overdue: None, ..Counts::default() };
    let text = Overview::new(counts, rows).text(now());
    assert!(text.starts_with("Open approvals: 340 waiting, an unknown number overdue"), "{text}");
    assert!(overview(&[]).text(now()).starts_with("No approval is open.\n"));
}

#[test]
fn what_could_not_be_looked_at_is_counted_with_its_cause() {
    let one = approval("waits", Vec::new());
    let missing = Some(Missing { count: 2, why: "shard status unknown".into() });
    let short = Overview { missing: missing.clone(), ..overview(std::slice::from_ref(&one)) };
    let (text, says) = (short.text(now()), "2 more could not be looked at: shard status unknown");
    assert!(text.starts_with(&format!("Open approvals: 1 waiting.\n{says}.\n")), "{text}");

    let rows = vec![Row::new(&one, now(), false); MAX_ROWS - 2];
    let text = Overview { missing, ..Overview::new(Counts::default(), rows) }.text(now());
    assert!(text.contains("\nThese 98 are the overdue"), "it is cut off: {text}");

    let findings = examine(&broken(|connected| connected.approvals = Ok(short)));
    assert!(as_text(&findings, now()).starts_with("note "), "notes before what is well");
    let noted = |finding: &Finding| finding.level == Level::Note && finding.says == says;
    assert!(findings.iter().any(noted), "{findings:?}");
}

#[test]
fn what_fails_alike_in_one_approval_is_one_line() {
    let again = Activity { attempt: 3, ..activity("announce_decision", MAIL_DOWN) };
    let mails = approval("laptops", vec![activity("announce_decision", MAIL_DOWN), again]);
    let causes = mails.causes(now(), false);
    assert_eq!(causes, [format!("a notice: {MAIL_DOWN} (2 of these, up to 7 failed attempts)")]);
}

#[test]
fn what_was_refused_for_good_says_why_and_since_when_and_names_nobody_in_a_list() {
    let why = "Amazon SNS: bob@example.com has not confirmed a subscription to the topic";
    let since = at("2026-12-01T09:00:05Z");
    let refused = Approval {
        undeliverable: true,
        refused: vec![Activity { since, ..activity("request_approval", why) }],
        ..approval("laptops", Vec::new())
    };
    let listed = overview(std::slice::from_ref(&refused));
    let text = listed.text(now());
    let row = "\n  laptops since 2026-12-01 09:00:05 UTC (2 h 59 min ago)\n    the request: Amazon SNS: somebody has \
               not confirmed a subscription to the topic (refused for good)\n";
    assert!(text.contains("\nundeliverable: 1\n") && text.contains(row), "{text}");

    let mut setup = broken(|connected| {
        let counts = Counts { undeliverable: Some(1), ..Counts::default() };
        connected.approvals = Ok(Overview { counts, ..listed });
    });
    setup.mail = Err("Amazon SNS: the topic has no subscription: nobody was invited to it".into());
    let findings = examine(&setup);
    let wrong = findings.iter().filter(|finding| finding.level == Level::Problem);
    let wrong: Vec<_> = wrong.map(|finding| (finding.check, finding.since)).collect();
    assert_eq!(wrong, [("mail", Some(since)), ("approvals", Some(since))]);

    explains(
        &case(refused, Ok(waits_for_both())),
        &[
            "has not confirmed a subscription to the topic, since 2026-12-01 09:00:05 UTC",
            "countersign-worker subscribe bob@example.com; they confirm",
            "--workflow-id laptops --name reissue",
        ],
    );
}

#[test]
fn whoever_cannot_be_reached_is_invited_and_only_reviewers_are_asked_again_by_one_command() {
    let not_confirmed =
        |who: &str| format!("Amazon SNS: {who} has not confirmed a subscription to the topic");
    let mut state = waits_for_both();
    let ann = &mut state.stages[0].reviewers[0];
    ann.delivery = v1::Delivery::Undeliverable.into();
    ann.delivery_error = not_confirmed("ann@example.com");
    let email = "sue@example.com".to_owned();
    state.announcement_error = not_confirmed(&email);
    state.submission = Some(v1::Submission {
        submitter: Some(v1::Submitter { email, ..Default::default() }),
        ..Default::default()
    });
    let refused = Activity {
        since: at("2026-12-01T09:00:05Z"),
        ..activity("announce_decision", &state.announcement_error)
    };
    let unreached = Approval { refused: vec![refused], ..approval("laptops", Vec::new()) };
    let said = explain(&case(unreached.clone(), Ok(state.clone())), now(), false);
    let steps: Vec<&str> =
        said.to_do.iter().map(|step| step.split("; they").next().unwrap_or_default()).collect();
    let expected = [
        "Subscribe the address: countersign-worker subscribe ann@example.com",
        "Subscribe the address: countersign-worker subscribe bob@example.com",
        "Then ask them again: temporal workflow signal --workflow-id laptops --name reissue",
        "Subscribe the address: countersign-worker subscribe sue@example.com",
    ];
    assert_eq!(steps, expected);
    let sue = said.why.last().expect("the submitter");
    assert!(
        sue.starts_with("the submitter cannot be reached")
            && sue.contains(", since 2026-12-01 09:00:05")
    );

    state.stages[0].reviewers.clear();
    let said = explain(&case(unreached, Ok(state)), now(), false);
    assert_eq!(said.to_do.len(), 1, "nobody is asked again: {said:?}");
}

#[test]
fn failures_of_one_cause_are_counted_together_since_the_first() {
    let first =
        Activity { since: at("2026-12-01T07:00:00Z"), ..activity("request_approval", MAIL_DOWN) };
    let overview = overview(&[
        approval("one", vec![activity("request_approval", MAIL_DOWN)]),
        approval("two", vec![first]),
        approval("three", vec![activity("process_decision", "the webhook answered 503")]),
    ]);
    let setup = broken(|connected| connected.approvals = Ok(overview));
    let findings = examine(&setup);
    let named: Vec<&Finding> =
        findings.iter().filter(|finding| finding.level == Level::Problem).collect();
    assert_eq!(named.len(), 2, "{findings:?}");
    assert!(named[0].says.starts_with(MAIL_DOWN) && named[0].says.contains("(2 times, such as in"));
    assert_eq!(named[0].since, Some(at("2026-12-01T07:00:00Z")));
    assert!(named[1].says.ends_with("(in three)"), "{:?}", named[1]);
    assert!(as_text(&findings, now()).ends_with("\n2 problems: approvals."), "named once");
}

#[test]
fn failures_of_one_expired_certificate_are_one_cause() {
    let expired = |seconds: u32| {
        let why = format!(
            "certificate expired: verification time 1796126400 (UNIX), but certificate is not valid after \
             1796083200 ({seconds} seconds ago)"
        );
        vec![activity("process_decision", &why)]
    };
    let overview = overview(&[approval("one", expired(43_200)), approval("two", expired(43_260))]);
    let setup = broken(|connected| connected.approvals = Ok(overview));
    let says = problem(&setup).says;
    let words = "certificate expired at 2026-12-01 00:00:00 UTC (2 times, such as in one)";
    assert_eq!(says, words);
    let text = as_text(&examine(&setup), now());
    assert!(text.ends_with("\n1 problem: approvals."), "{text}");
}

/// A workflow task that is stuck.
fn task(attempt: u32, failure: Option<Failure>) -> Option<Task> {
    Some(Task { since: at("2026-12-01T11:50:00Z"), attempt, is_running: false, failure })
}

#[test]
fn since_when_a_search_attribute_is_missing_the_first_task_that_fails_says() {
    let failure = |message: &str| {
        Some(Failure { kind: "BAD_SEARCH_ATTRIBUTES".into(), message: message.into() })
    };
    let fails = |id: &str, since: &str| {
        let failure = failure("no mapping for ApprovalUndeliverable of ann@example.com");
        let task = task(7, failure).map(|task| Task { since: at(since), ..task });
        Approval { task, ..approval(id, Vec::new()) }
    };
    let both = [fails("one", "2026-12-01T11:50:00Z"), fails("two", "2026-12-01T11:43:20Z")];
    let listed = overview(&both).text(now());
    let cause = "its workflow task fails (attempt 7): BAD_SEARCH_ATTRIBUTES\n";
    assert!(listed.contains(cause) && !listed.contains("ann@example.com"), "{listed}");
    let setup = broken(|connected| {
        connected.attributes = Ok(vec![("ApprovalUndeliverable".into(), AttributeState::Missing)]);
        connected.approvals = Ok(overview(&both));
    });
    let findings = examine(&setup);
    let wrong = findings.iter().filter(|finding| finding.level == Level::Problem);
    let wrong: Vec<_> = wrong.map(|finding| (finding.check, finding.since)).collect();
    let since = Some(at("2026-12-01T11:43:20Z"));
    assert_eq!(wrong, [("search attributes", since), ("approvals", since)]);
}

/// A state that waits for Ann, whose mail was sent, and Bob, whom none reaches.
fn waits_for_both() -> v1::ApprovalState {
    let reviewer = |reviewer: &str, delivery: v1::Delivery, error: &str| v1::ReviewerState {
        reviewer: reviewer.into(),
        delivery: delivery.into(),
        delivery_error: error.into(),
        ..Default::default()
    };
    let stage = v1::StageState {
        name: "Finance".into(),
        status: v1::Status::Pending.into(),
        quorum: "all".into(),
        opened_at: Some(to_message(at("2026-12-01T09:00:00Z"))),
        deadline: Some(to_message(at("2026-12-04T09:00:00Z"))),
        on_deadline: "reject".into(),
        reviewers: vec![
            reviewer("ann@example.com", v1::Delivery::Sent, ""),
            reviewer(
                "bob@example.com",
                v1::Delivery::Undeliverable,
                "Amazon SNS: bob@example.com has not confirmed a subscription to the topic",
            ),
        ],
        ..Default::default()
    };
    v1::ApprovalState {
        status: v1::Status::Pending.into(),
        stages: vec![stage],
        ..Default::default()
    }
}

fn case(approval: Approval, state: Result<v1::ApprovalState, String>) -> Case {
    Case {
        approval,
        workflow_type: "ApprovalWorkflow".into(),
        parent: None,
        end: None,
        state,
        pollers: vec![poller(&worker("7@a"), "2026-12-01T11:59:30Z")],
    }
}

#[track_caller]
fn explains(case: &Case, words: &[&str]) {
    let text = explain(case, now(), false).text();
    for word in words {
        assert!(text.contains(word), "{word:?} is not said: {text}");
    }
    assert!(!text.contains("15 laptops"), "{text}");
}

#[test]
fn an_approval_that_waits_for_people_says_for_whom_and_why() {
    let waiting = case(approval("laptops", Vec::new()), Ok(waits_for_both()));
    explains(
        &waiting,
        &[
            "PENDING: stage \"Finance\" (1 of 1, quorum all) waits for ann@example.com and bob@example.com since \
         2026-12-01 09:00:00 UTC",
            "deadline is 2026-12-04 09:00:00 UTC (in 2 d 21 h): then it is rejected",
            "- ann@example.com has been sent the request",
            "- bob@example.com cannot be reached: Amazon SNS",
            "countersign-worker subscribe",
            "--name reissue",
        ],
    );
    let mut all_sent = waits_for_both();
    all_sent.stages[0].reviewers.truncate(1);
    let waiting = case(approval("laptops", Vec::new()), Ok(all_sent));
    explains(
        &waiting,
        &[
            "Nothing is recorded against this approval: it waits for people. For the installation, run \
             countersign-worker doctor.",
            "--workflow-id laptops --name remind",
        ],
    );
    assert!(explain(&waiting, now(), true).text().contains("15 laptops"), "with details");
}

#[test]
fn an_approval_that_was_sent_back_waits_for_its_submitter_and_says_so() {
    let vote = v1::Vote {
        reviewer: "bob@example.com".into(),
        decided_at: Some(to_message(at("2026-12-01T10:00:00Z"))),
        ..Default::default()
    };
    let request = v1::ChangeRequest {
        stage: "Finance".into(),
        vote: Some(vote),
        deadline: Some(to_message(at("2026-12-08T10:00:00Z"))),
    };
    let email = "sue@example.com".into();
    let submission = v1::Submission {
        submitter: Some(v1::Submitter { email, ..Default::default() }),
        ..Default::default()
    };
    let state = v1::ApprovalState {
        status: v1::Status::ChangesRequested.into(),
        change_request: Some(request),
        submission: Some(submission),
        ..waits_for_both()
    };
    let sent_back =
        Approval { status: "CHANGES_REQUESTED".into(), ..approval("laptops", Vec::new()) };
    let sent_back = case(sent_back, Ok(state));
    explains(
        &sent_back,
        &[
            "CHANGES_REQUESTED: bob@example.com asked for changes in stage \"Finance\" at 2026-12-01 10:00:00 UTC",
            "waits for the submitter, sue@example.com, to revise or withdraw it until 2026-12-08 10:00:00 UTC",
            "--workflow-id laptops --name revise",
        ],
    );
    let text = explain(&sent_back, now(), false).text();
    assert!(!text.contains("ann@example.com"), "nobody is asked now: {text}");
}

#[test]
fn an_approval_that_nobody_works_on_says_so_and_since_when() {
    let stuck = Approval { task: task(1, None), ..approval("laptops", Vec::new()) };
    let mut gone = case(stuck.clone(), Err("no answer within 5s".into()));
    gone.pollers = vec![poller(&worker("7@a"), "2026-12-01T11:49:00Z")];
    explains(
        &gone,
        &[
            "PENDING, started 2026-12-01 09:00:00 UTC (3 h ago). It asks ann@example.com.",
            "no worker polls the task queue approvals since 2026-12-01 11:49:00 UTC (11 min ago)",
            "Start a worker on it",
        ],
    );
    gone.pollers.clear();
    explains(
        &gone,
        &["no worker polls the task queue approvals since 2026-12-01 11:50:00 UTC (10 min ago)"],
    );
    let press = |name: &str, when: &str| (name.to_owned(), at(when));
    gone.approval.signals =
        vec![press("approve", "2026-12-01T11:50:00Z"), press("remind", "2026-12-01T11:55:00Z")];
    explains(
        &gone,
        &[
            "a decision (signal approve) was recorded at 2026-12-01 11:50:00 UTC (10 min ago), and waits for a worker",
            "the signal remind was recorded at 2026-12-01 11:55:00 UTC (5 min ago), and waits for a worker",
        ],
    );
    gone.approval.task = None;
    gone.state = Ok(waits_for_both());
    let text = explain(&gone, now(), false).text();
    assert!(!text.contains("waits for a worker"), "one has answered since: {text}");
    let late = Approval { deadline: Some(at("2026-12-01T11:00:00Z")), ..stuck.clone() };
    explains(
        &case(late, Err("none".into())),
        &["its deadline was 2026-12-01 11:00:00 UTC (1 h ago)"],
    );
    let mut lacks_key = case(stuck.clone(), Ok(waits_for_both()));
    lacks_key.approval.task.as_mut().expect("a task").is_running = true;
    explains(&lacks_key, &["its workflow task does not end since", "lacks a link key"]);
    let mut limited = case(stuck, Ok(waits_for_both()));
    let failure = Failure {
        kind: "PENDING_ACTIVITIES_LIMIT_EXCEEDED".into(),
        message: "the number of pending activities is too large".into(),
    };
    limited.approval.task = task(9, Some(failure));
    explains(
        &limited,
        &["its workflow task fails (attempt 9)", "limit.numPendingActivities.error"],
    );
}

#[test]
fn who_polls_for_workflows_and_for_activities_is_one_worker() {
    let mut silent = case(approval("laptops", Vec::new()), Err("no answer within 10s".into()));
    silent.pollers.push(poller(&worker("7@a"), "2026-12-01T11:59:50Z"));
    let last = "1 worker polled approvals lately, at last 2026-12-01 11:59:50 UTC (10 s ago), and none answers";
    explains(&silent, &[last]);
}

#[test]
fn what_delivers_notices_says_for_which_approval_and_what_its_mails_need() {
    let mails = Approval {
        kind: Kind::Notices,
        ..approval("laptops-approved-notices-7", vec![activity("announce_decision", MAIL_DOWN)])
    };
    let mut notices = case(mails, Err("it is no approval".into()));
    notices.workflow_type = "ApprovalNotices".into();
    notices.parent = Some("laptops".into());
    let said = explain(&notices, now(), false);
    assert!(said.stands.contains("the notices for which laptops did not wait"), "{said:?}");
    let [why] = &said.why[..] else { panic!("only the mail: {said:?}") };
    assert!(why.contains(MAIL_DOWN), "{why}");
    let [to_do] = &said.to_do[..] else { panic!("only what the mail needs: {said:?}") };
    assert!(to_do.contains("The mail server does not listen there"), "{to_do}");
    notices.approval.activities.clear();
    explains(&notices, &["Nothing: it goes on by itself"]);
}

#[test]
fn what_is_tried_again_is_named_with_its_cause_and_remedy() {
    let mails = approval("laptops", vec![activity("request_approval", MAIL_DOWN)]);
    explains(
        &case(mails, Ok(waits_for_both())),
        &[
            "request_approval to ann@example.com: the mail server: Connection refused (os error 111) (7 failed \
         attempts), since 2026-12-01 09:30:00 UTC (2 h 30 min ago)",
            "The mail server does not listen there",
        ],
    );
    let paused =
        Activity { paused: true, ..activity("process_decision", "the webhook answered 503") };
    let state = v1::ApprovalState {
        status: v1::Status::Approved.into(),
        decided_at: Some(to_message(at("2026-12-01T09:29:00Z"))),
        reason: "Approved by ann@example.com.".into(),
        handing_on: "Decided. Waiting for the webhook to accept the outcome.".into(),
        ..Default::default()
    };
    explains(
        &case(approval("laptops", vec![paused]), Ok(state)),
        &[
            "APPROVED at 2026-12-01 09:29:00 UTC (2 h 31 min ago): Approved by ann@example.com. Decided. Waiting for \
         the webhook",
            "somebody has paused it",
            "temporal activity unpause --workflow-id laptops --activity-id 3",
        ],
    );
}

#[test]
fn how_an_approval_ended_is_said_with_why() {
    let ended = |how, kind: &str, message: &str| {
        let failure =
            (!kind.is_empty()).then(|| Failure { kind: kind.into(), message: message.into() });
        let end = End { how, at: Some(at("2026-12-01T11:00:00Z")), failure };
        Case { end: Some(end), ..case(approval("laptops", Vec::new()), Err("closed".into())) }
    };
    let invalid = ended(
        How::Failed,
        "InvalidSubmission",
        "the submission cannot be used: $.document is required",
    );
    explains(
        &invalid,
        &["its submission is invalid", "$.document is required", "Correct the submission"],
    );
    let terminated = ended(How::Terminated, "", "");
    explains(&terminated, &["Somebody terminated it", "(1 h ago)", "temporal workflow reset"]);
    let cron = ended(How::Failed, "InvalidStart", "an approval runs once");
    explains(&cron, &["It cannot run as it was started", "an approval runs once"]);
    let text = not_found("laptops", "default", Some(SignedDuration::from_hours(24)));
    assert!(text.contains("no workflow \"laptops\"") && text.contains("for 1 d"), "{text}");
}

#[test]
fn nothing_that_others_have_named_controls_a_terminal() {
    let named = |name: &str| format!("{name}\u{1b}[2J");
    let approval =
        Approval { reviewers: vec![named("ann")], ..approval(&named("laptops"), Vec::new()) };
    let end = Some(End { how: How::Terminated, at: None, failure: None });
    let setup = broken(|connected| {
        let last_seen = at("2026-12-01T11:59:30Z");
        let poller = Poller { identity: named("worker"), last_seen };
        connected.queues = vec![queue(&named("approvals"), vec![poller])];
        connected.approvals = Ok(overview(std::slice::from_ref(&approval)));
    });
    for text in [
        as_text(&examine(&setup), now()),
        overview(std::slice::from_ref(&approval)).text(now()),
        explain(&case(approval.clone(), Err(named("no answer"))), now(), true).text(),
        explain(&Case { end, ..case(approval, Err(String::new())) }, now(), true).text(),
    ] {
        assert!(text.contains("[2J") && !text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_time_about_now_is_just_now_and_a_worker_says_its_last_poll() {
    for (text, says) in [
        ("2026-12-01T12:00:00.9Z", "just now"),
        ("2026-12-01T11:59:59Z", "just now"),
        ("2026-12-01T11:59:50Z", "10 s ago"),
        ("2026-12-01T12:00:10Z", "in 10 s"),
    ] {
        assert_eq!(away(at(text), now()), says, "{text}");
    }
    let setup = broken(|connected| {
        let one = worker("7@a");
        let seen = ["2026-12-01T11:59:20Z", "2026-12-01T11:59:40Z"];
        connected.queues = vec![queue("approvals", seen.map(|seen| poller(&one, seen)).into())];
    });
    let text = as_text(&examine(&setup), now());
    assert!(text.contains("1 worker on approvals: 7@a (last poll 20 s ago)\n"), "{text}");
}

#[test]
fn spans_have_two_units_at_most() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (90_061, "1 d 1 h"),
        (86_460, "1 d"),
    ] {
        assert_eq!(span(SignedDuration::from_secs(seconds)), text);
    }
}
