//! What happens to every request, whatever it asks for.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Uri,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use countersign_protos::LinkHash;
use url::Url;

use crate::{
    App,
    limits::{TooMany, client_address},
    reply::{Problem, Reply, Wants},
};

/// Longer than anybody waits for a page. What takes longer is not known to be recorded.
const PATIENCE: Duration = Duration::from_secs(30);

const HEADERS: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With no-referrer, browsers may send `Origin: null` on the form's POST.
    (REFERRER_POLICY, "same-origin"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
    // Proxies that make pages smaller or hide addresses in them change what people decide on.
    (CACHE_CONTROL, "no-store, no-transform"),
];

/// From where a browser was led to send a request (<https://www.w3.org/TR/fetch-metadata/>).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which link a response is about, for the access log.
#[derive(Clone)]
pub(crate) struct About(pub(crate) LinkHash);

/// Logs what was asked and answered: never a path, a query or anything else that may hold an
/// approval ID or a comment.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    tracing::info!(
        method = if known(&method) { method.as_str() } else { "other" },
        route = path.as_ref().map_or("none", |path| path.as_str()),
        status = response.status().as_u16(),
        ms = began.elapsed().as_millis() as u64,
        link = response.extensions().get::<About>().map(|about| about.0.short()),
        "request"
    );
    response
}

/// Adds the headers that keep a page private and unframed.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Answers when nothing else has.
pub(crate) async fn in_time(State(app): State<App>, request: Request, next: Next) -> Response {
    let wants = Wants::of(request.headers());
    let problem = match *request.method() {
        Method::POST => Problem::Unknown,
        _ => Problem::Unavailable,
    };
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Reply::from(problem).respond(app.site(), wants),
    }
}

/// Takes an empty part of the path for a slash too many: one that a base ends with meets one that a
/// path begins with.
pub(crate) async fn forgive_doubled_slashes(mut request: Request) -> Request {
    if let Some(uri) = without_doubled_slashes(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn without_doubled_slashes(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let mut target = String::with_capacity(uri.path().len());
    for c in uri.path().chars() {
        if c != '/' || !target.ends_with('/') {
            target.push(c);
        }
    }
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Refuses a form that a browser sends from a page that is not ours: whoever made that page would
/// decide with the reviewer's link, wherever they have it from.
pub(crate) async fn refuse_cross_site(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST && is_cross_site(request.headers(), &app.site().origin) {
        tracing::warn!(
            expected = app.site().origin,
            "a form of another site was refused; if people use this one under another name, \
             COUNTERSIGN_PUBLIC_URL is wrong"
        );
        return Reply::from(Problem::CrossSite).respond(app.site(), Wants::of(request.headers()));
    }
    next.run(request).await
}

/// Whether a browser says so. Programs that are none send neither header.
///
/// Our origin is the public URL's and never what `Host` or a proxy says: that may be anything.
fn is_cross_site(headers: &HeaderMap, origin: &str) -> bool {
    // Another host of the same site is not ours either; `none` is what people do themselves.
    let led_here = |value: &HeaderValue| !matches!(value.as_bytes(), b"same-origin" | b"none");
    let is_ours = |value: &HeaderValue| {
        let theirs = value.to_str().ok().and_then(|value| Url::parse(value).ok());
        theirs.is_some_and(|theirs| theirs.origin().ascii_serialization() == origin)
    };
    headers.get_all(SEC_FETCH_SITE).iter().any(led_here)
        || headers.get_all(ORIGIN).iter().any(|value| !is_ours(value))
}

/// Refuses a client that asks too often.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let address = client_address(peer, request.headers(), app.trusted_proxies());
    match app.limits().by_address(address) {
        Ok(()) => next.run(request).await,
        Err(TooMany(wait)) => {
            Reply::from(Problem::TooMany(wait)).respond(app.site(), Wants::of(request.headers()))
        }
    }
}

fn known(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ]
    .contains(method)
}
