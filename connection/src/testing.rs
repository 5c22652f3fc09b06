//! For the unit tests of both programs. No feature guards it: with one, every build of tests would compile the programs
//! anew.

use std::sync::Arc;

use futures_util::FutureExt;
use temporalio_client::{
    ConnectionOptions, Url,
    callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse},
    tonic::Status,
};

/// How to reach a Temporal that answers each call with these bytes of its response, without a server.
pub fn fake_temporal<F>(
    answer: impl Fn(GrpcRequest) -> F + Send + Sync + 'static,
) -> ConnectionOptions
where
    F: Future<Output = Result<Vec<u8>, Status>> + Send + 'static,
{
    let callback = Arc::new(move |request: GrpcRequest| {
        let answer = answer(request);
        let response = |proto| GrpcSuccessResponse { headers: Default::default(), proto };
        async move { answer.await.map(response) }.boxed()
    });
    let nowhere: Url = "http://temporal.example".parse().expect("a URL");
    ConnectionOptions::new(nowhere)
        .dns_load_balancing(None)
        .service_override(CallbackBasedGrpcService { callback })
        .build()
}
