//! The routes.

use std::{collections::BTreeSet, sync::LazyLock};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS},
    },
    middleware::{from_fn, from_fn_with_state, map_request},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use countersign_protos::{ApprovalId, GenuineLink, Verdict, text::clean_line};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    App,
    answer::{Answer, on_view},
    decision::Press,
    form::{self, Form},
    middleware::{self, About, CSP_IN_FRAME, CSP_WITH_FRAME},
    outbox::Mail,
    problem::Problem,
    reply::{Accept, Pressed, Reply, page},
    views::{HomePage, MailPage, OutboxPage},
};

const STYLESHEET: &str = include_str!("../assets/style.css");

/// Changes with its content, so that it may be cached for ever.
pub(crate) static STYLESHEET_NAME: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(STYLESHEET);
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("style-{hash}.css")
});

const PROBE_METHODS: &str = "GET,HEAD,OPTIONS";

/// All routes, at the root and under the public URL's path: proxies may or may not strip that path.
pub(crate) fn router(app: App) -> Router {
    let mut routes: Router<App> = Router::new()
        .route("/", get(home))
        .route("/a/{approval-id}", get(view).post(decide))
        .route("/a/{approval-id}/{workflow-id}", get(view).post(decide))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/assets/{file}", get(stylesheet))
        .route("/readyz", get(ready).options(ready_by_options));
    if app.0.outbox.is_some() {
        let mails: Router<App> = Router::new()
            .route("/outbox", get(outbox))
            .route("/outbox/{mail}", get(mail))
            .route("/outbox/{mail}/html", get(mail_html));
        let only_local = from_fn_with_state(app.clone(), middleware::only_local);
        routes = routes.merge(mails.route_layer(only_local));
    }
    let root = app.0.site.root.clone();
    let mut all = routes.clone();
    if !root.is_empty() {
        all = all.nest(&root, routes).route(&format!("{root}/"), get(home));
    }
    let mut all = all
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(form::MAX_BYTES))
        .layer(from_fn_with_state(app.clone(), middleware::refuse_cross_site))
        .layer(from_fn_with_state(app.clone(), middleware::limit));
    let alive =
        get("ok\n").options(([(ALLOW, PROBE_METHODS)], "ok\n")).fallback(method_not_allowed);
    for base in BTreeSet::from(["", root.as_str()]) {
        all = all.route(&format!("{base}/healthz"), alive.clone());
    }
    let all = all
        .layer(from_fn_with_state(app.clone(), middleware::time_out))
        .layer(from_fn_with_state(app.clone(), middleware::add_headers))
        .layer(from_fn(middleware::log))
        .with_state(app);
    // In a router of its own: a layer runs after its router has matched the path.
    Router::new().fallback_service(all).layer(map_request(middleware::merge_slashes))
}

#[derive(Deserialize)]
struct Choice {
    choice: Option<String>,
}

/// What a link says: an approval ID, and a hint where to find it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Linked {
    approval_id: String,
    /// The ID of the workflow that has issued the link, as anybody may write it.
    workflow_id: Option<String>,
}

async fn view(
    State(app): State<App>,
    linked: Result<Path<Linked>, PathRejection>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Linked { approval_id, workflow_id } = linked.map(|Path(linked)| linked).unwrap_or_default();
    about(&app, &approval_id, &headers, "", async |link| {
        let (_, reading) = app.0.approvals.find(link, workflow_id.as_deref()).await?;
        let choice =
            choice.ok().and_then(|Query(choice)| Verdict::from_name(choice.choice.as_deref()?));
        let answer = on_view(&reading, link.hash());
        Ok(Reply::Approval { answer, reading: reading.into(), link: link.hash().clone(), choice })
    })
    .await
}

async fn decide(
    State(app): State<App>,
    linked: Result<Path<Linked>, PathRejection>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let Linked { approval_id, workflow_id } = linked.map(|Path(linked)| linked).unwrap_or_default();
    let form = Form::read(request).await;
    let comment = form.as_ref().map(Form::comment).unwrap_or_default();
    about(&app, &approval_id, &headers, &comment, async |link| {
        app.0.limits.by_decision(link.hash())?;
        let form = form?;
        let (verdict, comment) = (form.verdict()?, &*comment);
        let press = Press { verdict, comment, nonce: form.nonce() };
        let (answer, reading) = app.0.approvals.decide(link, workflow_id.as_deref(), press).await?;
        let (reading, hash) = (reading.into(), link.hash().clone());
        Ok(match answer {
            Answer::Unconfirmed => {
                let nonce = link.nonce(verdict, comment, Timestamp::now());
                let pressed = Pressed { verdict, comment: comment.to_owned(), nonce };
                Reply::Unconfirmed { pressed, reading, link: hash }
            }
            answer => Reply::Approval { answer, reading, link: hash, choice: None },
        })
    })
    .await
}

