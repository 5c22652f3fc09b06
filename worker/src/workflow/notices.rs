//! `ApprovalNotices`: goes on delivering the notices that an approval's end did not wait for.

use countersign_protos::{
    names,
    payload::{PayloadError, encrypted_with},
};
use futures::FutureExt;
use temporalio_common::{
    data_converters::{PayloadConversionError, RawValue},
    error::ApplicationFailure,
    protos::temporal::api::common::v1::Payload,
    search_attributes::SearchAttributeKey,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, WorkflowCancellationToken, WorkflowContext, WorkflowResult,
    workflows::select,
};

use super::{background::Background, cause, invalid_start, now, options};
use crate::{
    activities::Countersign,
    case::{Case, Event, HandOver},
    recorded::Notice,
};

/// Tries to deliver each notice for a week. Fails if the submitter's was refused for good: nobody else can
/// learn of it.
#[workflow]
#[derive(Default)]
pub struct ApprovalNotices {
    case: Case,
}

#[workflow_methods]
impl ApprovalNotices {
    /// Takes the state of the approval, as the approval's own workflow has written it.
    #[run(name = names::WORKFLOW_TYPE_NOTICES)]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<()> {
        let first = input.payloads.first();
        if let Some(key) = first.and_then(|input| encrypted_with(&input.metadata)) {
            // A key that is not here may be elsewhere: the workflow's task waits for it.
            let why = Box::new(PayloadError::Encrypted(key));
            return Err(PayloadConversionError::EncodingError(why).into());
        }
        let data = first.map_or(&[][..], |input| &input.data);
        let case = serde_json::from_slice(data).map_err(|error| {
            invalid_start(format!("only approvals start this workflow: {error}"))
        })?;
        ctx.state_mut(|workflow| workflow.case = case);
        let mut background = Background::default();
        loop {
            for notice in ctx.state_mut(|workflow| workflow.case.start_notices()) {
                background.add(Self::notify(ctx.clone(), notice));
            }
            if background.is_idle() {
                break;
            }
            let more = |workflow: &Self| workflow.case.has_notices_to_start();
            select! {
                _ = ctx.wait_condition_with_options(more, options::condition()).fuse() => {}
                _ = &mut background => {}
            }
        }
        match ctx.state(|workflow| workflow.case.status()).announcement_error {
            why if why.is_empty() => Ok(()),
            why => {
                let undeliverable = SearchAttributeKey::bool(names::ATTRIBUTE_UNDELIVERABLE);
                ctx.upsert_search_attributes([undeliverable.value_set(true)]);
                let failure =
                    ApplicationFailure::builder(why).type_name("Undeliverable".to_owned());
                Err(failure.non_retryable(true).build().into())
            }
        }
    }

    async fn notify(ctx: WorkflowContext<Self>, notice: Notice) {
        let delivered = deliver(&ctx, notice, WorkflowCancellationToken::new()).await;
        let (Some(event), now) = (delivered, now(ctx.workflow_time())) else { return };
        ctx.state_mut(|workflow| workflow.case.handle(event, now));
    }
}

/// Mails a notice, for a week at most. `None` if it was cancelled.
pub(super) async fn deliver<W>(
    ctx: &WorkflowContext<W>,
    notice: Notice,
    cancel: WorkflowCancellationToken,
) -> Option<Event> {
    let number = notice.number;
    // A stage's token only cancels those made from it that somebody holds, so this one is held until the end.
    let options = options::notice(format!("Notify {}", notice.recipient), cancel.clone());
    let sent = match ctx.execute_activity(Countersign::announce_decision, notice, options).await {
        Ok(_) => Ok(()),
        Err(ActivityExecutionError::Cancelled(_)) => return None,
        Err(error) => Err(cause(&error)),
    };
    Some(Event::NoticeFinished { number, result: sent })
}

/// The input of [`ApprovalNotices`].
pub(super) fn input(state: &HandOver) -> serde_json::Result<RawValue> {
    let data = serde_json::to_vec(state)?;
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Ok(RawValue::new(vec![Payload { metadata, data, ..Default::default() }]))
}
