//! The service as its clients see it, through its own router, while Temporal cannot be reached.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use countersign_protos::{ApprovalId, Chain, LinkContext, LinkKeys};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tower::ServiceExt;

mod service;

use service::KEY;

const OTHER_KEY: &str = countersign_protos::TEST_KEYS[1];
const FORM: &str = "application/x-www-form-urlencoded";

/// The service, with its settings changed by `flags`.
fn service(flags: &[&str]) -> Router {
    service_at("https://ok.example", flags)
}

fn service_at(public_url: &str, flags: &[&str]) -> Router {
    service::service(public_url, "", flags).router()
}

/// The service beside a worker that sends mails like this.
fn service_beside(notify: &str, flags: &[&str]) -> Router {
    service::service("https://ok.example", notify, flags).router()
}

fn approval_id(key: &str) -> ApprovalId {
    let keys: LinkKeys = key.parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    keys.first().link(LinkContext::new(chain, "v1:0", "ann@example.com")).id().clone()
}

fn genuine() -> String {
    format!("/a/{}", approval_id(KEY).reveal())
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn send(service: &Router, request: Request<Body>) -> Answer {
    let response = service.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("text");
    Answer { status: parts.status, headers: parts.headers, body }
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

/// Asked on the same machine.
async fn get(service: &Router, path: &str) -> Answer {
    let from = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000)));
    let request = request(Method::GET, path).extension(from).body(Body::empty());
    send(service, request.expect("a request")).await
}

async fn post(service: &Router, path: &str, form: &str) -> Answer {
    let request = request(Method::POST, path).header(header::CONTENT_TYPE, FORM);
    send(service, request.body(form.to_owned().into()).expect("a request")).await
}

async fn post_for_json(service: &Router, path: &str, form: &str) -> Answer {
    let request = request(Method::POST, path)
        .header(header::CONTENT_TYPE, FORM)
        .header(header::ACCEPT, "application/json");
    send(service, request.body(form.to_owned().into()).expect("a request")).await
}

