use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use countersign_connection::testing::fake_temporal;
use prost::Message;
use temporalio_client::{ClientOptions, callback_based::GrpcRequest};
use temporalio_common::protos::temporal::api::workflowservice::v1::CountWorkflowExecutionsResponse;

use super::*;
use crate::temporal::connect;

/// A server that records its calls.
struct Server {
    /// What is registered.
    known: HashMap<String, i32>,
    /// How the operator service denies access, if it does.
    denies: Option<Code>,
    /// For which types there is no room.
    full: Vec<IndexedValueType>,
    may_search: bool,
    /// How many queries it rejects before it accepts them.
    late: usize,
    asked: Vec<String>,
}

impl Server {
    /// Which has none of ours, and serves everybody.
    fn new() -> Self {
        Server {
            known: HashMap::new(),
            denies: None,
            full: Vec::new(),
            may_search: true,
            late: 0,
            asked: Vec::new(),
        }
    }

    fn with(attributes: &[Attribute]) -> Self {
        let known = attributes.iter().map(|(name, kind)| ((*name).into(), (*kind).into()));
        Server { known: known.collect(), ..Server::new() }
    }

    fn answer(&mut self, request: &GrpcRequest) -> Result<Vec<u8>, Status> {
        self.asked.push(request.rpc.clone());
        match (&*request.rpc, self.denies) {
            ("GetSystemInfo", _) => Ok(Vec::new()),
            ("ListSearchAttributes", None) => {
                let custom_attributes = self.known.clone();
                let known =
                    ListSearchAttributesResponse { custom_attributes, ..Default::default() };
                Ok(known.encode_to_vec())
            }
            ("AddSearchAttributes", None) => {
                let asked = AddSearchAttributesRequest::decode(request.proto.clone());
                let new = asked.expect("a request").search_attributes;
                let full =
                    self.full.iter().find(|full| new.values().any(|kind| **full as i32 == *kind));
                if let Some(full) = full {
                    return Err(Status::invalid_argument(format!(
                        "cannot have more than 3 search attribute of type {full:?}."
                    )));
                }
                self.known.extend(new);
                Ok(Vec::new())
            }
            ("CountWorkflowExecutions", _) if self.may_search => {
                let asked = CountWorkflowExecutionsRequest::decode(request.proto.clone());
                let query = asked.expect("a request").query;
                let has_all = ATTRIBUTES.iter().all(|(name, _)| query.contains(name));
                assert!(has_all, "{query}");
                let are_there = ATTRIBUTES.iter().all(|(name, _)| self.known.contains_key(*name));
                if are_there && self.late == 0 {
                    return Ok(CountWorkflowExecutionsResponse::default().encode_to_vec());
                }
                self.late = self.late.saturating_sub(1);
                Err(Status::invalid_argument("column name 'ApprovalLinks' is not defined"))
            }
            (_, denies) => {
                let code = denies.unwrap_or(Code::PermissionDenied);
                Err(Status::new(code, "Request unauthorized."))
            }
        }
    }

    fn times(&self, rpc: &str) -> usize {
        self.asked.iter().filter(|asked| *asked == rpc).count()
    }
}

async fn register(server: Server) -> (anyhow::Result<()>, Arc<Mutex<Server>>) {
    let server = Arc::new(Mutex::new(server));
    let asked = server.clone();
    let options =
        fake_temporal(move |request| ready(asked.lock().expect("not poisoned").answer(&request)));
    let client = connect((options, ClientOptions::new("default").build()).into()).await;
    (register_search_attributes(&client.expect("a client")).await, server)
}

async fn failure(server: Server) -> String {
    register(server).await.0.expect_err("it cannot start").to_string()
}

