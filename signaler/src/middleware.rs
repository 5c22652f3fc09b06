//! What applies to every request.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Uri,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use countersign_protos::LinkHash;
use countersign_telemetry::traces;
use url::{Host, Url, form_urlencoded};

use crate::{
    App,
    arrived::mended,
    metrics::metrics,
    problem::Problem,
    rate_limit::{client_address, is_local, is_trusted},
    reply::{Accept, Reply},
};

/// Longer than people wait for a page. After it, whether a decision was recorded is unknown.
const PATIENCE: Duration = Duration::from_secs(30);

/// The only picture is the icon, which is in the page.
const CSP: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; \
                   base-uri 'none'; frame-ancestors 'none'";
/// For a page of the outbox, which has a mail in a frame.
pub(crate) const CSP_WITH_FRAME: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'; frame-src 'self'";
/// For a mail in such a frame: it runs nothing, fetches nothing and sends nothing, wherever it is opened.
pub(crate) const CSP_IN_FRAME: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, CSP),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With no-referrer, browsers may send `Origin: null` on the form's POST.
    (REFERRER_POLICY, "same-origin"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
    // Proxies that compress pages or hide addresses change what people decide on.
    (CACHE_CONTROL, "no-store, no-transform"),
];

/// One year, about as long as the longest deadline; each answer begins it again. Without
/// `includeSubDomains`, since only this host is ours. Its other ports are meant too (RFC 6797, 8.3).
const HTTPS_ONLY: &str = "max-age=31536000";

/// How the page that sent a request relates to this site (<https://www.w3.org/TR/fetch-metadata/>).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The link of a response, for the access log.
#[derive(Clone)]
pub(crate) struct About(pub(crate) LinkHash);

/// Logs each request, without its path, query or anything else that may hold an approval ID or a
/// comment.
pub(crate) async fn log(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("none", |path| path.as_str());
    let method = if known(&method) { method.as_str() } else { "other" };
    let route = path.strip_prefix(&*app.0.site.root).filter(|it| !it.is_empty()).unwrap_or(path);
    let response = match route.starts_with("/a/") {
        true => traced(&app, method, route, request, next).await,
        false => next.run(request).await,
    };
    metrics().answered(route, response.status().as_u16(), began.elapsed());
    tracing::info!(
        method,
        route = path,
        status = response.status().as_u16(),
        ms = began.elapsed().as_millis() as u64,
        link = response.extensions().get::<About>().map(|about| about.0.short()),
        "request"
    );
    response
}

/// Answers within a span. Only a proxy of ours says of which trace that is a part: anybody else could fill the
/// collector with traces of theirs.
async fn traced(app: &App, method: &str, route: &str, request: Request, next: Next) -> Response {
    let headers =
        is_trusted(peer(&request), &app.0.trusted_proxies).then(|| request.headers().clone());
    let name = || format!("{method} {route}");
    traces::in_request(name, headers.as_ref(), async {
        let response = next.run(request).await;
        traces::note("http.request.method", method.to_owned());
        traces::note("http.route", route.to_owned());
        traces::note("http.response.status_code", i64::from(response.status().as_u16()));
        if response.status().is_server_error() {
            traces::failed(response.status().as_u16().to_string());
        }
        response
    })
    .await
}

/// Adds the headers that keep a page private and unframed.
pub(crate) async fn add_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if app.0.https_only {
        let https_only = HeaderValue::from_static(HTTPS_ONLY);
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, https_only);
    }
    response
}

/// Answers if nothing else has within [`PATIENCE`].
pub(crate) async fn time_out(State(app): State<App>, request: Request, next: Next) -> Response {
    let accept = Accept::of(request.headers());
    let problem = match *request.method() {
        Method::POST => Problem::Unknown,
        _ if follows_press(&request) => Problem::Unavailable.after_press(),
        _ => Problem::Unavailable,
    };
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Reply::from(problem).respond(&app.0.site, accept),
    }
}

/// Takes a path as it was meant.
pub(crate) async fn mend_path(State(app): State<App>, mut request: Request) -> Request {
    if let Some(uri) = with_mended_path(request.uri(), &app.0.site.root) {
        *request.uri_mut() = uri;
    }
    request
}

fn with_mended_path(uri: &Uri, root: &str) -> Option<Uri> {
    let path = mended(uri.path(), root)?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Refuses a form that a browser sends from another site's page: its author could otherwise decide with
/// a reviewer's stolen link and browser.
pub(crate) async fn refuse_cross_site(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST && is_cross_site(request.headers(), &app.0.site.origin) {
        tracing::warn!(
            expected = app.0.site.origin,
            "refused a form from another site; if this site has another name, COUNTERSIGN_PUBLIC_URL \
             is wrong"
        );
        return Reply::from(Problem::CrossSite).respond(&app.0.site, Accept::of(request.headers()));
    }
    next.run(request).await
}

/// As browsers report it; other programs send neither header.
///
/// `origin` comes from the public URL, never from `Host` or a proxy, which may say anything.
fn is_cross_site(headers: &HeaderMap, origin: &str) -> bool {
    // `none` is a user's own action. `same-site` is another host, so not this site.
    let is_foreign = |value: &HeaderValue| !matches!(value.as_bytes(), b"same-origin" | b"none");
    let is_ours = |value: &HeaderValue| {
        let theirs = value.to_str().ok().and_then(|value| Url::parse(value).ok());
        theirs.is_some_and(|theirs| theirs.origin().ascii_serialization() == origin)
    };
    headers.get_all(SEC_FETCH_SITE).iter().any(is_foreign)
        || headers.get_all(ORIGIN).iter().any(|value| !is_ours(value))
}

/// Refuses who is not on this machine, and pages of other sites whose names lead here (DNS rebinding).
pub(crate) async fn only_local(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_local = is_local(peer(&request), headers, &app.0.trusted_proxies);
    match is_local && is_asked_as_ours(headers, &app.0.site.origin) {
        true => next.run(request).await,
        false => Reply::from(Problem::NotLocal).respond(&app.0.site, Accept::of(headers)),
    }
}

/// Whether a browser has looked for this machine, or for the public URL's host. Other programs may send no
/// `Host`.
fn is_asked_as_ours(headers: &HeaderMap, origin: &str) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let asked = host.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let public = Url::parse(origin).ok();
    asked.is_some_and(|asked| match asked.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => true,
        Some(Host::Ipv6(address)) if address.is_loopback() => true,
        Some(Host::Domain("localhost")) => true,
        host => host.is_some() && host == public.as_ref().and_then(Url::host),
    })
}

/// Who has opened the connection.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// Refuses a client above its rate limit.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let address = client_address(peer(&request), request.headers(), &app.0.trusted_proxies);
    let limited = match app.0.limits.by_address(address) {
        Ok(()) => return next.run(request).await,
        Err(limited) if follows_press(&request) => limited.after_press(),
        Err(limited) => limited,
    };
    Reply::from(limited).respond(&app.0.site, Accept::of(request.headers()))
}

/// Whether a browser was sent on to this page after a press.
fn follows_press(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    request.method() != Method::POST && names.any(|name| name == "pressed")
}

/// Others may be any word, even an approval ID.
fn known(method: &Method) -> bool {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(&method.as_str())
}
