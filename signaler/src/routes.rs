//! The routes.

use std::{collections::BTreeSet, convert::identity, sync::LazyLock};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{
        HeaderMap, StatusCode, Uri,
        header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS},
    },
    middleware::{from_fn_with_state, map_request_with_state},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use countersign_protos::{
    ApprovalId, GenuineLink, InvalidApprovalId, Pressed, answers, text::clean_line,
};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    App,
    acts::{Effect, Wanted},
    answer::{Answer, after_act, after_press, fields, is_offered, on_view},
    arrived::{self, Linked},
    decision::Press,
    delegation::Delegation,
    delegation_form::Delegating,
    form::{self, Filled, Form, Unconfirmed},
    inputs::wrong_answers,
    metrics::metrics,
    middleware::{self, About, CSP_IN_FRAME, CSP_WITH_FRAME},
    openapi::openapi,
    outbox::Mail,
    problem::Problem,
    reply::{Accept, Reply, Said, page, problem_status},
    revision::Wish,
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

const HOME: &str = "/";
const BY_ID: &str = "/a/{approval-id}";
const APPROVAL: &str = "/a/{approval-id}/{workflow-id}";
const JWKS: &str = "/.well-known/jwks.json";
const OPENAPI: &str = "/openapi.json";
const ASSETS: &str = "/assets/{file}";
const READY: &str = "/readyz";
const ALIVE: &str = "/healthz";
const OUTBOX: &str = "/outbox";
const MAIL: &str = "/outbox/{mail}";
const MAIL_HTML: &str = "/outbox/{mail}/html";

/// The paths of all routes, which [`openapi`](crate::openapi) describes.
#[cfg(test)]
pub(crate) const PATHS: [&str; 11] =
    [HOME, BY_ID, APPROVAL, JWKS, OPENAPI, ASSETS, READY, ALIVE, OUTBOX, MAIL, MAIL_HTML];

/// All routes, at the root and under the public URL's path: proxies may or may not strip that path.
pub(crate) fn router(app: App) -> Router {
    let mut routes: Router<App> = Router::new()
        .route(HOME, get(home))
        .route(BY_ID, get(view).post(decide))
        .route(APPROVAL, get(view).post(decide))
        .route(JWKS, get(jwks))
        .route(OPENAPI, get(openapi))
        .route(ASSETS, get(stylesheet))
        .route(READY, get(ready).options(ready_by_options));
    if app.0.outbox.is_some() {
        let mails: Router<App> = Router::new()
            .route(OUTBOX, get(outbox))
            .route(MAIL, get(mail))
            .route(MAIL_HTML, get(mail_html));
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
        all = all.route(&format!("{base}{ALIVE}"), alive.clone());
    }
    let all = all
        .layer(from_fn_with_state(app.clone(), middleware::time_out))
        .layer(from_fn_with_state(app.clone(), middleware::add_headers))
        .layer(from_fn_with_state(app.clone(), middleware::log))
        .with_state(app.clone());
    // In a router of its own: a layer runs after its router has matched the path.
    let mend_path = map_request_with_state(app, middleware::mend_path);
    Router::new().fallback_service(all).layer(mend_path)
}

