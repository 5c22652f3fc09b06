use countersign_protos::{LinkKeys, digest};
use serde_json::json;
use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    history::v1::{
        WorkflowExecutionSignaledEventAttributes, WorkflowExecutionStartedEventAttributes,
    },
};

use super::*;

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn event(attributes: Attributes) -> HistoryEvent {
    HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
}

fn submission() -> Value {
    json!({"submissionId": "PO-1", "document": {"title": "Laptops"}})
}

/// Cy's, who was asked second in the second stage, for Ann and instead of Bob.
fn link() -> GenuineLink {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let digest = digest(&submission());
    keys.first().link(LinkContext {
        stage: 1,
        round: 1,
        on_behalf_of: "ann@example.com",
        instead_of: "bob@example.com",
        ..LinkContext::new(CHAIN, &digest, "cy@example.com")
    })
}

fn seat() -> Value {
    json!({
        "stage": 1, "round": 1, "reviewer": "cy@example.com", "onBehalfOf": "ann@example.com",
        "insteadOf": "bob@example.com", "link": link().hash().as_str(), "key": "",
    })
}

fn one(data: Value) -> Payloads {
    let data = data.to_string().into_bytes();
    Payloads { payloads: vec![Payload { data, ..Payload::default() }] }
}

fn marker(name: &str, activity_type: &str, result: Value) -> HistoryEvent {
    let data = json!({"seq": 1, "attempt": 1, "activity_type": activity_type});
    let details = [("data", one(data)), ("result", one(result))];
    let attributes = MarkerRecordedEventAttributes {
        marker_name: name.to_owned(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Default::default()
    };
    event(Attributes::MarkerRecordedEventAttributes(attributes))
}

fn begins(first_run_id: &str, input: Value) -> HistoryEvent {
    event(Attributes::WorkflowExecutionStartedEventAttributes(
        WorkflowExecutionStartedEventAttributes {
            input: Some(one(input)),
            first_execution_run_id: first_run_id.to_owned(),
            ..Default::default()
        },
    ))
}

#[test]
fn what_a_newer_version_has_issued_is_neither_proven_nor_gone() {
    let plan = |digest: &str| {
        let json = json!({"digest": digest, "submission": submission()}).to_string();
        marker(
            LOCAL_ACTIVITY_MARKER_NAME,
            names::ACTIVITY_VALIDATE,
            json!({"plan": {"json": json}}),
        )
    };
    let issue = |seat: Value| {
        marker(LOCAL_ACTIVITY_MARKER_NAME, names::ACTIVITY_ISSUE_LINKS, json!({"invited": [seat]}))
    };
    let newer = |digest: &str, seat: Value| {
        let link = link();
        let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
        let events = [begins(CHAIN.first_run_id, submission()), plan(digest), issue(seat)];
        let issued = events.iter().find_map(|event| reader.read(event)).is_some();
        (issued, reader.newer)
    };
    assert_eq!(newer("v2:0", seat()), (false, Some("v2:0".to_owned())));
    assert_eq!(newer("v1:0", seat()), (true, None), "its own digest is not believed");
    assert_eq!(newer("v2:0", json!({"link": "0"})), (false, None), "another link");
}

#[test]
fn what_the_plan_says_of_its_rule_is_read_with_the_link() {
    let read = |plan: &Value, is_sealed: bool| {
        let link = link();
        let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
        let (json, digest) = (plan.to_string(), plan["digest"].as_str().unwrap_or_default());
        let sealed = if is_sealed { json.as_bytes() } else { b"another plan" };
        let seal = link.key().seal(Sealing::Plan, CHAIN, digest, sealed);
        let plan = json!({"plan": {"json": json, "seal": seal}});
        let issued = json!({"invited": [seat()]});
        let local = LOCAL_ACTIVITY_MARKER_NAME;
        let events = [
            begins(CHAIN.first_run_id, submission()),
            marker(local, names::ACTIVITY_VALIDATE, plan),
            marker(local, names::ACTIVITY_ISSUE_LINKS, issued),
        ];
        let issued = events.iter().find_map(|event| reader.read(event)).expect("proven");
        assert_eq!((issued.stage, issued.seat.round), (1, 1));
        let ReviewerState { reviewer, on_behalf_of, instead_of, .. } = &issued.seat;
        let people = [reviewer, on_behalf_of, instead_of].map(|who| who.split('@').next());
        assert_eq!(people, [Some("cy"), Some("ann"), Some("bob")], "who decides as whom");
        let Planned { rule, confirm, comment_required, time_zone, stage, .. } = issued.planned;
        (rule, confirm, comment_required, time_zone, stage)
    };
    let none = || (String::new(), false, vec![], String::new(), String::new());
    let ruled = json!({
        "submission": submission(), "digest": digest(&submission()), "rule": "Hardware",
        "confirm": true, "time_zone": "Europe/Berlin",
        "restrictions": {"commentRequired": ["Reject", "Postpone"]},
        "stages": [{"name": "Managers"}, {"name": "Finance"}],
    });
    let texts = |text: &str| text.to_owned();
    let (rule, stage) = (texts("Hardware"), texts("Finance"));
    let berlin = texts("Europe/Berlin");
    assert_eq!(read(&ruled, true), (rule, true, vec![Verdict::Reject], berlin, stage));
    let plain = json!({"submission": submission()});
    assert_eq!(read(&plain, true), none());
    for plan in [&ruled, &plain] {
        let (rule, confirm, required, zone, stage) = read(plan, false);
        assert!(confirm, "it might have to be");
        assert_eq!((rule, false, required, zone, stage), none(), "no seal proves it");
    }
}

/// The title that these events prove the link to be for.
fn proven(events: &[HistoryEvent]) -> Option<String> {
    let link = link();
    let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
    let issued = events.iter().find_map(|event| reader.read(event))?;
    assert_eq!(issued.first_run_id, CHAIN.first_run_id);
    Some(issued.submission.document.unwrap_or_default().title)
}

#[test]
fn a_link_is_that_of_the_run_that_issued_it_and_of_those_that_continue_it() {
    const LOCAL: &str = LOCAL_ACTIVITY_MARKER_NAME;
    let plan = |submission: Value| json!({"plan": {"json": json!({"submission": submission}).to_string()}});
    let planned = |submission: Value| marker(LOCAL, names::ACTIVITY_VALIDATE, plan(submission));
    let issue = |seat: Value| {
        let result = json!({"invited": [{"link": "0"}, seat], "due": null});
        marker(LOCAL, names::ACTIVITY_ISSUE_LINKS, result)
    };
    let first = || begins(CHAIN.first_run_id, submission());
    let laptops = Some("Laptops".to_owned());
    assert_eq!(proven(&[first(), planned(submission()), issue(seat())]), laptops);

    let journal = json!([{"asked": {"invited": [seat()]}}]);
    let evidence = json!({"plan": {"json": json!({"submission": submission()}).to_string()}, "journal": journal});
    let continued = json!({"case": {"open": {"evidence": evidence}}});
    assert_eq!(proven(&[begins(CHAIN.first_run_id, continued.clone())]), laptops);

    let coffee = json!({"submissionId": "PO-1", "document": {"title": "Coffee"}});
    let changed = |field: &str, value: Value| {
        let mut seat = seat();
        seat[field] = value;
        vec![first(), planned(submission()), issue(seat)]
    };
    let signal =
        WorkflowExecutionSignaledEventAttributes { input: Some(one(seat())), ..Default::default() };
    for forged in [
        vec![begins("other", continued)],
        vec![begins("other", submission()), planned(submission()), issue(seat())],
        vec![first(), planned(coffee), issue(seat())],
        vec![first(), issue(seat())],
        vec![first(), planned(submission()), marker("Version", "issue_links", seat())],
        vec![first(), planned(submission()), marker(LOCAL, "conclude", seat())],
        vec![first(), event(Attributes::WorkflowExecutionSignaledEventAttributes(signal))],
        changed("stage", json!(0)),
        changed("round", json!(0)),
        changed("reviewer", json!("eve@example.com")),
        changed("insteadOf", json!(null)),
        changed("link", json!("0")),
    ] {
        assert_eq!(proven(&forged), None, "{forged:?}");
    }
}

/// A Temporal in which decoys claim a link, more than a page of them, and its issuer last.
mod among_decoys {
    use std::{
        future::ready,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use countersign_connection::testing::fake_temporal;
    use prost::Message;
    use temporalio_client::{ClientOptions, callback_based::GrpcRequest, tonic::Status};
    use temporalio_common::protos::temporal::api::{
        common::v1::{SearchAttributes, WorkflowExecution},
        history::v1::History,
        workflow::v1::WorkflowExecutionInfo,
        workflowservice::v1::{
            GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryResponse,
            ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse,
        },
    };

    use super::*;

    #[derive(Default)]
    struct Server {
        /// On each page; the issuer's is behind them.
        decoys: Vec<usize>,
        is_issued: bool,
        asked: AtomicUsize,
        histories: AtomicUsize,
    }

    impl Server {
        fn answer(&self, request: &GrpcRequest) -> Result<Vec<u8>, Status> {
            match request.rpc.as_str() {
                "GetSystemInfo" | "DescribeNamespace" => Ok(Vec::new()),
                "ListWorkflowExecutions" => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    let asked = ListWorkflowExecutionsRequest::decode(request.proto.clone());
                    Ok(self.list(asked.expect("a request").next_page_token).encode_to_vec())
                }
                "GetWorkflowExecutionHistory" => {
                    self.histories.fetch_add(1, Ordering::Relaxed);
                    let asked = GetWorkflowExecutionHistoryRequest::decode(request.proto.clone());
                    let run = asked.expect("a request").execution.unwrap_or_default().run_id;
                    Ok(history(&run).encode_to_vec())
                }
                other => Err(Status::unimplemented(other)),
            }
        }

        fn list(&self, token: Vec<u8>) -> ListWorkflowExecutionsResponse {
            let number = token.first().map_or(0, |number| usize::from(*number));
            let is_last = number + 1 == self.decoys.len();
            let decoys = (0..self.decoys[number]).map(|i| info(&format!("decoy-{number}-{i}")));
            let issuer = (is_last && self.is_issued).then(|| info(CHAIN.first_run_id));
            ListWorkflowExecutionsResponse {
                executions: decoys.chain(issuer).collect(),
                next_page_token: if is_last { Vec::new() } else { vec![number as u8 + 1] },
            }
        }
    }

    fn info(run: &str) -> WorkflowExecutionInfo {
        let workflow_id = if run == CHAIN.first_run_id { CHAIN.workflow_id } else { run };
        let links = json!([link().hash().as_str()]).to_string().into_bytes();
        let links = Payload { data: links, ..Payload::default() };
        WorkflowExecutionInfo {
            execution: Some(WorkflowExecution {
                workflow_id: workflow_id.into(),
                run_id: run.into(),
            }),
            search_attributes: Some(SearchAttributes {
                indexed_fields: [(names::ATTRIBUTE_LINKS.to_owned(), links)].into(),
            }),
            ..WorkflowExecutionInfo::default()
        }
    }

    /// A decoy has the issuer's markers, too: what it cannot have is its chain.
    fn history(run: &str) -> GetWorkflowExecutionHistoryResponse {
        let plan = json!({"plan": {"json": json!({"submission": submission()}).to_string()}});
        let issued = json!({"invited": [seat()]});
        let local = LOCAL_ACTIVITY_MARKER_NAME;
        let events = vec![
            begins(run, submission()),
            marker(local, names::ACTIVITY_VALIDATE, plan),
            marker(local, names::ACTIVITY_ISSUE_LINKS, issued),
        ];
        GetWorkflowExecutionHistoryResponse {
            history: Some(History { events }),
            ..GetWorkflowExecutionHistoryResponse::default()
        }
    }

    /// Where the link is found, how often the index was asked, and how many histories were read.
    async fn look(server: Server) -> (Result<String, LookupError>, usize, usize) {
        let server = Arc::new(server);
        let answering = server.clone();
        let connection = fake_temporal(move |request| ready(answering.answer(&request)));
        let temporal = Temporal::connect(connection, ClientOptions::new("default").build());
        let temporal = Arc::new(temporal);
        while temporal.client().is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        let lookup = Lookup::new(Index::new(temporal.clone()));
        let mut found = lookup.locate(&temporal, &link()).await;
        for _ in 0..3 {
            // Again from the cache, missing or not.
            found = lookup.locate(&temporal, &link()).await;
        }
        let run = found.map(|run| run.run_id.to_string());
        (run, server.asked.load(Ordering::Relaxed), server.histories.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_decoys_beside_a_link_cost_no_second_request() {
        let server = Server { decoys: vec![20], is_issued: true, ..Server::default() };
        let (run, asked, _) = look(server).await;
        assert_eq!((run.as_deref(), asked), (Ok(CHAIN.first_run_id), 1));
        let server = Server { decoys: vec![0], is_issued: true, ..Server::default() };
        let (run, asked, histories) = look(server).await;
        assert_eq!((run.as_deref(), asked, histories), (Ok(CHAIN.first_run_id), 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_index_is_paged_on_until_a_claim_fits() {
        let server = Server { decoys: vec![30, 20, 10], is_issued: true, ..Server::default() };
        let (run, asked, histories) = look(server).await;
        assert_eq!(run.as_deref(), Ok(CHAIN.first_run_id));
        assert!(asked <= 4, "the first page, and then each of the three: {asked}");
        assert!(histories <= 30 + 20 + 10 + 2, "no decoy is read twice: {histories}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_is_missing_is_not_looked_up_again_at_once() {
        let server = Server { decoys: vec![3], ..Server::default() };
        let (run, asked, histories) = look(server).await;
        // So soon after its start the process does not trust the index.
        assert_eq!(run, Err(LookupError::Unavailable));
        assert!((2..=5).contains(&asked), "within its patience, and not again: {asked}");
        assert_eq!(histories, 3, "a run that did not issue it never does");
    }
}
