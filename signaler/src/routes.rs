//! The routes.

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    },
    middleware::{from_fn, from_fn_with_state, map_request},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use countersign_protos::{
    ApprovalId, GenuineLink, Verdict, names,
    words::{clean, clean_line},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::form_urlencoded;

use crate::{
    App,
    judgement::on_look,
    middleware::{self, About},
    outbox::Outbox,
    reply::{Problem, Reply, Wants, page},
    views::{HomePage, MailPage, OutboxPage},
};

const FORM: &str = "application/x-www-form-urlencoded";
const FORM_BYTES: usize = 64 * 1024;
/// How long a client may take to send them.
const FORM_WITHIN: Duration = Duration::from_secs(15);

const STYLESHEET: &str = include_str!("../assets/style.css");

/// The stylesheet's name changes with its content, so that it may be cached for ever.
pub(crate) static STYLESHEET_NAME: LazyLock<String> = LazyLock::new(|| {
    let hash = Sha256::digest(STYLESHEET);
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("style-{hash}.css")
});

/// How the probes can be asked.
const PROBE_METHODS: &str = "GET,HEAD,OPTIONS";

/// All routes: at the root, and under the public URL's path where it has one, whether or not a
/// proxy takes that away.
pub(crate) fn router(app: App) -> Router {
    let mut routes = Router::new()
        .route("/", get(home))
        .route("/a/{approval-id}", get(look).post(decide))
        .route("/assets/{file}", get(stylesheet))
        .route("/readyz", get(ready).options(ready_by_options));
    if app.outbox().is_some() {
        routes = routes.route("/outbox", get(outbox)).route("/outbox/{mail}", get(mail));
    }
    let root = app.site().root.clone();
    let mut all = routes.clone();
    if !root.is_empty() {
        all = all.nest(&root, routes).route(&format!("{root}/"), get(home));
    }
    let mut all = all
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(from_fn_with_state(app.clone(), middleware::refuse_cross_site))
        .layer(from_fn_with_state(app.clone(), middleware::limit));
    let alive =
        get("ok\n").options(([(ALLOW, PROBE_METHODS)], "ok\n")).fallback(method_not_allowed);
    for base in BTreeSet::from(["", root.as_str()]) {
        all = all.route(&format!("{base}/healthz"), alive.clone());
    }
    let all = all
        .layer(from_fn_with_state(app.clone(), middleware::in_time))
        .layer(from_fn(middleware::protect))
        .layer(from_fn(middleware::log))
        .with_state(app);
    // Around all of it: what a layer does to a path comes too late for the routes in the same router.
    Router::new().fallback_service(all).layer(map_request(middleware::forgive_doubled_slashes))
}

#[derive(Deserialize)]
struct Choice {
    choice: Option<String>,
}

async fn look(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    about(&app, &id, &headers, "", async |link| {
        let (_, reading) = app.approvals().find(link.hash()).await?;
        let choice =
            choice.ok().and_then(|Query(choice)| Verdict::from_name(choice.choice.as_deref()?));
        let answer = on_look(&reading, link.hash().as_str());
        Ok(Reply::Approval { answer, reading: reading.into(), link: link.hash().clone(), choice })
    })
    .await
}

async fn decide(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let fields = fields(request).await;
    let comment = fields.as_deref().map(comment).unwrap_or_default();
    about(&app, &id, &headers, &comment, async |link| {
        app.limits().by_decision(link.hash())?;
        let verdict = decision(&fields?, &comment)?;
        let (answer, reading) = app.approvals().decide(link, verdict, &comment).await?;
        let link = link.hash().clone();
        Ok(Reply::Approval { answer, reading: reading.into(), link, choice: None })
    })
    .await
}

/// Answers for a genuine approval ID, and gives a comment back that comes to nothing. A forged ID
/// never gets as far as Temporal.
async fn about(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    comment: &str,
    answer: impl AsyncFnOnce(&GenuineLink) -> Result<Reply, Problem>,
) -> Response {
    let wants = Wants::of(headers);
    let Some(link) = id.parse::<ApprovalId>().ok().and_then(|id| app.keys().verify(&id)) else {
        return Reply::from(Problem::NotIssued(id.to_owned())).respond(app.site(), wants);
    };
    let reply = match app.limits().by_link(link.hash()) {
        Ok(()) => answer(&link).await,
        Err(wait) => Err(wait.into()),
    };
    let reply = reply.unwrap_or_else(|problem| Reply::Problem(problem, comment.to_owned()));
    let mut response = reply.respond(app.site(), wants);
    response.extensions_mut().insert(About(link.hash().clone()));
    response
}

/// A form's fields.
async fn fields(request: Request) -> Result<Vec<(String, String)>, Problem> {
    if !is_form(request.headers()) {
        return Err(Problem::NotAForm);
    }
    let body = timeout(FORM_WITHIN, Bytes::from_request(request, &())).await;
    match body.map_err(|_| Problem::Incomplete)? {
        Ok(body) => Ok(form_urlencoded::parse(&body).into_owned().collect()),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::TooLarge)
        }
        Err(_) => Err(Problem::Incomplete),
    }
}

