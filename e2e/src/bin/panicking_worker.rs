//! A worker that embeds the plugin, as a Rust developer may, and has a decoder of their own that
//! panics: over a `signal`, over a `submission`, or as the client's `codec`, as PANICS_OVER says.

use std::io::IsTerminal;

use anyhow::Context;
use clap::Parser;
use countersign_worker::{
    cli::RawSettings,
    temporal::{connect, plugin, register_search_attributes, temporal_settings},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use temporalio_client::Client;
use temporalio_common::{
    data_converters::{
        DataConverter, DefaultFailureConverter, PayloadCodec, PayloadConversionError,
        PayloadConverter, RawValue, SerializationContextData,
    },
    protos::temporal::api::common::v1::Payload,
};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
    workflow_interceptors::{
        HandleSignalInput, HandleSignalResult, WorkflowInterceptor, WorkflowInterceptorConstructor,
        WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
    },
};

#[derive(Parser)]
struct Embedding {
    #[arg(long, env = "PANICS_OVER", value_parser = ["signal", "submission", "codec"])]
    panics_over: String,
    #[command(flatten)]
    settings: RawSettings,
}

/// Reads what is encrypted, or rather does not.
#[derive(Clone, Copy)]
struct Decoder;

impl Decoder {
    fn read(self, payload: &Payload) {
        if payload.metadata.get("encoding").is_some_and(|name| name == b"binary/encrypted") {
            panic!("no key for this payload");
        }
    }
}

impl WorkflowInterceptor for Decoder {
    fn handle_signal<'a>(
        &'a self,
        _context: WorkflowInterceptorContext,
        input: HandleSignalInput,
        next: WorkflowNext<
            'a,
            HandleSignalInput,
            WorkflowInterceptorFuture<'a, HandleSignalResult>,
        >,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        let payloads = input.input_ref::<RawValue>().map(|input| &input.payloads);
        payloads.into_iter().flatten().for_each(|payload| self.read(payload));
        next.run(input)
    }
}

impl ActivityInboundInterceptor for Decoder {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        async move {
            let payloads = input.args_ref::<RawValue>().map(|input| &input.payloads);
            payloads.into_iter().flatten().for_each(|payload| self.read(payload));
            next.run(input).await
        }
        .boxed()
    }
}

impl PayloadCodec for Decoder {
    fn encode(
        &self,
        _context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        ready(Ok(payloads)).boxed()
    }

    fn decode(
        &self,
        _context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let decoder = *self;
        async move {
            payloads.iter().for_each(|payload| decoder.read(payload));
            Ok(payloads)
        }
        .boxed()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Embedding { panics_over, settings } = Embedding::parse();
    let settings = settings.check()?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let task_queue = settings.task_queue.clone();
    let countersign = settings.countersign();

    let mut client = connect(temporal_settings()?).await?;
    register_search_attributes(&client).await?;
    let mut options = WorkerOptions::new(task_queue).worker_plugin(plugin(countersign));
    match panics_over.as_str() {
        "signal" => {
            let decoder = WorkflowInterceptorConstructor::new(|_| Decoder);
            options = options.workflow_interceptor(decoder);
        }
        "submission" => options = options.activity_inbound_interceptor(Decoder),
        _ => {
            let mut with_codec = client.options().clone();
            with_codec.data_converter = DataConverter::new(
                PayloadConverter::default(),
                DefaultFailureConverter::default(),
                Decoder,
            );
            client = Client::new(client.connection().clone(), with_codec)?;
        }
    }
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let mut worker = Worker::new(&runtime, client, options.build())?;
    worker.run().await.context("the worker stopped")
}
