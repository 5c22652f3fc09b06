//! What an operator's tools say of set-ups that are broken: what is wrong, since when, and what to do.

use std::fs;

use countersign_e2e::{
    MailServer, Process, SelfSigned, Stack, StackBuilder, Temporal, eventually, faketime,
    free_port, link_key, list, submission, text,
};
use serde_json::{Value, json};

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

/// What `doctor` has found.
struct Findings(Vec<Value>);

impl Findings {
    fn of(printed: &str) -> Findings {
        let found: Value =
            serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        Findings(list(&found["findings"]).cloned().collect())
    }

    async fn on(stack: &Stack) -> Findings {
        Findings::of(&stack.tool(&["doctor", "--json"]).await.1)
    }

    async fn with(builder: &StackBuilder) -> Findings {
        Findings::of(&builder.tool(&["doctor", "--json"]).await.1)
    }

    fn all(&self, check: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |finding| finding["check"] == check)
    }

    /// That a check has found a problem whose words and remedy have these in them.
    #[track_caller]
    fn problem(&self, check: &str, says: &str, to_do: &str) -> &Value {
        let is_it = |finding: &&Value| {
            finding["level"] == "problem"
                && text(&finding["says"]).contains(says)
                && text(&finding["remedy"]).contains(to_do)
        };
        let found = self.all(check).find(is_it);
        found.unwrap_or_else(|| panic!("{check}: no {says:?} with {to_do:?} in {:#?}", self.0))
    }

    /// That a check has found nothing wrong.
    #[track_caller]
    fn good(&self, check: &str) {
        let found: Vec<&Value> = self.all(check).collect();
        let good = !found.is_empty() && found.iter().all(|finding| finding["level"] == "good");
        assert!(good, "{check}: {found:#?}");
    }
}

/// Mail server and webhook are down, and then the worker is gone.
#[tokio::test]
async fn what_is_down_is_named_with_its_cause_since_when_and_what_to_do() {
    let mut stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", format!("smtp://127.0.0.1:{}", free_port()))
        .with("COUNTERSIGN_WEBHOOK_URL", format!("http://127.0.0.1:{}/hook", free_port()))
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let mailed = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let decided = stack.submit(&submission::expense(&["bob@example.com"])).await;
    mailed.pending_failure("onnect").await;
    decided.pending_failure("onnect").await;
    decided.signal("approve", &json!({"reviewer": "bob@example.com"})).await;
    decided.pending_failure("the webhook cannot be reached").await;

    let (exit, printed) = stack.tool(&["doctor", "--json"]).await;
    assert_eq!(exit.code, 1, "{printed}");
    let found = Findings::of(&printed);
    let mail = found.problem("mail", "onnection refused", "COUNTERSIGN_NOTIFY");
    let place = |setting: &str| {
        let address = stack.setting(setting).split_once("//").expect("a URL").1;
        address.split('/').next().expect("host and port").to_owned()
    };
    found.problem("mail", &place("COUNTERSIGN_NOTIFY"), "");
    found.problem("webhook", &place("COUNTERSIGN_WEBHOOK_URL"), "");
    assert!(mail["since"].is_string(), "since the first mail: {mail}");
    let webhook = found.problem("webhook", "onnection refused", "COUNTERSIGN_WEBHOOK_URL");
    assert!(webhook["since"].is_string(), "since the first outcome: {webhook}");
    for check in ["temporal", "search attributes", "permissions", "store", "clock", "keys", "rules"]
    {
        found.good(check);
    }
    found.good("workers");
    found.good("signaler");

    let listed = eventually("the index to know both", async || {
        let (exit, printed) = stack.tool(&["list", "--json"]).await;
        assert_eq!(exit.code, 0, "{printed}");
        let listed: Value = serde_json::from_str(&printed).expect("JSON");
        (listed["counts"]["decided"] == 1 && list(&listed["rows"]).count() == 2).then_some(listed)
    })
    .await;
    let row = |id: &str| list(&listed["rows"]).find(|row| row["workflowId"] == id).expect("a row");
    let (failing, pending) = (row(&mailed.id), row(&decided.id));
    assert_eq!(failing["state"], "failing");
    // The mail about the outcome fails, too, as soon as it is tried.
    let state = text(&pending["state"]);
    assert!(["webhook_pending", "failing"].contains(&&*state), "{listed}");
    let causes: String = list(&pending["causes"]).map(text).collect();
    assert!(causes.contains("the webhook cannot be reached"), "{causes}");
    let cause = text(&failing["causes"][0]);
    assert!(cause.contains("onnection refused"), "{cause}");
    assert!(failing["since"].is_string() && pending["since"].is_string(), "{listed}");
    let (_, brief) = stack.tool(&["list"]).await;
    assert!(
        brief.contains("failing: ") && brief.contains("the webhook cannot be reached"),
        "{brief}"
    );
    let private = ["Train to the fair", "ann@example.com"];
    assert!(!private.iter().any(|word| brief.contains(word)), "{brief}");
    let (_, details) = stack.tool(&["list", "--details"]).await;
    assert!(private.iter().all(|word| details.contains(word)), "{details}");

    let explained = async |id: &str| stack.tool(&["explain", id]).await.1;
    let mails = explained(&mailed.id).await;
    for words in
        ["PENDING: stage \"Review\"", "ann@example.com", "onnection refused", " ago)", "To do:"]
    {
        assert!(mails.contains(words), "{words}: {mails}");
    }
    let outcome = explained(&decided.id).await;
    for words in
        ["APPROVED at", "Waiting for the webhook", "the webhook cannot be reached", "To do:"]
    {
        assert!(outcome.contains(words), "{words}: {outcome}");
    }
    let (exit, nobody) = stack.tool(&["explain", "nobody"]).await;
    assert!(exit.code == 1 && nobody.contains("has no workflow \"nobody\""), "{nobody}");

    stack.stop_worker().await;
    // The server shows a worker for as long as a poll can take, but nobody answers for it.
    let found = Findings::on(&stack).await;
    found.problem("workers", "nobody has answered a query of ", "Start countersign-worker");
    let gone = stack.tool(&["explain", &mailed.id]).await.1;
    let why = ["no worker polls the task queue", "and none answers"];
    assert!(
        gone.contains("PENDING, started") && why.iter().any(|why| gone.contains(why)),
        "{gone}"
    );
}

