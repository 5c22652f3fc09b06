//! Workers with the approval workflow and its activities, and the Temporal plugin that adds them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use countersign_telemetry::{sdk::SdkMetrics, traces::propagator};
use futures::{FutureExt, join};
use temporalio_client::{Client, Connection, NamespacedClient};
use temporalio_sdk::{
    SimplePlugin, Worker, WorkerOptions, WorkerRunError,
    activities::{ActivityDefinitions, ActivityImplementer},
    interceptors::ActivityInboundInterceptor,
    opentelemetry::OpenTelemetryPlugin,
    plugins::{WorkerPlugin, WorkflowDefinitions},
    runtime::{
        PollerBehavior,
        worker_tuner::{FixedSizeSlotSupplier, TunerHolder},
    },
};
use temporalio_sdk_core::{CoreRuntime, RuntimeOptions, Worker as CoreWorker, init_worker};
use tokio::runtime::Handle;

use super::{
    identities::Identities,
    nexus::Approvals,
    query_guard::{QueryGuard, Turns},
};
use crate::{
    activities::{
        self, Countersign,
        attempts::Attempts,
        webhook::{MAX_CONCURRENT, WEBHOOK_QUEUE_SUFFIX},
    },
    workflow::{ApprovalNotices, ApprovalWorkflow},
};

/// How long Temporal leaves a workflow task to the worker that has the workflow cached. Longer, and what was on its way
/// to a worker that dies waits longer for another one; shorter, and tasks that only wait their turn in a burst are taken
/// away and replayed.
const STICKY: Duration = Duration::from_secs(9);

/// How many workflows a worker keeps in memory, some 60 KB each. When more of them have something to do at once, each
/// is replayed from its beginning, and takes the place of another one that is needed next. But Core looks through all
/// of them for each task.
const CACHED_WORKFLOWS: usize = 2_000;
/// How often workers report to the server what they are: the SDK's default.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A worker that runs approvals, and another one that delivers outcomes to the webhook. Each has its own
/// task queue, so that a receiver that hangs takes no slots from mails; pending deliveries wait in
/// Temporal.
pub struct Workers {
    approvals: Worker,
    turns: Turns,
    webhook: Worker,
    nexus: Option<Approvals>,
    cores: [Arc<CoreWorker>; 2],
    connection: Connection,
}

impl Workers {
    /// Runs both until they are shut down, and serves Nexus beside them. If one of them stops by itself, the other
    /// is stopped too.
    ///
    /// # Errors
    /// If one of them fails.
    pub async fn run(&mut self) -> Result<(), WorkerRunError> {
        let stop = self.shutdown_handle();
        let approvals = self.turns.around(self.approvals.run()).inspect(|_| stop());
        let webhook = self.webhook.run().inspect(|_| stop());
        let nexus = async {
            if let Some(nexus) = &self.nexus {
                nexus.serve(&self.cores[0]).await;
            }
        };
        let (approvals, webhook, ()) = join!(approvals, webhook, nexus);
        approvals.and(webhook)
    }

    /// A function that shuts both down gracefully.
    pub fn shutdown_handle(&self) -> impl Fn() + use<> {
        let (approvals, webhook) =
            (self.approvals.shutdown_handle(), self.webhook.shutdown_handle());
        move || {
            approvals();
            webhook();
        }
    }

    /// A function that has both claim another identity from their next call on.
    pub fn identify(&self) -> impl Fn(&str) -> anyhow::Result<()> + use<> {
        let (cores, connection) = (self.cores.clone(), self.connection.clone());
        move |identity| {
            for core in &cores {
                // It shares the channel with the one that it replaces.
                let mut same = connection.clone();
                identity.clone_into(same.identity_mut());
                core.replace_client(same)?;
            }
            Ok(())
        }
    }
}

/// What workers tell about themselves, besides what they log. By default, nothing.
#[derive(Default)]
pub struct Telemetry {
    /// The SDK's metrics.
    pub metrics: Option<SdkMetrics>,
    /// Whether there are spans of workflows and activities, which go to the process's tracer provider.
    pub traces: bool,
}

impl Telemetry {
    fn runtime(&self) -> anyhow::Result<CoreRuntime> {
        let Some(metrics) = &self.metrics else {
            let runtime = RuntimeOptions::builder().build().map_err(anyhow::Error::msg)?;
            return CoreRuntime::new_assume_tokio(runtime);
        };
        let metrics = metrics.of_workers()?;
        Ok(CoreRuntime::new_assume_tokio_initialized_telem(metrics, Some(HEARTBEAT)))
    }

    /// The SDK's plugin carries the context of a trace as all SDKs do, and makes no span twice in a replay.
    fn trace(&self, options: &mut WorkerOptions) -> anyhow::Result<()> {
        if self.traces {
            let plugin = OpenTelemetryPlugin::builder().propagator(propagator()).build();
            plugin.configure_worker_options(options)?;
        }
        Ok(())
    }
}

