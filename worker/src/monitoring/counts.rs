//! Counts approvals by Temporal's search index, once a minute.

use std::time::Duration;

use countersign_telemetry::metrics::Gauge;
use jiff::Timestamp;
use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::CountWorkflowExecutionsRequest;
use tokio::time::sleep;
use tracing::debug;

use crate::{metrics::metrics, temporal::Queries};

const EVERY: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the numbers up to date, for as long as the process lives.
pub(super) async fn keep(client: Client, task_queue: String) {
    loop {
        count_all(&client, &task_queue, Timestamp::now()).await;
        sleep(EVERY).await;
    }
}

async fn count_all(client: &Client, task_queue: &str, now: Timestamp) {
    for (gauge, query) in queries(task_queue, now) {
        match count(client, query).await {
            Ok(number) => {
                gauge.set([], number as f64);
                metrics().index.counts.add(["counted"]);
            }
            Err(status) => {
                debug!(cause = status.message(), "approvals cannot be counted");
                gauge.forget();
                metrics().index.counts.add(["failed"]);
            }
        }
    }
}

fn queries(task_queue: &str, now: Timestamp) -> [(&'static Gauge<0>, String); 3] {
    let (metrics, queries) = (&metrics().index, Queries::new(task_queue, now));
    [
        (&metrics.open, queries.waiting()),
        (&metrics.overdue, queries.overdue()),
        (&metrics.undeliverable, queries.undeliverable_lately()),
    ]
}

async fn count(client: &Client, query: String) -> Result<i64, Status> {
    let mut client = client.clone();
    let namespace = client.namespace();
    let mut request = CountWorkflowExecutionsRequest { namespace, query }.into_request();
    request.set_timeout(PATIENCE);
    Ok(client.count_workflow_executions(request).await?.into_inner().count)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use countersign_connection::testing::fake_temporal;
    use prost::Message;
    use temporalio_client::{ClientOptions, callback_based::GrpcRequest};
    use temporalio_common::protos::temporal::api::workflowservice::v1::CountWorkflowExecutionsResponse;

    use super::*;
    use crate::temporal::connect;

    /// A server with so many approvals of each kind, or one that refuses to count some.
    fn answer(request: &GrpcRequest, may_count: bool) -> Result<Vec<u8>, Status> {
        if request.rpc == "GetSystemInfo" {
            return Ok(Vec::new());
        }
        assert_eq!(request.rpc, "CountWorkflowExecutions");
        let asked = CountWorkflowExecutionsRequest::decode(&*request.proto).expect("a query");
        let count = match &asked.query {
            query if query.contains("ApprovalDeadline <") && !may_count => {
                return Err(Status::invalid_argument("no such attribute"));
            }
            query if query.contains("ApprovalDeadline < '2026-11-25T07:59:00Z'") => 2,
            query if query.contains("ApprovalUndeliverable = true") => 3,
            _ => 40,
        };
        Ok(CountWorkflowExecutionsResponse { count, ..Default::default() }.encode_to_vec())
    }

    async fn client(may_count: bool) -> Client {
        let options = fake_temporal(move |request| ready(answer(&request, may_count)));
        connect((options, ClientOptions::new("default").build()).into()).await.expect("a client")
    }

    #[tokio::test]
    async fn what_cannot_be_counted_any_more_is_served_no_more() {
        let now: Timestamp = "2026-11-25T08:00:00.25Z".parse().expect("a time");
        count_all(&client(true).await, "approvals", now).await;
        let page = metrics().all.page();
        for line in ["open 40", "overdue 2", "undeliverable 3"] {
            assert!(page.contains(&format!("\ncountersign_approvals_{line}\n")), "{page}");
        }
        count_all(&client(false).await, "approvals", now).await;
        let page = metrics().all.page();
        assert!(page.contains("\ncountersign_approvals_open 40\n"), "{page}");
        assert!(!page.contains("countersign_approvals_overdue"), "{page}");
        assert!(page.contains("countersign_counts_total{result=\"failed\"} 1\n"), "{page}");
    }
}