/// Whether the body's type is a form's: in any case (RFC 9110, 8.3.1), with whatever parameters.
fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(FORM)
}

/// All that a form says of a field.
fn all<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(field, _)| field == name).map(|(_, value)| &**value).collect()
}

/// A form's comment, as it is shown.
fn comment(fields: &[(String, String)]) -> String {
    clean(all(fields, "comment").first().unwrap_or(&"").trim())
}

/// A form's verdict, where its comment can be taken too.
fn decision(fields: &[(String, String)], comment: &str) -> Result<Verdict, Problem> {
    let verdict = match all(fields, "verdict")[..] {
        [one] => Verdict::from_name(one),
        _ => None,
    };
    let verdict = verdict.ok_or(Problem::Field {
        field: "verdict",
        wrong: "verdict: it is missing or unknown. Please press one of the buttons.",
    })?;
    if comment.chars().count() > names::COMMENT_MAX_CHARS {
        return Err(Problem::Field {
            field: "comment",
            wrong: "comment: it may have 2,000 characters. Please shorten it.",
        });
    }
    Ok(verdict)
}

#[derive(Deserialize)]
struct Typed {
    id: Option<String>,
}

async fn home(State(app): State<App>, typed: Result<Query<Typed>, QueryRejection>) -> Response {
    let typed = typed.ok().and_then(|Query(typed)| typed.id);
    let (status, problem) = match typed.as_deref().map(str::parse::<ApprovalId>) {
        Some(Ok(id)) => {
            let page = format!("{}/a/{}", app.site().root, id.reveal());
            return Redirect::to(&page).into_response();
        }
        Some(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}.")),
        None => (StatusCode::OK, String::new()),
    };
    let typed = clean_line(&typed.unwrap_or_default());
    page(status, &HomePage { site: app.site(), problem: &problem, typed: &typed })
}

async fn stylesheet(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    match file {
        // While one version follows another, a page of one may ask the other for its stylesheet.
        Ok(Path(file)) if is_stylesheet(&file) => {
            let cached = match file == *STYLESHEET_NAME {
                true => "public, max-age=31536000, immutable",
                false => "no-store",
            };
            let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, cached)];
            (headers, STYLESHEET).into_response()
        }
        _ => Reply::from(Problem::NotFound).respond(app.site(), Wants::of(&headers)),
    }
}

/// Whether a version of this service may have called its stylesheet that.
fn is_stylesheet(file: &str) -> bool {
    file.strip_prefix("style-").is_some_and(|rest| rest.ends_with(".css"))
}

/// Some proxies probe by OPTIONS, and read no more than the status.
async fn ready_by_options(app: State<App>) -> impl IntoResponse {
    ([(ALLOW, PROBE_METHODS)], ready(app).await)
}

async fn ready(State(app): State<App>) -> Response {
    match app.approvals().ready().await {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "Temporal does not answer\n").into_response(),
    }
}

async fn outbox(State(app): State<App>, headers: HeaderMap) -> Response {
    let listed = match app.outbox().cloned() {
        Some(outbox) => tokio::task::spawn_blocking(move || outbox.list()).await,
        None => Ok(Ok(Vec::new())),
    };
    match listed.map_err(std::io::Error::other).flatten() {
        Ok(mails) => page(StatusCode::OK, &OutboxPage { site: app.site(), mails: &mails }),
        Err(error) => {
            tracing::error!(%error, "the outbox cannot be read");
            Reply::from(Problem::Unreadable).respond(app.site(), Wants::of(&headers))
        }
    }
}

async fn mail(
    State(app): State<App>,
    file: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let file = file.map(|Path(file)| file).unwrap_or_default();
    let read = |outbox: Outbox| tokio::task::spawn_blocking(move || outbox.mail(&file));
    let mail = match app.outbox().cloned() {
        Some(outbox) => read(outbox).await.unwrap_or_default(),
        None => None,
    };
    match mail {
        Some(mail) => page(StatusCode::OK, &MailPage { site: app.site(), mail: &mail }),
        None => Reply::from(Problem::NotFound).respond(app.site(), Wants::of(&headers)),
    }
}

async fn not_found(State(app): State<App>, headers: HeaderMap) -> Response {
    Reply::from(Problem::NotFound).respond(app.site(), Wants::of(&headers))
}

async fn method_not_allowed(State(app): State<App>, headers: HeaderMap) -> Response {
    Reply::from(Problem::Method).respond(app.site(), Wants::of(&headers))
}