/// Temporal's store is full.
#[tokio::test]
async fn a_store_that_is_full_is_named_and_what_was_pressed_goes_through_when_there_is_room() {
    let temporal = Temporal::start().await;
    let stack = Stack::beside(temporal.clone()).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    temporal.kill().await;
    temporal.restart_full().await;
    let filler = json!("There is room for a few. ".repeat(4_000)).to_string();
    let mut number = 0;
    loop {
        let (id, input) = (format!("filler-{number}"), ["--input", &filler]);
        if temporal.try_start_workflow("nobody", &id, &input).await.is_err() {
            break;
        }
        number += 1;
        assert!(number < 100, "there is room for more than a few");
    }

    let found = Findings::on(&stack).await;
    found.problem("store", "Temporal reads and does not write", "disk is full");
    found.problem("store", "", "nothing is lost");
    found.good("workers");
    // There may be room for so little.
    let pressed = stack.press(&link, "approve", "").await;
    assert!([202, 503].contains(&pressed.status), "{} {}", pressed.status, pressed.text());
    let recorded = workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED");
    assert_eq!(recorded, usize::from(pressed.status == 202), "what the page says is so");

    temporal.kill().await;
    temporal.restart().await;
    stack.until_ready().await;
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    Findings::on(&stack).await.good("store");
}

const RULES: &str = r#"
[default]
stages = [{ name = "Review", reviewers = ["ann@example.com"] }]
"#;