#[tokio::test(start_paused = true)]
async fn startup_waits_until_the_server_accepts_the_attributes() {
    for known in [&[][..], &ATTRIBUTES] {
        let (done, server) = register(Server { late: 30, ..Server::with(known) }).await;
        assert!(done.is_ok(), "{done:?}");
        let server = server.lock().expect("not poisoned");
        assert_eq!(server.times("AddSearchAttributes"), usize::from(known.is_empty()));
        assert_eq!(server.times("CountWorkflowExecutions"), 31);
    }
}

/// First workflow tasks fail on a server that accepts attributes later than the one that is asked.
#[tokio::test(start_paused = true)]
async fn the_rest_of_the_cluster_has_time_for_new_attributes_and_old_ones_cost_none() {
    for (late, known) in [(0, &ATTRIBUTES[..]), (0, &[]), (1, &[]), (1, &ATTRIBUTES[..4])] {
        let began = Instant::now();
        let (done, _) = register(Server { late, ..Server::with(known) }).await;
        assert!(done.is_ok(), "{done:?}");
        let right = if late == 0 { Duration::ZERO } else { POLL_EVERY + REST_OF_CLUSTER };
        assert_eq!(began.elapsed(), right, "{known:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_registered_by_others_are_found_without_operator_permission() {
    for code in [Code::PermissionDenied, Code::Unimplemented, Code::Unauthenticated] {
        let denied = |server| Server { denies: Some(code), ..server };
        let (done, _) = register(denied(Server { late: 9, ..Server::with(&ATTRIBUTES) })).await;
        assert!(done.is_ok(), "{done:?}");
        let (done, server) = register(denied(Server::with(&ATTRIBUTES[..4]))).await;
        let said = done.expect_err("one is not there").to_string();
        assert!(said.contains("temporal operator search-attribute create"), "{said}");
        assert!(said.contains("--name ApprovalDeadline --type Datetime"), "{said}");
        assert!(said.contains("Request unauthorized."), "{said}");
        let asked = server.lock().expect("not poisoned").times("CountWorkflowExecutions");
        assert_eq!(asked, 41, "for ten seconds");
    }
}

/// As proxies answer that know only some calls.
#[tokio::test(start_paused = true)]
async fn an_operator_service_that_only_seems_away_keeps_nobody_from_starting() {
    for code in [Code::Unavailable, Code::Unknown, Code::Internal] {
        let server = Server { denies: Some(code), ..Server::with(&ATTRIBUTES) };
        let (done, server) = register(server).await;
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(server.lock().expect("not poisoned").times("ListSearchAttributes"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_search_permission_starts_if_it_can_register() {
    let (done, _) = register(Server { may_search: false, ..Server::new() }).await;
    assert!(done.is_ok(), "{done:?}");
    let denies = Some(Code::PermissionDenied);
    let (done, _) = register(Server { may_search: false, denies, ..Server::new() }).await;
    assert!(done.is_err(), "nothing shows that they exist");
}

#[tokio::test(start_paused = true)]
async fn every_type_that_the_store_has_no_room_for_is_named() {
    let full = vec![IndexedValueType::KeywordList, IndexedValueType::Datetime];
    let said = failure(Server { full, ..Server::new() }).await;
    for named in [
        "ApprovalReviewers, ApprovalLinks (KeywordList): cannot have more than 3",
        "ApprovalDeadline (Datetime): cannot have more than 3",
        "search-attribute remove --namespace default",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }
    assert!(!said.contains("ApprovalStatus"), "there is room for it:\n{said}");
}

#[tokio::test(start_paused = true)]
async fn every_attribute_of_another_type_is_named_with_the_type_that_it_has() {
    let mut known = ATTRIBUTES;
    (known[0].1, known[4].1) = (IndexedValueType::Text, IndexedValueType::Keyword);
    let said = failure(Server::with(&known)).await;
    for named in [
        "ApprovalStatus is Text, and has to be Keyword",
        "ApprovalDeadline is Keyword, and has to be Datetime",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }
    assert_eq!(said.matches("has to be").count(), 2, "{said}");
}
