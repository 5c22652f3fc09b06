//! Why a Nexus request is refused, in the words of its specification.

use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::failure::v1::{
    Failure, NexusHandlerFailureInfo, failure::FailureInfo,
};

/// Whether Temporal sends the request again follows from the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    // These fail the operation.
    BadRequest,
    NotFound,
    NotImplemented,
    Conflict,
    // These are sent again, until the caller's time-out.
    Internal,
    ResourceExhausted,
    Unavailable,
    UpstreamTimeout,
}

impl Kind {
    /// As the specification spells it: <https://github.com/nexus-rpc/api/blob/main/SPEC.md#predefined-handler-errors>.
    fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::NotFound => "NOT_FOUND",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::Conflict => "CONFLICT",
            Self::Internal => "INTERNAL",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Unavailable => "UNAVAILABLE",
            Self::UpstreamTimeout => "UPSTREAM_TIMEOUT",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) why: String,
}

pub(super) fn refusal(kind: Kind, why: impl Into<String>) -> Refusal {
    Refusal { kind, why: why.into() }
}

/// Of a call to Temporal. What this worker lacks, such as a permission, may be mended, and ends no operation.
impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let kind = match status.code() {
            Code::InvalidArgument => Kind::BadRequest,
            Code::NotFound => Kind::NotFound,
            Code::AlreadyExists => Kind::Conflict,
            Code::PermissionDenied | Code::Unauthenticated => Kind::Internal,
            Code::ResourceExhausted => Kind::ResourceExhausted,
            Code::DeadlineExceeded | Code::Cancelled => Kind::UpstreamTimeout,
            _ => Kind::Unavailable,
        };
        refusal(kind, status.message())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let info = NexusHandlerFailureInfo {
            r#type: refusal.kind.name().to_owned(),
            ..NexusHandlerFailureInfo::default()
        };
        Failure {
            message: refusal.why,
            failure_info: Some(FailureInfo::NexusHandlerFailureInfo(info)),
            ..Failure::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_ends_no_operation() {
        let ends = |code| {
            use Kind::*;
            match Refusal::from(Status::new(code, "")).kind {
                BadRequest | NotFound | NotImplemented | Conflict => true,
                Internal | ResourceExhausted | Unavailable | UpstreamTimeout => false,
            }
        };
        for code in [Code::InvalidArgument, Code::NotFound, Code::AlreadyExists] {
            assert!(ends(code), "{code:?}");
        }
        for code in [
            Code::PermissionDenied,
            Code::Unauthenticated,
            Code::ResourceExhausted,
            Code::DeadlineExceeded,
            Code::FailedPrecondition,
            Code::Unavailable,
            Code::Internal,
        ] {
            assert!(!ends(code), "{code:?}");
        }
    }
}
