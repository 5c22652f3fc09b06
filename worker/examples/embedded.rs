//! Approvals in a Rust worker of your own: build a [`Countersign`], and make a [`worker`] with it.
//!
//! ```sh
//! export TEMPORAL_ADDRESS=localhost:7233 COUNTERSIGN_LINK_KEYS=$(openssl rand -base64 32)
//! cargo run -p countersign-worker --example embedded
//! ```
//!
//! A signaler that shows its links needs the same keys.

use countersign_worker::{
    Countersign,
    notifier::{Notifier, Outbox},
    temporal::{connect, register_search_attributes, temporal_settings, worker},
    validation::Routing,
};
use temporalio_sdk::WorkerOptions;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let countersign = Countersign {
        routing: Routing { reviewers: vec!["reviewer@example.com".parse()?], webhook: false },
        policy: None,
        link_keys: std::env::var("COUNTERSIGN_LINK_KEYS")?.parse()?,
        public_url: "http://127.0.0.1:8088".parse()?,
        organization: None,
        notifier: Notifier::Outbox(Outbox::new("outbox".into(), "approvals@example.com".parse()?)),
        mail_rate: None,
        webhook: None,
    };
    let client = connect(temporal_settings()?).await?;
    register_search_attributes(&client).await?;

    let options = WorkerOptions::new("my-task-queue")
        // .register_workflow::<YourWorkflow>()? .register_activities(YourActivities)
        .build();
    worker(&client, countersign, options)?.run().await?;
    Ok(())
}
