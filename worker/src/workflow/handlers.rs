//! What the SDK calls of [`ApprovalWorkflow`], as its macro (1.1) would write it but for signals: those of
//! other names than it knows are dropped by what the macro writes. Here all of them come to the state, which
//! counts what it does not know.

use std::any::Any;

use countersign_protos::names;
use futures::{
    FutureExt,
    future::{LocalBoxFuture, ready},
};
use temporalio_common::{
    WorkflowDefinition,
    data_converters::{PayloadConverter, RawValue},
    protos::temporal::api::common::v1::Payloads,
};
use temporalio_sdk::{
    WorkflowContext, WorkflowContextView, WorkflowResult,
    workflow_interceptors::WorkflowOutputValue,
    workflows::{WorkflowDefinitionDescriptor, WorkflowError, WorkflowImplementation},
};

use super::ApprovalWorkflow;

/// A handler's input, of a type that its dispatcher knows.
type Input = Box<dyn Any>;

/// What a handler returns.
type Output = Box<dyn WorkflowOutputValue>;

impl WorkflowDefinition for ApprovalWorkflow {
    type Input = RawValue;
    type Output = RawValue;

    fn name(&self) -> &str {
        names::WORKFLOW_TYPE
    }
}

impl WorkflowImplementation for ApprovalWorkflow {
    type Run = Self;

    const HAS_INIT: bool = false;
    const INIT_TAKES_INPUT: bool = false;

    fn name() -> &'static str {
        names::WORKFLOW_TYPE
    }

    fn definition() -> WorkflowDefinitionDescriptor {
        WorkflowDefinitionDescriptor {
            workflow_type: names::WORKFLOW_TYPE.to_owned(),
            has_init: Self::HAS_INIT,
            init_takes_input: Self::INIT_TAKES_INPUT,
            signals: names::SIGNALS.map(str::to_owned).into(),
            queries: vec![names::QUERY_STATUS.to_owned()],
            updates: Vec::new(),
        }
    }

    fn init(_: WorkflowContextView, _: Option<RawValue>) -> Self {
        Self::default()
    }

    fn run(
        mut ctx: WorkflowContext<Self>,
        input: Option<RawValue>,
    ) -> LocalBoxFuture<'static, WorkflowResult<Output>> {
        let running = async move {
            let input = input.expect("nothing else takes it");
            Ok(Box::new(Self::execute(&mut ctx, input).await?) as Output)
        };
        running.boxed_local()
    }

    /// As they are: what does not decode would fail the workflow task for ever.
    fn decode_signal_input(
        _: &str,
        payloads: Payloads,
        _: &PayloadConverter,
    ) -> Result<Option<Input>, WorkflowError> {
        Ok(Some(Box::new(RawValue::new(payloads.payloads))))
    }

    fn dispatch_signal(
        ctx: WorkflowContext<Self>,
        name: &str,
        input: Input,
    ) -> LocalBoxFuture<'static, Result<(), WorkflowError>> {
        Self::signal(&ctx, name, undecoded(input));
        ready(Ok(())).boxed_local()
    }

    fn decode_query_input(
        name: &str,
        payloads: &Payloads,
        _: &PayloadConverter,
    ) -> Result<Option<Input>, WorkflowError> {
        let input = || Box::new(RawValue::new(payloads.payloads.clone())) as Input;
        Ok((name == names::QUERY_STATUS).then(input))
    }

    fn dispatch_query(
        &self,
        _: WorkflowContextView,
        _: &str,
        input: Input,
    ) -> Result<Output, WorkflowError> {
        Ok(Box::new(self.status(&undecoded(input))))
    }

    fn dispatch_update(
        _: WorkflowContext<Self>,
        name: &str,
        _: Input,
    ) -> LocalBoxFuture<'static, Result<Output, WorkflowError>> {
        unreachable!("no update is defined, and {name} was not decoded")
    }

    fn validate_update(
        &self,
        _: WorkflowContextView,
        name: &str,
        _: Input,
    ) -> Result<(), WorkflowError> {
        unreachable!("no update is defined, and {name} was not decoded")
    }
}

/// What [`WorkflowImplementation`] has made of payloads above.
fn undecoded(input: Input) -> RawValue {
    *input.downcast().expect("an interceptor leaves it as it is")
}