/// Answers for a genuine approval ID. A problem's page returns the comment. A forged ID is refused
/// before any call to Temporal.
async fn about(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    comment: &str,
    answer: impl AsyncFnOnce(&GenuineLink) -> Result<Reply, Problem>,
) -> Response {
    let accept = Accept::of(headers);
    let Some(link) = id.parse::<ApprovalId>().ok().and_then(|id| app.0.keys.verify(&id)) else {
        return Reply::from(Problem::NotIssued(id.to_owned())).respond(&app.0.site, accept);
    };
    let reply = match app.0.limits.by_link(link.hash()) {
        Ok(()) => answer(&link).await,
        Err(limited) => Err(limited),
    };
    let reply = reply.unwrap_or_else(|problem| Reply::Problem(problem, comment.to_owned()));
    let mut response = reply.respond(&app.0.site, accept);
    response.extensions_mut().insert(About(link.hash().clone()));
    response
}

#[derive(Deserialize)]
struct Typed {
    id: Option<String>,
}

async fn home(State(app): State<App>, typed: Result<Query<Typed>, QueryRejection>) -> Response {
    let typed = typed.ok().and_then(|Query(typed)| typed.id);
    let (status, problem) = match typed.as_deref().map(str::parse::<ApprovalId>) {
        Some(Ok(id)) => {
            let page = format!("{}/a/{}", app.0.site.root, id.reveal());
            return Redirect::to(&page).into_response();
        }
        Some(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}.")),
        None => (StatusCode::OK, String::new()),
    };
    let typed = clean_line(&typed.unwrap_or_default());
    page(status, &HomePage { site: &app.0.site, problem: &problem, typed: &typed })
}

async fn stylesheet(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    match file {
        // During an upgrade, a page of one version may request its stylesheet from the other.
        Ok(Path(file)) if is_stylesheet(&file) => {
            let cached = match file == *STYLESHEET_NAME {
                true => "public, max-age=31536000, immutable",
                false => "no-store",
            };
            let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, cached)];
            (headers, STYLESHEET).into_response()
        }
        _ => Reply::from(Problem::NotFound).respond(&app.0.site, Accept::of(&headers)),
    }
}

/// The public keys of outcomes (RFC 7517).
async fn jwks(State(app): State<App>) -> Response {
    let headers =
        [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, Json(app.0.approvals.jwks())).into_response()
}

/// Whether it can be the stylesheet of any version.
fn is_stylesheet(file: &str) -> bool {
    file.strip_prefix("style-").is_some_and(|rest| rest.ends_with(".css"))
}

/// Some proxies probe with OPTIONS, and read only the status.
async fn ready_by_options(app: State<App>) -> impl IntoResponse {
    ([(ALLOW, PROBE_METHODS)], ready(app).await)
}

async fn ready(State(app): State<App>) -> Response {
    match app.0.approvals.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, failure.for_probes()).into_response(),
    }
}

async fn outbox(State(app): State<App>, headers: HeaderMap) -> Response {
    let listed = match app.0.outbox.clone() {
        Some(outbox) => tokio::task::spawn_blocking(move || outbox.list()).await,
        None => Ok(Ok(Vec::new())),
    };
    match listed.map_err(std::io::Error::other).flatten() {
        Ok(mails) => page(StatusCode::OK, &OutboxPage { site: &app.0.site, mails: &mails }),
        Err(error) => {
            tracing::error!(%error, "the outbox cannot be read");
            Reply::from(Problem::OutboxUnreadable).respond(&app.0.site, Accept::of(&headers))
        }
    }
}

async fn mail(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let file = file.map(|Path(file)| file).unwrap_or_default();
    match read_mail(&app, file.clone()).await {
        Some(mail) => {
            let shown = MailPage { site: &app.0.site, mail: &mail, file: &file };
            ([(CONTENT_SECURITY_POLICY, CSP_WITH_FRAME)], page(StatusCode::OK, &shown))
                .into_response()
        }
        None => Reply::from(Problem::NotFound).respond(&app.0.site, Accept::of(&headers)),
    }
}

/// The HTML of a mail, for a frame.
async fn mail_html(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let file = file.map(|Path(file)| file).unwrap_or_default();
    match read_mail(&app, file).await.and_then(|mail| mail.html) {
        Some(html) => {
            let framed = [(CONTENT_SECURITY_POLICY, CSP_IN_FRAME), (X_FRAME_OPTIONS, "SAMEORIGIN")];
            (framed, Html(html)).into_response()
        }
        None => Reply::from(Problem::NotFound).respond(&app.0.site, Accept::of(&headers)),
    }
}

async fn read_mail(app: &App, file: String) -> Option<Mail> {
    let outbox = app.0.outbox.clone()?;
    tokio::task::spawn_blocking(move || outbox.mail(&file)).await.unwrap_or_default()
}

async fn not_found(State(app): State<App>, headers: HeaderMap) -> Response {
    Reply::from(Problem::NotFound).respond(&app.0.site, Accept::of(&headers))
}

async fn method_not_allowed(State(app): State<App>, headers: HeaderMap) -> Response {
    Reply::from(Problem::MethodNotAllowed).respond(&app.0.site, Accept::of(&headers))
}
