//! The service on a real socket.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use countersign_signaler::serve;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};

mod service;

use service::service;

/// Serves until the test is over.
async fn listening() -> SocketAddr {
    listening_with(&[]).await
}

/// The same, with its settings changed by `flags`.
async fn listening_with(flags: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, service("https://ok.example", "", flags), std::future::pending()));
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: ok.example\r\n\r\n";

/// The answer's first line, which is empty where the connection is closed.
fn ask(mut stream: &TcpStream, request: &str) -> String {
    // A refused client may notice while still writing.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_hold_all_connections() {
    const MAY_HAVE: usize = 250;
    let address = listening().await;
    // Half of them say nothing, the others begin a request.
    let held: Vec<TcpStream> = (0..MAY_HAVE + 50)
        .map(|i| {
            let mut held = connect(address);
            held.write_all(&HEALTH.as_bytes()[..i % 2 * 10]).expect("written");
            held
        })
        .collect();
    let new = connect(address);
    assert_eq!(ask(&new, HEALTH), "HTTP/1.1 200 OK");
    let (closed, open) = held.split_at(held.len() + 1 - MAY_HAVE);
    for mut held in closed {
        let is_closed = match held.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        };
        assert!(is_closed, "one of the oldest is still open");
    }
    for held in open {
        held.set_nonblocking(true).expect("set");
        let seen = held.peek(&mut [0]).expect_err("nothing is said on it");
        assert_eq!(seen.kind(), ErrorKind::WouldBlock, "one of the newest is closed: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_do_not_fit_are_refused() {
    let address = listening().await;
    let long = HEALTH.replace("\r\n\r\n", &format!("\r\nX-Long: {}", "x".repeat(64 * 1024)));
    let ended = format!("{}\r\n\r\n", &long[..60 * 1024]);
    assert_eq!(ask(&connect(address), &ended), "HTTP/1.1 200 OK");
    // No more than what is read before it is refused, so that the refusal is read too.
    let refused = ask(&connect(address), &long[..64 * 1024]);
    assert_eq!(refused, "HTTP/1.1 431 Request Header Fields Too Large");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_may_keep_a_connection_idle_for_longer_than_others() {
    for (flags, kept) in [(&["--trusted-proxies", "127.0.0.1"][..], true), (&[], false)] {
        let address = listening_with(flags).await;
        let mut client = tokio::net::TcpStream::connect(address).await.expect("connected");
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut answer = [0; 4096];
            // A client whose connection is closed may notice while still writing.
            let _ = client.write_all(HEALTH.as_bytes()).await;
            answers.push(client.read(&mut answer).await.unwrap_or(0) > 0);
            sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(answers, [true, kept], "{flags:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let address = listening().await;
    let mut client = tokio::net::TcpStream::connect(address).await.expect("connected");
    let requests = HEALTH.repeat(1_000);
    let asking = async { while client.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(3_600), asking).await.expect("it is hung up on");
}
