//! Classifies SNS's errors.

use std::{error::Error, fmt};

use aws_sdk_sns::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::notifier::{NotifyError, chain};

/// Classifies a failed `Publish`. It names no recipient, so most errors are about us: permissions, keys,
/// clock, topic or rate. Only those about the message or a disabled endpoint are final.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>) -> NotifyError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let why = format!("Amazon SNS: {}", explain(error));
    match (error.code(), error.message().unwrap_or_default()) {
        (Some("EndpointDisabled"), _) => NotifyError::Rejected(why),
        (Some(code), message) if is_about_a_parameter(code) => match parameter(message) {
            Parameter::Topic => NotifyError::Unavailable(why),
            Parameter::Message => NotifyError::Rejected(why),
            Parameter::Unknown => NotifyError::Unexplained(why),
        },
        _ => NotifyError::Unavailable(why),
    }
}

/// By the API reference of `Publish`, and by its common errors.
fn is_about_a_parameter(code: &str) -> bool {
    let codes = ["InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"];
    codes.contains(&code) || code.starts_with("Validation")
}

enum Parameter {
    Topic,
    Message,
    Unknown,
}

/// Which parameter is invalid. Only the message says it: `Invalid parameter: TopicArn`.
fn parameter(message: &str) -> Parameter {
    let message = message.to_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if names(&["topic", "targetarn"]) {
        Parameter::Topic
    } else if names(&["subject", "message"]) {
        Parameter::Message
    } else {
        Parameter::Unknown
    }
}

/// Whether other credentials might be accepted: those in use were refused, or could not be loaded.
/// Network failures and throttling say nothing about them.
pub(super) fn doubts_credentials<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => false,
        SdkError::DispatchFailure(failure) => !failure.is_io() && !failure.is_timeout(),
        SdkError::ServiceError(answer) => {
            answer.err().code().is_some_and(|code| CREDENTIALS.contains(&code))
        }
        _ => true,
    }
}

/// Whether a permission is missing.
pub(super) fn denies(error: &impl ProvideErrorMetadata) -> bool {
    let denied = ["AuthorizationError", "AccessDenied", "AccessDeniedException"];
    error.code().is_some_and(|code| denied.contains(&code))
}

/// By SNS's common errors, its API reference, and Signature Version 4's.
const CREDENTIALS: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// An error's text for an operator: SNS's own, or the chain of causes.
pub(super) fn explain<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => match error.raw_response() {
            // Not from SNS: a proxy's, or a wrong endpoint's.
            Some(response) => unexpected(response.status()),
            None => chain(error),
        },
    }
}

fn unexpected(status: impl fmt::Display) -> String {
    format!("a response that is not from SNS, with HTTP status {status}")
}