#[tokio::test]
async fn what_workers_and_the_signaler_have_differently_is_named() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(RULES).start().await;
    stack.submit(&submission::routed("5.00")).await;
    stack.mail_to("ann@example.com").await;
    let sound = Findings::on(&stack).await;
    sound.good("keys");
    sound.good("rules");

    let rules = fs::read_to_string(stack.setting("COUNTERSIGN_POLICY")).expect("the rules");
    let other = Stack::beside(stack.temporal.clone())
        .with_rules(&rules.replace("ann@", "bob@"))
        .with("COUNTERSIGN_TASK_QUEUE", stack.queue.clone())
        .with("COUNTERSIGN_LINK_KEYS", link_key())
        .with("COUNTERSIGN_PUBLIC_URL", stack.setting("COUNTERSIGN_PUBLIC_URL"));
    let second = Process::start("worker-2", stack.dir(), &other.command("worker"));
    let found = eventually("the second worker to poll", async || {
        let found = Findings::on(&stack).await;
        let differ = found.all("keys").any(|finding| finding["level"] == "problem");
        differ.then_some(found)
    })
    .await;
    let keys = found.problem("keys", "the worker ", "same COUNTERSIGN_LINK_KEYS");
    assert!(text(&keys["says"]).contains(" signs with ") && keys["since"].is_string(), "{keys}");
    let rules = found.problem("rules", "these settings route by", "same file");
    assert!(text(&rules["says"]).contains(&format!("{}@", second.pid())), "{rules}");
    assert!(rules["since"].is_string(), "{rules}");
    let from_there = Findings::with(&other).await;
    let signaler = format!("the signaler at {}", stack.setting("COUNTERSIGN_PUBLIC_URL"));
    from_there.problem("keys", &signaler, "docs/OPERATE.md");
    second.terminate().await;

    // The first worker reads the second one's rules by itself, and says so with its next poll.
    let same = Stack::beside(stack.temporal.clone())
        .with("COUNTERSIGN_POLICY", other.setting("COUNTERSIGN_POLICY"))
        .without("COUNTERSIGN_REVIEWERS")
        .with("COUNTERSIGN_TASK_QUEUE", stack.queue.clone())
        .with("COUNTERSIGN_LINK_KEYS", stack.setting("COUNTERSIGN_LINK_KEYS"))
        .with("COUNTERSIGN_PUBLIC_URL", stack.setting("COUNTERSIGN_PUBLIC_URL"));
    let first = format!("{}@", stack.worker().pid());
    Findings::with(&same).await.problem("rules", &first, "same file");
    fs::copy(other.setting("COUNTERSIGN_POLICY"), stack.setting("COUNTERSIGN_POLICY"))
        .expect("written");
    eventually("the worker to say what it has read", async || {
        stack.submit(&submission::routed("5.00")).await;
        let found = Findings::with(&same).await;
        let differs = found.all("rules").any(|finding| text(&finding["says"]).contains(&first));
        (!differs).then_some(())
    })
    .await;
}

/// A wrong password and an expired certificate; a namespace without our search attributes; a clock that is off.
#[tokio::test]
async fn what_no_worker_would_start_with_is_named_before_it_does() {
    let temporal = Temporal::shared().await;
    let builder = Stack::beside(temporal.clone());
    let (mail, receiver) =
        (MailServer::start(builder.dir()).await, SelfSigned::start_expired(builder.dir()).await);
    let builder = builder
        .with("COUNTERSIGN_NOTIFY", mail.url().replace("//", "//approvals:wrong@"))
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .with("SSL_CERT_FILE", receiver.pem().to_str().expect("a UTF-8 path"));
    let found = Findings::with(&builder).await;
    let mail = found.problem("mail", "with 535", "user and password");
    assert!(!mail.to_string().contains("wrong@"), "no password is shown: {mail}");
    let webhook = found.problem("webhook", "certificate expired", "renewed");
    assert!(webhook["since"].is_string(), "since it expired: {webhook}");
    found.problem("workers", "nobody polls", "Start countersign-worker");

    let namespace = format!("bare-{}", uuid::Uuid::new_v4().simple());
    temporal.must(["operator", "namespace", "create", "--namespace", &namespace]).await;
    let mut builder = Stack::beside(temporal.clone()).with("TEMPORAL_NAMESPACE", namespace.clone());
    let clock = faketime();
    if let Some(library) = &clock {
        builder = builder
            .with("LD_PRELOAD", library.to_str().expect("a UTF-8 path"))
            .with("FAKETIME", "+10m")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    // Temporal itself knows a new namespace only after a while.
    let found = eventually("the namespace to be known", async || {
        let found = Findings::with(&builder).await;
        let known = found.all("search attributes").any(|finding| finding["level"] == "problem");
        known.then_some(found)
    })
    .await;
    let attributes = format!(
        "temporal operator search-attribute create --namespace {namespace} --name Approval"
    );
    found.problem("search attributes", "lacks", &attributes);
    match clock {
        Some(_) => drop(found.problem("clock", " ahead of Temporal's", "NTP")),
        None => eprintln!("not tried: no clock can be set forward here (Debian: faketime)"),
    }
}

#[tokio::test]
async fn a_temporal_that_cannot_be_reached_is_named_with_its_address() {
    let address = format!("127.0.0.1:{}", free_port());
    let builder = Stack::beside(Temporal::shared().await).with("TEMPORAL_ADDRESS", &address);
    let found = Findings::with(&builder).await;
    found.problem("temporal", &address, "TEMPORAL_ADDRESS");
    found.good("mail");
    let (exit, printed) = builder.tool(&["list"]).await;
    assert!(exit.code == 2 && printed.contains(&address), "{printed}");
}