/// What the address of a page says besides its link.
#[derive(Default, Deserialize)]
struct Asked {
    choice: Option<String>,
    /// What a browser is sent on with after a press.
    pressed: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Segments {
    approval_id: String,
    workflow_id: Option<String>,
}

/// What a link says, and what else its address does.
fn linked(
    segments: Result<Path<Segments>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> (Linked, Option<String>) {
    let Segments { approval_id, workflow_id } = segments.map(|Path(it)| it).unwrap_or_default();
    let Asked { choice, pressed } = asked.map(|Query(it)| it).unwrap_or_default();
    let choice = choice.and_then(|choice| arrived::chosen(&choice));
    (Linked::in_path(approval_id, workflow_id, choice), pressed)
}

async fn view(
    State(app): State<App>,
    segments: Result<Path<Segments>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let (linked, receipt) = linked(segments, asked);
    let explain = if receipt.is_some() { Problem::after_press } else { identity };
    about(&app, &linked.id, &headers, (Filled::default(), explain), async |link| {
        let (_, reading) = app.0.approvals.find(link, linked.workflow_id.as_deref()).await?;
        if let Some(act) = receipt.as_deref().and_then(|it| link.acted(it, Timestamp::now())) {
            let answer = after_act(&reading, link.hash());
            let (reading, link) = (reading.into(), link.hash().clone());
            return Ok(Reply::OfSubmitter { said: Said::After { answer, act }, reading, link });
        }
        let pressed = receipt.and_then(|receipt| link.pressed(&receipt, Timestamp::now()));
        let answer = match pressed {
            Some(pressed) => after_press(&reading, link.hash(), pressed),
            None => on_view(&reading, link.hash()),
        };
        let pressed = pressed.filter(|it| !it.counted).map(|it| it.verdict);
        let (reading, link) = (reading.into(), link.hash().clone());
        Ok(Reply::Approval { answer, reading, link, choice: linked.choice, pressed })
    })
    .await
}

async fn decide(
    State(app): State<App>,
    segments: Result<Path<Segments>, PathRejection>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let (linked, _) = linked(segments, Ok(Query(Asked::default())));
    let hint = linked.workflow_id.as_deref();
    // What comes with a forged ID is not read.
    let form = match genuine(&app, &linked.id) {
        Some(_) => Form::read(request).await,
        None => Err(Problem::NotAForm),
    };
    let filled = form.as_ref().map(Form::filled).unwrap_or_default();
    let form_of = form.as_ref().ok();
    let delegating = form_of.and_then(Form::delegating);
    let written = match (&delegating, form_of.and_then(Form::wish)) {
        (Some(delegating), _) => delegating.reason.clone(),
        (None, Some(Ok(wish))) => wish.text(),
        (None, Some(Err(_)) | None) => String::new(),
    };
    let written = match written.is_empty() {
        true => filled.clone(),
        false => Filled { comment: written, ..Filled::default() },
    };
    about(&app, &linked.id, &headers, (written, identity), async |link| {
        let accept = Accept::of(&headers);
        let reply = match delegating {
            Some(delegating) => delegate(&app, link, hint, delegating, accept).await,
            None => press(&app, link, hint, (form, &filled), accept).await,
        };
        metrics().pressed(reply.as_ref().map_or_else(|why| problem_status(why).1, Reply::name));
        reply
    })
    .await
}

async fn press(
    app: &App,
    link: &GenuineLink,
    hint: Option<&str>,
    (form, filled): (Result<Form, Problem>, &Filled),
    accept: Accept,
) -> Result<Reply, Problem> {
    app.0.limits.by_decision(link.hash())?;
    let form = form?;
    if let Some(wish) = form.wish() {
        return acted(app, link, hint, &wish?, form.nonce()).await;
    }
    match filled.checked() {
        Ok(verdict) => {
            let Filled { comment, answers, .. } = filled;
            let press = Press { verdict, comment, answers, nonce: form.nonce() };
            pressed(app, link, hint, press).await
        }
        Err(problem) if accept == Accept::Json => Err(problem),
        Err(problem) => refused(app, link, hint, problem, filled).await,
    }
}

/// What comes of something that the submitter wants.
async fn acted(
    app: &App,
    link: &GenuineLink,
    hint: Option<&str>,
    wish: &Wish,
    nonce: &str,
) -> Result<Reply, Problem> {
    let (effect, reading) = app.0.approvals.signal(link, hint, Wanted { wish, nonce }).await?;
    let (act, now) = (wish.act(), Timestamp::now());
    let said = match effect {
        Effect::Refused(mistakes) => {
            let problem = Problem::Mistaken(mistakes);
            Said::Refused { problem, wish: wish.clone() }
        }
        Effect::Unconfirmed(deed) => {
            let nonce = link.nonce_of(deed.statement(), now);
            Said::Unconfirmed { wish: wish.clone(), nonce }
        }
        Effect::Answered(answer) => Said::Done { answer, act, receipt: link.receipt_of(act, now) },
    };
    Ok(Reply::OfSubmitter { said, reading: reading.into(), link: link.hash().clone() })
}

/// What comes of a form that has a colleague asked.
async fn delegate(
    app: &App,
    link: &GenuineLink,
    hint: Option<&str>,
    filled: Delegating,
    accept: Accept,
) -> Result<Reply, Problem> {
    app.0.limits.by_decision(link.hash())?;
    let hash = link.hash().clone();
    let (said, reading) = match filled.checked() {
        Ok(to) => {
            let delegation = Delegation { to: &to, reason: &filled.reason };
            app.0.approvals.signal(link, hint, delegation).await?
        }
        Err(why) if accept == Accept::Json => return Err(Problem::NotDelegated(why)),
        Err(why) => match app.0.approvals.find(link, hint).await {
            Ok((_, reading)) => (Err(why), reading),
            Err(_) => return Err(Problem::NotDelegated(why)),
        },
    };
    let can_correct = is_offered(on_view(&reading, &hash), reading.state(), &hash);
    let reading = reading.into();
    match said {
        Ok(answer) => Ok(Reply::Delegated { answer, reading, link: hash, to: filled.to }),
        Err(why) if can_correct => Ok(Reply::NotDelegated { why, filled, reading, link: hash }),
        Err(why) => Err(Problem::NotDelegated(why)),
    }
}

/// What comes of a decision.
async fn pressed(
    app: &App,
    link: &GenuineLink,
    hint: Option<&str>,
    press: Press<'_>,
) -> Result<Reply, Problem> {
    let (Press { verdict, comment, answers, .. }, hash) = (press, link.hash().clone());
    let (answer, reading) = app.0.approvals.signal(link, hint, press).await?;
    let (reading, now) = (Box::new(reading), Timestamp::now());
    let (comment, answers) = (comment.to_owned(), answers.clone());
    let fields = &fields(reading.state()).to_vec();
    let answered = answers::check(fields, verdict, &answers);
    Ok(match answer {
        Answer::Unconfirmed => {
            let answers = answered.unwrap_or_default();
            let nonce = link.nonce(verdict, &comment, &answers::by_name(&answers), now);
            let pressed = Unconfirmed { verdict, comment, answers, nonce };
            Reply::Unconfirmed { pressed, reading, link: hash }
        }
        Answer::Uncommented | Answer::Unanswered | Answer::Unchangeable => {
            let filled = Filled { verdict: Some(verdict), comment, answers };
            let problem = match answer {
                Answer::Uncommented => Problem::CommentMissing(verdict),
                Answer::Unchangeable => Problem::NoMoreChanges,
                _ => {
                    Problem::WrongAnswers(wrong_answers(fields, answered.err().unwrap_or_default()))
                }
            };
            Reply::Refused { problem, filled, reading, link: hash }
        }
        answer => {
            let counted = answer == Answer::Recorded;
            let receipt = link.receipt(Pressed { verdict, counted }, now);
            Reply::Decided { answer, reading, link: hash, verdict, receipt }
        }
    })
}

/// A form that is refused, with all that was in it, if the approval can be shown and decided.
async fn refused(
    app: &App,
    link: &GenuineLink,
    hint: Option<&str>,
    problem: Problem,
    filled: &Filled,
) -> Result<Reply, Problem> {
    let Ok((_, reading)) = app.0.approvals.find(link, hint).await else { return Err(problem) };
    let hash = link.hash().clone();
    match is_offered(on_view(&reading, &hash), reading.state(), &hash) {
        true => {
            let (filled, reading) = (filled.clone(), reading.into());
            Ok(Reply::Refused { problem, filled, reading, link: hash })
        }
        false => Err(problem),
    }
}

/// Answers for a genuine approval ID. A problem's page is that of what `explain` makes of it, and returns what was
/// filled in. A forged ID is refused before any call to Temporal.
async fn about(
    app: &App,
    id: &str,
    headers: &HeaderMap,
    (filled, explain): (Filled, fn(Problem) -> Problem),
    answer: impl AsyncFnOnce(&GenuineLink) -> Result<Reply, Problem>,
) -> Response {
    let accept = Accept::of(headers);
    let Some(link) = genuine(app, id) else {
        return Reply::from(Problem::NotIssued(id.to_owned())).respond(&app.0.site, accept);
    };
    let reply = match app.0.limits.by_link(link.hash()) {
        Ok(()) => answer(&link).await,
        Err(limited) => Err(limited),
    };
    let reply = reply.unwrap_or_else(|problem| Reply::Problem(explain(problem), filled));
    let mut response = reply.respond(&app.0.site, accept);
    response.extensions_mut().insert(About(link.hash().clone()));
    response
}

fn genuine(app: &App, id: &str) -> Option<GenuineLink> {
    app.0.keys.verify(&id.parse::<ApprovalId>().ok()?)
}

#[derive(Deserialize)]
struct Typed {
    id: Option<String>,
}

async fn home(State(app): State<App>, typed: Result<Query<Typed>, QueryRejection>) -> Response {
    let typed = typed.ok().and_then(|Query(typed)| typed.id);
    let (status, problem) = match typed.as_deref().map(Linked::in_field) {
        Some(Some(linked)) => {
            return Redirect::to(&linked.page(&app.0.site.root)).into_response();
        }
        Some(None) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{InvalidApprovalId}.")),
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
        _ => Reply::from(Problem::NO_PAGE).respond(&app.0.site, Accept::of(&headers)),
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
        None => Reply::from(Problem::NO_PAGE).respond(&app.0.site, Accept::of(&headers)),
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
        None => Reply::from(Problem::NO_PAGE).respond(&app.0.site, Accept::of(&headers)),
    }
}

async fn read_mail(app: &App, file: String) -> Option<Mail> {
    let outbox = app.0.outbox.clone()?;
    tokio::task::spawn_blocking(move || outbox.mail(&file)).await.unwrap_or_default()
}

async fn not_found(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let problem = Problem::NotFound(arrived::id_in(uri.path()));
    Reply::from(problem).respond(&app.0.site, Accept::of(&headers))
}

async fn method_not_allowed(State(app): State<App>, headers: HeaderMap) -> Response {
    Reply::from(Problem::MethodNotAllowed).respond(&app.0.site, Accept::of(&headers))
}
