//! Connections on real sockets, where few may be open.

use std::{
    io::{self, Read, Write},
    net::TcpStream as Client,
};

use clap::Parser;
use countersign_protos::{Chain, LinkContext, LinkKeys, settings::Environment};
use temporalio_client::envconfig::{DataSource, LoadClientConfigProfileOptions};

use super::*;
use crate::{Arguments, Settings};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: ok.example\r\n\r\n";
const FORM: &str = "verdict=approve";

/// The headers of a decision whose form does not come yet. Nobody waits for it where the link is forged.
fn decide() -> String {
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let link = keys.first().link(LinkContext::new(chain, "v1:0", "ann@example.com"));
    format!(
        "POST /a/{} HTTP/1.1\r\nHost: ok.example\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        link.id().reveal(),
        FORM.len()
    )
}

fn app(flags: &[&str]) -> App {
    let given = ["signaler", "--public-url", "https://ok.example"];
    let arguments = Arguments::parse_from(given.iter().chain(flags));
    let key = countersign_protos::TEST_KEYS[0];
    let environment =
        Environment::new([("COUNTERSIGN_LINK_KEYS", key)], |_| Err(io::ErrorKind::NotFound.into()));
    let nowhere = b"[profile.default]\naddress = \"127.0.0.1:1\"\n".to_vec();
    let temporal = LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(nowhere))
        .disable_env(true)
        .build();
    App::new(Settings::read(&arguments, &environment, temporal).expect("good settings"))
}

async fn serving(connections: Connections, flags: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve_within(connections, listener, app(flags), std::future::pending()));
    address
}

fn connect(address: SocketAddr) -> Client {
    let client = Client::connect(address).expect("connected");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    client
}

/// The answer's first line, which is empty where the connection is closed.
fn ask(mut client: &Client, request: &str) -> String {
    // A refused client may notice while still writing.
    let _ = client.write_all(request.as_bytes());
    let mut answer = [0; 16 * 1024];
    let read = match client.read(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("it waits"),
        read => read.unwrap_or(0),
    };
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

const OK: &str = "HTTP/1.1 200 OK";
const BEGUN: &str = "HTTP/1.1 100 Continue";
/// There is no Temporal.
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable";

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_idle_connection_gives_way_and_a_request_in_flight_never_does() {
    // All places are taken; or those of one client.
    for (connections, flags) in [
        (Connections::new(3, 1), &["--trusted-proxies", "127.0.0.1"][..]),
        (Connections::new(10, 3), &[]),
    ] {
        let address = serving(connections, flags).await;
        let deciding = connect(address);
        assert_eq!(ask(&deciding, &decide()), BEGUN);
        let mut half_open = connect(address);
        half_open.write_all(b"GET /hea").expect("written");
        let idle = connect(address);
        assert_eq!(ask(&idle, HEALTH), OK);
        let new = connect(address);
        assert_eq!(ask(&new, HEALTH), OK);
        let rest = HEALTH.trim_start_matches("GET /hea");
        assert_eq!(ask(&half_open, rest), "", "it has given way");
        assert_eq!(ask(&idle, HEALTH), OK);
        assert_eq!(ask(&deciding, FORM), UNAVAILABLE, "it was in flight");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_connection_is_busy_a_client_is_refused_and_others_wait() {
    for (connections, flags, waits) in [
        (Connections::new(2, 1), &["--trusted-proxies", "127.0.0.1"][..], true),
        (Connections::new(10, 2), &[], false),
    ] {
        let address = serving(connections, flags).await;
        let busy = [connect(address), connect(address)];
        for deciding in &busy {
            assert_eq!(ask(deciding, &decide()), BEGUN);
        }
        let mut late = connect(address);
        let written = late.write_all(HEALTH.as_bytes());
        if waits {
            written.expect("written");
            assert_eq!(ask(&busy[0], FORM), UNAVAILABLE);
        }
        assert_eq!(ask(&late, ""), if waits { OK } else { "" });
        assert_eq!(ask(&busy[1], FORM), UNAVAILABLE);
    }
}
