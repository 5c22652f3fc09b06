use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use countersign_connection::testing::fake_temporal;
use prost::Message;
use temporalio_client::{ClientOptions, Connection, callback_based::GrpcRequest};
use temporalio_common::protos::{
    coresdk::AsJsonPayloadExt, temporal::api::workflowservice::v1::StartWorkflowExecutionResponse,
};

use super::*;

const TOKEN: &str = "eyJ0IjoxLCJucyI6ImFwcHJvdmFscyIsIndpZCI6Im5leHVzLnNob3AucmVxdWVzdC0xIn0";

/// The service beside a server that keeps every call, and refuses with this code where there is one.
async fn service(refuses: Option<Code>) -> (Approvals, Arc<Mutex<Vec<GrpcRequest>>>) {
    let calls: Arc<Mutex<Vec<GrpcRequest>>> = Arc::default();
    let kept = calls.clone();
    let options = fake_temporal(move |request| {
        let answer = match (&*request.rpc, refuses) {
            ("GetSystemInfo", _) => Ok(Vec::new()),
            (_, Some(code)) => Err(Status::new(code, "no")),
            ("StartWorkflowExecution", _) => {
                let run_id = "run-1".to_owned();
                Ok(StartWorkflowExecutionResponse { run_id, ..Default::default() }.encode_to_vec())
            }
            _ => Ok(Vec::new()),
        };
        if request.rpc != "GetSystemInfo" {
            kept.lock().expect("not poisoned").push(request);
        }
        ready(answer)
    });
    let connection = Connection::connect(options).await.expect("a connection");
    let client = Client::new(connection, ClientOptions::new("approvals").build());
    (Approvals::new(client.expect("a client"), "queue".to_owned()), calls)
}

fn start(operation: &str, input: &impl serde::Serialize) -> request::Variant {
    request::Variant::StartOperation(StartOperationRequest {
        service: "Approvals".to_owned(),
        operation: operation.to_owned(),
        request_id: "request-1".to_owned(),
        callback: "temporal://system".to_owned(),
        payload: input.as_json_payload().ok(),
        callback_header: [("token".to_owned(), "of the caller's server".to_owned())].into(),
        links: vec![links::to_start("shop", "order", "run")],
    })
}

fn cancel(token: &str) -> request::Variant {
    request::Variant::CancelOperation(CancelOperationRequest {
        service: "Approvals".to_owned(),
        operation: "request".to_owned(),
        operation_token: token.to_owned(),
        ..CancelOperationRequest::default()
    })
}

#[tokio::test]
async fn each_attempt_starts_one_approval_whose_end_completes_the_operation() {
    let (service, calls) = service(None).await;
    for _ in 0..2 {
        let answer = service.handle("shop", Some(start("request", &"a submission"))).await;
        let Ok(response::Variant::StartOperation(StartOperationResponse {
            variant: Some(started::Variant::AsyncSuccess(started)),
        })) = answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!(started.operation_token, TOKEN);
        assert!(started.links[0].url.contains("/nexus.shop.request-1/run-1/"), "{started:?}");
    }
    let calls = calls.lock().expect("not poisoned");
    let [first, again] = [0, 1]
        .map(|at| StartWorkflowExecutionRequest::decode(calls[at].proto.clone()).expect("a start"));
    assert_eq!(first, again, "the server makes one run of both");
    assert_eq!((&*first.workflow_id, &*first.request_id), ("nexus.shop.request-1", "request-1"));
    assert_eq!(first.workflow_id_reuse_policy(), WorkflowIdReusePolicy::RejectDuplicate);
    assert_eq!(first.workflow_id_conflict_policy(), WorkflowIdConflictPolicy::UseExisting);
    assert_eq!(first.workflow_type.expect("a type").name, "ApprovalWorkflow");
    assert_eq!(first.task_queue.expect("a task queue").name, "queue");
    assert_eq!(first.input.expect("an input").payloads[0].data, b"\"a submission\"");
    assert_eq!(first.links.len(), 1);
    let [callback] = first.completion_callbacks.as_slice() else { panic!("one callback") };
    let Some(callback::Variant::Nexus(callback)) = &callback.variant else { panic!("to Nexus") };
    assert_eq!(callback.url, "temporal://system");
    assert_eq!(callback.header["token"], "of the caller's server");
    assert_eq!(callback.header[TOKEN_HEADER], TOKEN);
}

#[tokio::test]
async fn cancelling_an_operation_again_changes_nothing() {
    for refuses in [None, Some(Code::AlreadyExists)] {
        let (service, calls) = service(refuses).await;
        let answer = service.handle("shop", Some(cancel(TOKEN))).await;
        assert!(matches!(answer, Ok(response::Variant::CancelOperation(_))), "{answer:?}");
        let call = calls.lock().expect("not poisoned").remove(0);
        let cancel = RequestCancelWorkflowExecutionRequest::decode(call.proto).expect("a cancel");
        assert_eq!(cancel.request_id, CANCEL, "of every attempt");
        let workflow = cancel.workflow_execution.expect("a workflow");
        assert_eq!((&*workflow.workflow_id, &*workflow.run_id), ("nexus.shop.request-1", ""));
    }
    let (service, _) = service(Some(Code::NotFound)).await;
    let refused = service.handle("shop", Some(cancel(TOKEN))).await.expect_err("it has ended");
    assert_eq!(refused.kind, Kind::NotFound);
}

#[tokio::test]
async fn what_is_not_of_the_endpoint_is_refused_without_asking_temporal() {
    let (service, calls) = service(None).await;
    let forged = token("approvals", "laptops-42");
    for (endpoint, request, kind) in [
        ("bank", Some(cancel(TOKEN)), Kind::NotFound),
        ("bank", Some(start("status", &TOKEN)), Kind::NotFound),
        ("shop", Some(cancel(&forged)), Kind::NotFound),
        ("shop", Some(start("status", &forged)), Kind::NotFound),
        ("shop", Some(start("status", &7)), Kind::BadRequest),
        ("shop", Some(start("approve", &TOKEN)), Kind::NotFound),
        ("", Some(start("request", &"a submission")), Kind::NotImplemented),
        ("shop", None, Kind::NotImplemented),
    ] {
        let refused = service.handle(endpoint, request).await.expect_err("it is refused");
        assert_eq!(refused.kind, kind, "{refused:?}");
    }
    assert!(calls.lock().expect("not poisoned").is_empty());
}

/// So says a worker that takes a workflow over.
#[tokio::test]
async fn a_query_that_is_refused_for_the_moment_is_sent_again() {
    let (service, _) = service(Some(Code::InvalidArgument)).await;
    let status = service.handle("shop", Some(start("status", &TOKEN))).await;
    assert_eq!(status.expect_err("no answer").kind, Kind::Unavailable);
    let request = service.handle("shop", Some(start("request", &"a submission"))).await;
    assert_eq!(request.expect_err("no start").kind, Kind::BadRequest);
}