/// Makes a worker that runs approvals as well as what `options` register; see `examples/embedded.rs`.
///
/// Unlike a worker with only the [`plugin`], it guards against queries that would change what a workflow
/// does after another worker's death, and webhooks cannot delay its mails.
///
/// # Errors
/// If `options` are invalid, or outside a Tokio runtime.
pub fn worker(
    client: &Client,
    countersign: Countersign,
    options: WorkerOptions,
) -> anyhow::Result<Workers> {
    worker_with(client, countersign, options, &Telemetry::default(), false)
}

/// As [`worker`], with metrics and traces. With `nexus`, it serves the Nexus service `Approvals` on its task queue,
/// too: experimental, until the SDK has handlers of its own.
///
/// # Errors
/// As it has.
pub fn worker_with(
    client: &Client,
    mut countersign: Countersign,
    mut options: WorkerOptions,
    telemetry: &Telemetry,
    nexus: bool,
) -> anyhow::Result<Workers> {
    let webhook_queue = format!("{}{WEBHOOK_QUEUE_SUFFIX}", options.task_queue);
    if let Some(webhook) = &mut countersign.webhook {
        webhook.on_task_queue(webhook_queue.clone());
    }
    let (countersign, attempts) = (Arc::new(countersign), Attempts::new(Some(client.namespace())));
    let mut for_webhook = WorkerOptions::new(webhook_queue)
        .tuner(slots(MAX_CONCURRENT))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(2))
        .maybe_client_identity_override(options.client_identity_override.clone())
        .maybe_graceful_shutdown_period(options.graceful_shutdown_period)
        .build();
    // Around all else, so that all else is within a span.
    telemetry.trace(&mut for_webhook)?;
    telemetry.trace(&mut options)?;
    webhook_plugin(countersign.clone(), attempts.clone())
        .configure_worker_options(&mut for_webhook)?;
    let (query_guard, turns) = QueryGuard::new();
    query_guard.watch(&mut options);
    approvals_plugin(countersign, attempts).configure_worker_options(&mut options)?;
    // Outside a runtime, Core would panic.
    Handle::try_current()?;
    let runtime = telemetry.runtime()?;
    let core = |options: &WorkerOptions, nexus| {
        let mut config = options
            .to_core_options(client.namespace(), client.identity())
            .map_err(anyhow::Error::msg)
            .context("the worker's options")?;
        config.sticky_queue_schedule_to_start_timeout = STICKY;
        config.max_cached_workflows = CACHED_WORKFLOWS;
        config.task_types.enable_nexus = nexus;
        init_worker(&runtime, config, client.connection().clone()).map(Arc::new)
    };
    let (approvals, webhook) = (core(&options, nexus)?, core(&for_webhook, false)?);
    query_guard.set_worker(approvals.clone());
    let cores = [approvals.clone(), webhook.clone()];
    let nexus = nexus.then(|| Approvals::new(client.clone(), options.task_queue.clone()));
    let make =
        |core, options| Worker::new_from_core_options(core, client.options().clone(), options);
    let (approvals, webhook) = (make(approvals, options)?, make(webhook, for_webhook)?);
    let connection = client.connection().clone();
    Ok(Workers { approvals, turns, webhook, nexus, cores, connection })
}

/// Slots for this many activities at a time, and the SDK's default for other kinds of tasks.
pub fn slots(activities: usize) -> TunerHolder {
    const DEFAULT: usize = 100;
    TunerHolder::builder()
        .activity_task_slot_supplier(FixedSizeSlotSupplier::new(activities))
        .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(DEFAULT))
        .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(DEFAULT))
        .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(DEFAULT))
        .build()
}

/// Adds `ApprovalWorkflow` to a worker of your own. Prefer [`worker`] where you can.
pub fn plugin(countersign: Countersign) -> SimplePlugin {
    approvals_plugin(Arc::new(countersign), Attempts::new(None))
}

/// The workflow and all its activities. They include deliveries: those of approvals that a worker with only
/// the [`plugin`] has planned are on the same task queue.
fn approvals_plugin(countersign: Arc<Countersign>, attempts: Attempts) -> SimplePlugin {
    let mut activities = ActivityDefinitions::default();
    countersign.register_all(&mut activities);
    let mut workflows = WorkflowDefinitions::default();
    let once = "each type is registered once";
    workflows.register_workflow::<ApprovalWorkflow>().expect(once);
    workflows.register_workflow::<ApprovalNotices>().expect(once);
    let (of_worker, of_workflows) = Identities::default().interceptors();
    SimplePlugin::builder("countersign")
        .activities(activities)
        .workflows(workflows)
        .activity_inbound_interceptors(interceptors(attempts))
        .worker_interceptors(of_worker)
        .workflow_interceptors(of_workflows)
        .build()
}

fn webhook_plugin(countersign: Arc<Countersign>, attempts: Attempts) -> SimplePlugin {
    SimplePlugin::builder("countersign-webhook")
        .activities(activities::deliveries(countersign))
        .activity_inbound_interceptors(interceptors(attempts))
        .build()
}

fn interceptors(attempts: Attempts) -> Vec<Arc<dyn ActivityInboundInterceptor>> {
    vec![Arc::new(attempts)]
}