fn assert_protected(answer: &Answer) {
    let csp = answer.header("content-security-policy");
    assert!(csp.starts_with("default-src 'none';"), "{csp}");
    assert!(csp.contains("frame-ancestors 'none'") && csp.contains("form-action 'self'"), "{csp}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(answer.header("x-robots-tag"), "noindex");
    assert!(!answer.header("cache-control").is_empty());
}

#[tokio::test]
async fn a_malformed_or_forged_approval_id_is_refused_without_asking_temporal() {
    let service = service(&[]);
    let forged = format!("/a/{}", approval_id(OTHER_KEY).reveal());
    for path in ["/a/x", "/a/7K3Q", "/a/%FF", "/a/..%2f..", forged.as_str()] {
        // Asking Temporal, which is not there, would make this a 503.
        assert_eq!(get(&service, path).await.status, StatusCode::NOT_FOUND, "{path}");
        let posted = post(&service, path, "verdict=approve").await;
        assert_eq!(posted.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn without_temporal_the_answer_comes_at_once_and_says_that_nothing_was_recorded() {
    let service = service(&[]);
    let began = Instant::now();
    let seen = get(&service, &genuine()).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    let posted = post(&service, &genuine(), "verdict=approve&comment=Three+quotes").await;
    assert_eq!(posted.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(posted.body.contains("Nothing was recorded"), "{}", posted.body);
    assert!(posted.body.contains("Three quotes</textarea>"), "it is given back: {}", posted.body);
    assert!(!posted.header("retry-after").is_empty());
    let revised = "act=revise&title=Nine+laptops&label=Where&value=Leipzig";
    let revised = post(&service, &genuine(), revised).await;
    for typed in ["Nothing was recorded", "Nine laptops", "Where: Leipzig</textarea>"] {
        assert!(revised.body.contains(typed), "{typed}: {}", revised.body);
    }
    assert!(!revised.body.contains("decision"), "submitters have none: {}", revised.body);
    assert_eq!(get(&service, "/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&service, "/healthz").await.status, StatusCode::OK);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_wrong_form_is_refused_with_the_field_that_is_wrong() {
    let service = service(&[]);
    let long = format!("verdict=approve&comment={}", "%C3%A9".repeat(2_001));
    let longest = format!("verdict=approve&comment={}", "%C3%A9".repeat(2_000));
    let delegated = format!("delegate_to=cy%40example.com&reason={}", "%C3%A9".repeat(2_001));
    let huge = format!("verdict=approve&comment={}", "x".repeat(140_000));
    for (form, status, field) in [
        ("", 422, Some("verdict")),
        ("comment=hello", 422, Some("verdict")),
        ("verdict=maybe", 422, Some("verdict")),
        ("verdict=approve&verdict=reject", 422, Some("verdict")),
        ("delegate_to=cy%40example.com&reason=why&verdict=approve", 422, Some("delegate_to")),
        ("delegate_to=cy%40example.com&delegate_to=x&reason=why", 422, Some("delegate_to")),
        ("delegate_to=cy&reason=why", 422, Some("delegate_to")),
        ("delegate_to=cy%40example.com&reason=+", 422, Some("reason")),
        (&delegated, 422, Some("reason")),
        ("delegate_to=cy%40example.com&reason=why", 503, None),
        (&long, 422, Some("comment")),
        (&huge, 413, Some("body")),
        // These are good, and get as far as Temporal, which is not there.
        (&longest, 503, None),
        ("verdict=reject&comment=%00%FFx&unknown=1", 503, None),
    ] {
        let shown = &form[..form.len().min(60)];
        let answer = post_for_json(&service, &genuine(), form).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.json()["field"].as_str(), field, "{shown}");
        assert_eq!(post(&service, &genuine(), form).await.status, status, "{shown}");
    }
    let no_form = request(Method::POST, &genuine()).header(header::CONTENT_TYPE, "text/plain");
    let answer = send(&service, no_form.body("verdict=approve".into()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_wrong_form_of_the_submitter_is_refused_with_the_field_that_is_wrong() {
    let service = service(&[]);
    // A revision has all of a submission.
    let large = format!("act=revise&description={}", "x".repeat(200_000));
    let too_large = format!("act=revise&description={}", "x".repeat(800_000));
    let too_many_rows = format!("act=revise&title=x{}", "&label=a".repeat(50_000));
    for (form, status, field) in [
        ("act=approve", 422, Some("act")),
        ("act=revise&submission={}&submission={}", 422, Some("act")),
        ("act=revise&submission={", 422, Some("submission")),
        ("act=revise&submission=%7B%22documents%22%3A1%7D", 422, Some("submission")),
        (&too_large, 413, Some("body")),
        (&too_many_rows, 413, Some("body")),
        // These are good, and get as far as Temporal, which is not there.
        ("act=revise&title=Nine+laptops&label=From&value=today", 503, None),
        ("act=revise&submission=%7B%22submissionId%22%3A%22PO-1%22%7D", 503, None),
        ("act=withdraw&reason=twice", 503, None),
        (&large, 503, None),
    ] {
        let shown = &form[..form.len().min(60)];
        let answer = post_for_json(&service, &genuine(), form).await;
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.json()["field"].as_str(), field, "{shown}");
        assert_eq!(post(&service, &genuine(), form).await.status, status, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_does_not_arrive_is_not_recorded_and_that_is_known() {
    let service = service(&[]);
    let begun = || stream::once(async { Ok("verdict=approve&comm") });
    let broken = begun().chain(stream::once(async { Err(ErrorKind::ConnectionReset.into()) }));
    let silent = begun().chain(stream::pending::<std::io::Result<_>>());
    for body in [Body::from_stream(broken), Body::from_stream(silent)] {
        let request = request(Method::POST, &genuine()).header(header::CONTENT_TYPE, FORM);
        let answer = send(&service, request.body(body).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
        assert!(answer.body.contains("Nothing was recorded"), "{}", answer.body);
        assert_protected(&answer);
    }
}

#[tokio::test]
async fn a_comment_that_is_too_long_is_given_back_and_escaped() {
    let form = format!("verdict=approve&comment=%3Cscript%3E{}", "x".repeat(2_000));
    let answer = post(&service(&[]), &genuine(), &form).await;
    assert!(answer.body.contains(&"x".repeat(2_000)));
    assert!(!answer.body.contains("<script"), "{}", answer.body);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let service = service(&["--limit-link", "4/1"]);
    let link = genuine();
    let (a, b) = (get(&service, "/").await, get(&service, "/nowhere").await);
    let (c, d) = (get(&service, "/a/x").await, get(&service, "/healthz").await);
    let (e, f) = (get(&service, "/readyz").await, get(&service, &link).await);
    let (g, h) =
        (post(&service, &link, "").await, post(&service, &link, &"x".repeat(140_000)).await);
    let delete = request(Method::DELETE, &link).body(Body::empty()).expect("a request");
    let delete_probe = request(Method::PUT, "/healthz").body(Body::empty()).expect("a request");
    let (i, j) = (send(&service, delete).await, send(&service, delete_probe).await);
    let found = get(&service, &format!("/?id={}", &link[3..])).await;
    let _ = get(&service, &link).await;
    let limited = get(&service, &link).await;
    let answers = [a, b, c, d, e, f, g, h, i, j, found, limited];
    let statuses = answers.iter().map(|answer| answer.status.as_u16()).collect::<Vec<_>>();
    assert_eq!(statuses, [200, 404, 404, 200, 503, 503, 422, 413, 405, 405, 303, 429]);
    for answer in &answers {
        assert_protected(answer);
        assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    }
    assert_eq!(answers[8].header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn the_stylesheet_is_found_and_may_be_cached_for_ever() {
    let service = service(&[]);
    let home = get(&service, "/").await;
    let (_, rest) = home.body.split_once("href=\"/assets/").expect("a stylesheet");
    let path = format!("/assets/{}", rest.split('"').next().expect("a name"));
    let style = get(&service, &path).await;
    assert_eq!(style.status, StatusCode::OK);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("immutable"));
    assert_protected(&style);
    for other in ["other.css", "style.css", "style-1.js", "style-", "a/style-1.css"] {
        let answer = get(&service, &format!("/assets/{other}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{other}");
    }
}

#[tokio::test]
async fn a_page_of_another_version_is_styled_too_and_its_stylesheet_is_not_kept() {
    let service = service_at("https://ok.example/base", &[]);
    for path in ["/assets/style-0123456789abcdef.css", "/base/assets/style-.css"] {
        let style = get(&service, path).await;
        assert_eq!(style.status, StatusCode::OK, "{path}");
        assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
        assert!(style.body.contains("--"), "today's stylesheet: {}", style.body);
        assert_eq!(style.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn probes_are_answered_at_the_root_and_under_the_base_path_also_to_options() {
    let service = service_at("https://ok.example/some/base", &[]);
    for (page, status) in [("healthz", 200), ("readyz", 503)] {
        for path in [format!("/{page}"), format!("/some/base/{page}")] {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                let probe = request(method.clone(), &path).body(Body::empty()).expect("a request");
                let answer = send(&service, probe).await;
                assert_eq!(answer.status, status, "{method} {path}");
                assert_protected(&answer);
                if method == Method::OPTIONS {
                    assert_eq!(answer.header("allow"), "GET,HEAD,OPTIONS", "{path}");
                }
            }
            assert_eq!(post(&service, &path, "").await.status, 405, "{path}");
        }
    }
}

#[tokio::test]
async fn a_doubled_slash_is_forgiven() {
    let service = service_at("https://ok.example/base", &[]);
    let id = approval_id(KEY).reveal();
    for path in ["//a/ID", "/a//ID", "/base//a/ID", "//base/a///ID?choice=approve"] {
        let path = path.replace("ID", &id);
        // A genuine ID gets as far as Temporal, which is not there.
        assert_eq!(get(&service, &path).await.status, 503, "{path}");
        assert_eq!(post(&service, &path, "verdict=approve").await.status, 503, "{path}");
    }
    for path in ["//", "/base//", "//healthz", "//assets//style-.css"] {
        assert_eq!(get(&service, path).await.status, 200, "{path}");
    }
    assert_eq!(get(&service, "//nowhere//at/all").await.status, 404);
    let typed = get(&service, &format!("//?id={id}//{id}")).await;
    assert_eq!(typed.status, 422, "what is asked for stays as it is");
}

/// Each row: where it arrives, how, and what it has to open. `ID` stands for the mailed ID with its dashes, and `URL`
/// for the whole mailed link.
const ARRIVALS: &str = include_str!("links.tsv");

#[tokio::test]
async fn links_and_ids_open_their_request_however_they_arrive() {
    let id = approval_id(KEY).reveal();
    let link = format!("https://ok.example/base/a/{id}/laptops?choice=approve");
    for public_url in ["https://ok.example", "https://ok.example/base"] {
        let service = service_at(public_url, &[]);
        for row in ARRIVALS.lines().filter(|row| !row.starts_with('#')) {
            let [place, arrives, right] = row.split('\t').collect::<Vec<_>>()[..] else {
                panic!("three columns: {row}")
            };
            let arrives = match arrives.rsplit_once("ID") {
                Some((before, after)) => format!("{before}{id}{after}"),
                None => arrives.replace("URL", &link),
            };
            match place {
                "path" => assert_path(&service, &written(&arrives, &id), &id, right).await,
                "field" => assert_field(&service, &written(&arrives, &id), &id, right).await,
                _ => panic!("{row}"),
            }
        }
    }
}

/// What a row describes in words, written out.
fn written(arrives: &str, id: &str) -> String {
    let full_width = || id.chars().filter_map(|c| char::from_u32(c as u32 + 0xFEE0)).collect();
    let other = if id.ends_with('7') { "8" } else { "7" };
    match arrives.split_once(' ') {
        Some((_, "in lower case")) => format!("/a/{}", id.to_lowercase()),
        Some((path, "with U+2013 for each dash")) => path.replace('-', "%E2%80%93"),
        Some((path, "with U+200B behind it")) => format!("{path}%E2%80%8B"),
        Some((path, "with U+00AD inside")) => path.replacen('-', "-%C2%AD", 1),
        Some((path, "with one character changed")) => format!("{}{other}", &path[..path.len() - 1]),
        Some((url, "without its scheme")) => url.replace("https://", ""),
        Some((_, "in full-width letters")) => full_width(),
        Some((id, "twice")) => format!("{id} {id}"),
        // As browsers write it in a path.
        _ if arrives.starts_with('/') => arrives.replace('>', "%3E"),
        _ => arrives.to_owned(),
    }
}

/// A genuine ID gets as far as Temporal, which is not there.
async fn assert_path(service: &Router, path: &str, id: &str, right: &str) {
    let seen = get(service, path).await;
    let posted = post(service, path, "verdict=approve").await;
    match right {
        "the request" | "the request, approve chosen" => {
            assert_eq!((seen.status.as_u16(), posted.status.as_u16()), (503, 503), "{path}");
        }
        "404, the typed ID kept in the field" | "404, the ID kept in the field" => {
            let kept = if path.starts_with("/x/") { id } else { &path[3..] };
            let field = format!("value=\"{kept}\"");
            assert_eq!((seen.status.as_u16(), posted.status.as_u16()), (404, 404), "{path}");
            assert!(seen.body.contains(&field), "{field}: {}", seen.body);
        }
        _ => panic!("{right}"),
    }
}

async fn assert_field(service: &Router, text: &str, id: &str, right: &str) {
    let typed: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let answer = get(service, &format!("/?id={typed}")).await;
    match right {
        "the request" => {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{text}");
            let page = answer.header("location");
            assert!(page.contains(&format!("/a/{id}")), "{text} leads to {page}");
            assert_eq!(get(service, page).await.status, 503, "{page}");
        }
        "422" => {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
            assert!(answer.body.contains(&format!("value=\"{text}\"")), "{}", answer.body);
        }
        _ => panic!("{right}"),
    }
}

#[tokio::test]
async fn media_types_are_read_in_any_case() {
    let service = service(&[]);
    for (content_type, status) in [
        ("application/x-www-form-urlencoded", 503),
        ("Application/X-WWW-Form-UrlEncoded", 503),
        ("APPLICATION/X-WWW-FORM-URLENCODED; Charset=UTF-8", 503),
        ("application/x-www-form-urlencoded ;charset=utf-8", 503),
        ("application/x-www-form-urlencoded-not", 415),
        ("text/plain", 415),
        ("", 415),
    ] {
        let form = request(Method::POST, &genuine())
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "Application/JSON;Q=1");
        let answer = send(&service, form.body("verdict=approve".into()).expect("a request")).await;
        assert_eq!(answer.status, status, "{content_type}");
        assert_eq!(answer.header("content-type"), "application/json", "{content_type}");
    }
}

#[tokio::test]
async fn a_post_that_a_browser_marks_as_another_sites_is_refused() {
    // Good forms get as far as Temporal, which is not there.
    const SENT: u16 = 503;
    let service = service_at("https://ok.example/base", &["--trusted-proxies", "0.0.0.0"]);
    let table: &[(&[(&str, &str)], u16)] = &[
        // Programs, and browsers before 2020.
        (&[], SENT),
        (&[("host", "10.1.2.3:8088"), ("x-forwarded-host", "evil.example")], SENT),
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://ok.example")], SENT),
        (&[("sec-fetch-site", "none")], SENT),
        (&[("origin", "https://ok.example")], SENT),
        (&[("origin", "https://OK.example:443")], SENT),
        // The proxy asks under another name.
        (&[("origin", "https://ok.example"), ("host", "signaler.internal:8088")], SENT),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "Cross-Site")], 403),
        (&[("sec-fetch-site", "")], 403),
        (&[("sec-fetch-site", "same-origin, cross-site")], 403),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "")], 403),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "http://ok.example")], 403),
        (&[("origin", "https://ok.example:8443")], 403),
        (&[("origin", "https://ok.example.evil.example")], 403),
        (&[("origin", "https://a.ok.example")], 403),
        (&[("origin", "https://ok.example@evil.example")], 403),
        (&[("origin", "file://")], 403),
        (&[("origin", "https://ok.example"), ("origin", "https://evil.example")], 403),
        // Who asks says who they are, and not who we are.
        (&[("origin", "https://evil.example"), ("host", "evil.example")], 403),
        (&[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")], 403),
        // By a name that leads here, but is not the public one.
        (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], 403),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://ok.example")], 403),
    ];
    for (headers, status) in table {
        for path in [genuine(), format!("/base{}", genuine())] {
            let mut form = request(Method::POST, &path).header(header::CONTENT_TYPE, FORM);
            for (name, value) in *headers {
                form = form.header(*name, *value);
            }
            let answer =
                send(&service, form.body("verdict=approve".into()).expect("a request")).await;
            assert_eq!(answer.status, *status, "{headers:?}");
            assert_protected(&answer);
            if *status == 403 {
                assert!(answer.body.contains("Nothing was recorded"), "{}", answer.body);
            }
        }
        // Whoever follows a link comes from elsewhere.
        let mut look = request(Method::GET, &genuine()).header(header::ACCEPT, "application/json");
        for (name, value) in *headers {
            look = look.header(*name, *value);
        }
        let look = send(&service, look.body(Body::empty()).expect("a request")).await;
        assert_eq!(look.json()["answer"], "unavailable", "{headers:?}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let service = service(&[]);
    for path in ["/", "/nowhere", genuine().as_str()] {
        let head = request(Method::HEAD, path).body(Body::empty()).expect("a request");
        let head = send(&service, head).await;
        assert_eq!(head.status, get(&service, path).await.status, "{path}");
        assert_eq!(head.body, "", "{path}");
        assert_protected(&head);
    }
}

#[tokio::test]
async fn a_typed_approval_id_leads_to_its_page_however_it_is_typed() {
    let service = service(&[]);
    let id = approval_id(KEY).reveal();
    for typed in [id.clone(), id.to_lowercase(), id.replace('-', ""), id.replace('-', "+")] {
        let answer = get(&service, &format!("/?id={typed}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{typed}");
        assert_eq!(answer.header("location"), format!("/a/{id}"));
    }
    let wrong = get(&service, "/?id=%3Cb%3E7K3Q").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.body.contains("<b>"));
}

#[tokio::test]
async fn a_mistyped_approval_id_is_given_back_to_be_corrected() {
    let service = service(&[]);
    let field = |text: &str| format!("value=\"{text}\"");
    let too_short = get(&service, "/?id=%22%3E7K3Q").await;
    assert!(too_short.body.contains(&field("&#34;&#62;7K3Q")), "{}", too_short.body);
    let forged = approval_id(OTHER_KEY).reveal();
    let not_issued = get(&service, &format!("/a/{forged}")).await;
    assert!(not_issued.body.contains(&field(&forged)), "{}", not_issued.body);
    for answer in [too_short, not_issued] {
        assert_protected(&answer);
        assert_eq!(answer.header("cache-control"), "no-store, no-transform");
    }
    let nothing_typed = get(&service, "/").await;
    assert!(nothing_typed.body.contains(&field("")), "{}", nothing_typed.body);
}

#[tokio::test]
async fn too_many_requests_of_one_client_are_refused_and_others_are_not() {
    let service = service(&["--limit-address", "2/1", "--trusted-proxies", "0.0.0.0"]);
    let ask = async |client: &str| {
        let request = request(Method::GET, "/").header("x-forwarded-for", client);
        send(&service, request.body(Body::empty()).expect("a request")).await
    };
    assert_eq!(ask("192.0.2.1").await.status, StatusCode::OK);
    assert_eq!(ask("192.0.2.1").await.status, StatusCode::OK);
    let refused = ask("192.0.2.1").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(ask("192.0.2.2").await.status, StatusCode::OK);
    assert_eq!(get(&service, "/healthz").await.status, StatusCode::OK);
}

/// The press may have been recorded.
#[tokio::test]
async fn where_the_page_after_a_press_cannot_be_shown_it_does_not_say_that_nothing_was_recorded() {
    let after = |service: &Router| {
        let (service, path) = (service.clone(), format!("{}?pressed=receipt", genuine()));
        async move { get(&service, &path).await }
    };
    let unavailable = after(&service(&[])).await;
    let by_link = service(&["--limit-link", "1/1"]);
    let _ = get(&by_link, &genuine()).await;
    let by_address = service(&["--limit-address", "1/1"]);
    let _ = get(&by_address, "/").await;
    let answers = [unavailable, after(&by_link).await, after(&by_address).await];
    assert_eq!(answers.each_ref().map(|answer| answer.status.as_u16()), [503, 429, 429]);
    for answer in answers {
        assert!(!answer.body.contains("Nothing was"), "{}", answer.body);
        assert!(answer.body.contains("what is recorded"), "{}", answer.body);
        assert!(!answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn decisions_on_one_link_are_limited_more_than_looking_at_it() {
    let service = service(&[]);
    for _ in 0..30 {
        assert_eq!(post(&service, &genuine(), "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let refused = post_for_json(&service, &genuine(), "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["answer"], "too_many_requests");
    assert_eq!(get(&service, &genuine()).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn under_a_base_path_every_link_has_it_and_both_paths_work() {
    let service = service_at("https://ok.example/some/base/", &[]);
    for path in ["/", "/some/base/", "/some/base"] {
        let home = get(&service, path).await;
        assert_eq!(home.status, StatusCode::OK, "{path}");
        assert!(home.body.contains("action=\"/some/base/\""), "{}", home.body);
        assert!(home.body.contains("href=\"/some/base/assets/style-"), "{}", home.body);
    }
    let found = get(&service, &format!("/some/base/?id={}", approval_id(KEY).reveal())).await;
    assert!(found.header("location").starts_with("/some/base/a/"));
    let page = get(&service, &format!("/some/base{}", genuine())).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_outbox_is_there_only_with_its_notifier_and_shows_nothing_else() {
    assert_eq!(get(&service(&[]), "/outbox").await.status, StatusCode::NOT_FOUND);
    let smtp = service_beside("smtp://mail.example", &[]);
    assert_eq!(get(&smtp, "/outbox").await.status, StatusCode::NOT_FOUND);

    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path().join("mails");
    std::fs::create_dir(&directory).expect("created");
    std::fs::write(root.path().join("secret.eml"), "Subject: secret\r\n\r\n").expect("written");
    let mail = "Subject: <i>Hi</i>\r\nTo: ann@example.com\r\n\r\n\
                See https://ok.example/a/ID <script>\r\n";
    std::fs::write(directory.join("1-ann@example.com.eml"), mail).expect("written");
    let service = service_beside(&format!("outbox:{}", directory.display()), &[]);
    let list = get(&service, "/outbox").await;
    assert_eq!(list.status, StatusCode::OK);
    assert!(list.body.contains("href=\"/outbox/1-ann@example.com.eml\""), "{}", list.body);
    let mail = get(&service, "/outbox/1-ann@example.com.eml").await;
    assert_eq!(mail.status, StatusCode::OK);
    assert!(mail.body.contains("<a href=\"https://ok.example/a/ID\">"), "{}", mail.body);
    assert!(!mail.body.contains("<script") && !mail.body.contains("<i>"), "{}", mail.body);
    assert!(!mail.body.contains("<iframe"), "it has no HTML: {}", mail.body);
    assert_eq!(get(&service, "/outbox/1-ann@example.com.eml/html").await.status, 404);
    for path in ["..%2fsecret.eml", "%2e%2e/secret.eml", "none.eml", "..", "%FF.eml"] {
        let answer = get(&service, &format!("/outbox/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_outbox_shows_a_mails_html_where_it_can_do_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mail = "Subject: Hi\r\nMIME-Version: 1.0\r\n\
                Content-Type: multipart/alternative; boundary=b\r\n\r\n\
                --b\r\nContent-Type: text/plain\r\n\r\nAs text\r\n\
                --b\r\nContent-Type: text/html\r\n\r\n\
                <html><head></head><body><script>alert(1)</script>As HTML</body></html>\r\n--b--\r\n";
    std::fs::write(directory.path().join("1.eml"), mail).expect("written");
    let notify = format!("outbox:{}", directory.path().display());
    for base in ["", "/base"] {
        let public_url = format!("https://ok.example{base}");
        let service = service::service(&public_url, &notify, &[]).router();
        let page = get(&service, "/outbox/1.eml").await;
        let frame = format!("src=\"{base}/outbox/1.eml/html\"");
        assert!(page.body.contains(&frame) && page.body.contains("As text"), "{}", page.body);
        assert!(page.body.contains("sandbox=\"allow-top-navigation-by-user-activation\""));
        assert!(!page.body.contains("As HTML"), "{}", page.body);
        assert_protected(&page);
        assert!(page.header("content-security-policy").ends_with("frame-src 'self'"));

        let framed = get(&service, &format!("{base}/outbox/1.eml/html")).await;
        assert_eq!(framed.status, StatusCode::OK);
        assert!(framed.body.contains("<base target=\"_top\">"), "{}", framed.body);
        assert!(framed.body.contains("As HTML"), "{}", framed.body);
        let csp = framed.header("content-security-policy");
        assert!(csp.contains("default-src 'none'") && csp.contains("; sandbox "), "{csp}");
        assert!(!csp.contains("allow-scripts") && !csp.contains("allow-same-origin"), "{csp}");
        assert!(csp.contains("frame-ancestors 'self'") && !csp.contains("script-src"), "{csp}");
        assert_eq!(framed.header("x-frame-options"), "SAMEORIGIN");
        assert_eq!(framed.header("x-content-type-options"), "nosniff");
        assert_eq!(framed.header("content-type"), "text/html; charset=utf-8");
    }
}

/// Browsers ask for `/favicon.ico` where a page has none.
#[tokio::test]
async fn a_page_brings_its_icon_which_its_policy_allows() {
    let page = get(&service(&[]), "/").await;
    assert!(page.body.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"), "{}", page.body);
    let csp = page.header("content-security-policy");
    assert!(csp.contains("; img-src data:;"), "{csp}");
}

#[tokio::test]
async fn the_outbox_is_shown_on_the_same_machine_alone() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("1.eml"), "Subject: Hi\r\n\r\nHi").expect("written");
    let notify = format!("outbox:{}", root.path().display());
    let proxies = ["--trusted-proxies", "127.0.0.1,10.0.0.0/8"];
    const HERE: u16 = 200;
    const ELSEWHERE: u16 = 403;
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let table: &[(&[&str], &str, Headers<'_>, u16)] = &[
        (&[], "127.0.0.1", &[], HERE),
        (&[], "127.3.2.1", &[], HERE),
        (&[], "::1", &[], HERE),
        (&[], "::ffff:127.0.0.1", &[], HERE),
        (&[], "192.0.2.1", &[], ELSEWHERE),
        (&[], "2001:db8::1", &[], ELSEWHERE),
        (&[], "172.17.0.1", &[], ELSEWHERE),
        // By a proxy on this machine of which nobody has told.
        (&[], "127.0.0.1", &[("x-forwarded-for", "192.0.2.1")], ELSEWHERE),
        (&[], "127.0.0.1", &[("x-forwarded-for", "127.0.0.1")], ELSEWHERE),
        (&[], "127.0.0.1", &[("forwarded", "for=192.0.2.1")], ELSEWHERE),
        (&[], "127.0.0.1", &[("via", "1.1 proxy")], ELSEWHERE),
        (&[], "127.0.0.1", &[("x-real-ip", "127.0.0.1")], ELSEWHERE),
        (&proxies, "127.0.0.1", &[], HERE),
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "127.0.0.1")], HERE),
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "127.0.0.1"), ("via", "1.1 proxy")], HERE),
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "192.0.2.1")], ELSEWHERE),
        // What a client says, and what the proxy adds.
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "127.0.0.1, 192.0.2.1")], ELSEWHERE),
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "192.0.2.1, 127.0.0.1")], ELSEWHERE),
        (&proxies, "127.0.0.1", &[("x-forwarded-for", "unknown")], ELSEWHERE),
        // A proxy that adds no X-Forwarded-For, though it is trusted.
        (&proxies, "127.0.0.1", &[("via", "1.1 proxy")], ELSEWHERE),
        // A page of another site, whose name leads here (DNS rebinding).
        (&[], "127.0.0.1", &[("host", "evil.example:8088")], ELSEWHERE),
        (&[], "127.0.0.1", &[("host", "localhost:8088")], HERE),
        (&[], "::1", &[("host", "[::1]:8088")], HERE),
        (&[], "127.0.0.1", &[("host", "ok.example")], HERE),
        // Another machine's loopback.
        (&proxies, "10.0.0.1", &[("x-forwarded-for", "127.0.0.1")], ELSEWHERE),
    ];
    for (flags, peer, headers, status) in table {
        let service = service_beside(&notify, flags);
        for path in ["/outbox", "/outbox/1.eml"] {
            let peer: IpAddr = peer.parse().expect("an address");
            let from = ConnectInfo(SocketAddr::from((peer, 50_000)));
            let mut request = request(Method::GET, path).extension(from);
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let answer = send(&service, request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status, *status, "{path}, {flags:?}, {peer}, {headers:?}");
            assert_eq!(answer.body.contains("Hi"), *status == HERE, "{}", answer.body);
            assert_protected(&answer);
        }
    }
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_https_where_the_public_url_is() {
    for (public_url, told) in [
        ("https://ok.example/base", "max-age=31536000"),
        // Everything else on this machine would be forced to have TLS, too.
        ("https://localhost:8443", ""),
        ("http://localhost:8088", ""),
    ] {
        let service = service_at(public_url, &[]);
        for path in ["/", "/nowhere", "/healthz", genuine().as_str()] {
            let header = get(&service, path).await.header("strict-transport-security").to_owned();
            assert_eq!(header, told, "{public_url}, {path}");
        }
    }
}

#[tokio::test]
async fn browsers_get_pages_and_programs_get_json() {
    let service = service(&[]);
    for (accept, mime) in [
        ("application/json", "application/json"),
        ("application/json;q=0.9, */*;q=0.1", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/html, application/json", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
    ] {
        for path in ["/nowhere", "/a/x", genuine().as_str()] {
            let request = request(Method::GET, path).header(header::ACCEPT, accept);
            let answer = send(&service, request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.header("content-type"), mime, "{accept} {path}");
            assert_eq!(answer.header("vary"), "accept");
        }
    }
}

/// As the document says, and as the router has them.
#[tokio::test]
async fn every_route_takes_the_documented_methods_and_no_others() {
    let service = service_beside("outbox:/nonexistent", &[]);
    let document = get(&service, "/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_protected(&document);
    let document = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let place = path.replace("{approval-id}", &approval_id(KEY).reveal());
        let place = place.replace(['{', '}'], "");
        for method in ["get", "head", "post", "put", "patch", "delete", "options", "trace"] {
            let name = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let from = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000)));
            let asked = request(name, &place).extension(from).body(Body::empty());
            let answer = send(&service, asked.expect("a request")).await;
            let documented = &operations[if method == "head" { "get" } else { method }];
            assert_eq!(answer.status == 405, documented.is_null(), "{method} {path}");
            if documented.is_null() {
                assert!(answer.header("allow").starts_with("GET,HEAD"), "{method} {path}");
                continue;
            }
            let response = &documented["responses"][answer.status.as_str()];
            assert!(!response.is_null(), "{method} {path} answers {}", answer.status);
        }
    }
}
