//! The signaler behind a proxy that terminates TLS, as `deploy/` sets it up.

use countersign_e2e::{Stack, StackBuilder, Temporal, TlsProxy, eventually, submission};

use crate::secrets::holds;

#[tokio::test]
async fn behind_nginx_people_decide_by_https_and_its_logs_have_no_approval_id() {
    let builder = Stack::beside(Temporal::shared().await);
    let proxy = TlsProxy::nginx(builder.dir(), builder.setting("COUNTERSIGN_LISTEN")).await;
    let logs = decide_behind(&proxy, builder, "GET /a/{approval-id} 502").await;
    for line in ["GET / 303", "GET /a/{approval-id} 200", "POST /a/{approval-id} 303"] {
        assert!(logs.contains(line), "{line} is missing in:\n{logs}");
    }
    assert!(logs.contains("GET /a/{approval-id} 301"), "without TLS:\n{logs}");
}

#[tokio::test]
async fn behind_caddy_people_decide_by_https_and_its_logs_have_no_approval_id() {
    let builder = Stack::beside(Temporal::shared().await);
    let proxy = TlsProxy::caddy(builder.dir(), builder.setting("COUNTERSIGN_LISTEN")).await;
    decide_behind(&proxy, builder, "connection refused").await;
}

/// Opens and decides, by whatever may bring an approval ID into a log. Returns what the proxy has logged once
/// `error` is in it, about a signaler that does not answer.
async fn decide_behind(proxy: &TlsProxy, builder: StackBuilder, error: &str) -> String {
    let mut stack = builder
        .with("COUNTERSIGN_PUBLIC_URL", proxy.url())
        .with("COUNTERSIGN_TRUSTED_PROXIES", "127.0.0.1")
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let mail = stack.mail_to("ann@example.com").await;
    let (id, link) = (mail.approval_id(), mail.link("approve"));
    assert!(link.starts_with(&proxy.url()), "{link}");
    let page = stack.open(&link).await;
    page.expect(200, &["Your decision is needed", "125.50 USD"]);
    assert_eq!(page.header("cache-control"), "no-store, no-transform");
    let followed = stack.reader().follow(&link, &link).await;
    assert_eq!((followed.status, followed.header("content-encoding")), (200, ""));
    let typed = stack.open(&stack.url(&format!("/?id={id}"))).await;
    assert_eq!(typed.status, 303, "{typed:?}");
    assert_eq!(stack.open(&link.replace("/a/", "/nowhere/")).await.status, 404);
    assert_eq!(stack.reader().follow(&link, &stack.url("/nowhere")).await.status, 404);
    let without_tls = stack.open(&link.replace(&proxy.url(), &proxy.plain_url())).await;
    assert!([301, 308].contains(&without_tls.status), "{without_tls:?}");
    assert!(without_tls.header("location").starts_with(&proxy.url()), "{without_tls:?}");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    stack.stop_signaler().await;
    assert_eq!(stack.reader().follow(&link, &link).await.status, 502);
    eventually("the proxy to log an error", async || proxy.logs().contains(error).then_some(()))
        .await;
    let logs = proxy.logs();
    assert!(!holds(logs.as_bytes(), &id), "an approval ID is in the proxy's logs:\n{logs}");
    logs
}
