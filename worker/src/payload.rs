//! Converts between Temporal's payloads and those of `countersign-protos`.

use countersign_protos::payload::Payload;
use temporalio_common::protos::temporal::api::common::v1;

pub(crate) fn from_temporal(payloads: Vec<v1::Payload>) -> Vec<Payload> {
    let convert = |v1::Payload { metadata, data, .. }| Payload { metadata, data };
    payloads.into_iter().map(convert).collect()
}

pub(crate) fn to_temporal(Payload { metadata, data }: Payload) -> v1::Payload {
    v1::Payload { metadata, data, ..v1::Payload::default() }
}
