//! `countersign-worker subscribe` in different environments.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::mpsc::{Receiver, channel},
    thread,
};

const TOPIC: &str = "sns:arn:aws:sns:eu-central-1:123456789012:approvals";
const SUBSCRIBED: &str = "<SubscribeResponse><SubscribeResult><SubscriptionArn>pending confirmation\
                          </SubscriptionArn></SubscribeResult></SubscribeResponse>";

/// A server that answers every request as SNS answers `Subscribe`: its URL, and each request's first line.
fn listening() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (seen, lines) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            // Its body is the last field of the form.
            while !String::from_utf8_lossy(&request).contains("TopicArn=") {
                match client.read(&mut buffer).expect("a request") {
                    0 => break,
                    count => request.extend_from_slice(&buffer[..count]),
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let _ = seen.send(request.lines().next().unwrap_or_default().to_owned());
            let length = SUBSCRIBED.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = client.write_all((head + SUBSCRIBED).as_bytes());
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
    });
    (url, lines)
}

fn subscribe(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-worker"))
        .env_clear()
        .env("COUNTERSIGN_NOTIFY", TOPIC)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .args(["subscribe", "ann@example.com"])
        .output()
        .expect("the program runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).expect("UTF-8"));
    (output.status.code(), said.concat())
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

#[test]
fn the_variables_of_env_example_may_stay_empty() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.env.example");
    let example = fs::read_to_string(example).expect("the example");
    let lines = example.lines().filter_map(|line| line.strip_prefix("# AWS_"));
    let mut variables: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("AWS_{name}"), value))
        .collect();
    assert!(variables.iter().any(|(_, value)| value.is_empty()), "{variables:?}");
    // A generic endpoint, since the one for SNS is empty, and keys.
    let (url, _seen) = listening();
    variables.push(("AWS_ENDPOINT_URL".into(), &url));
    variables.extend(KEYS.map(|(name, value)| (name.to_owned(), value)));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let (code, said) = subscribe(&variables);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn sns_is_reached_through_the_proxy_of_the_environment() {
    let (proxy, seen) = listening();
    let endpoint = ("AWS_ENDPOINT_URL_SNS", "http://sns.example");
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (code, said) = subscribe(&[&KEYS[..], &[endpoint, (name, &proxy)]].concat());
        assert_eq!(code, Some(0), "{name}: {said}");
        assert_eq!(seen.recv().as_deref(), Ok("POST http://sns.example/ HTTP/1.1"), "{name}");
    }
    // HTTPS is tunnelled.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut buffer = [0; 4096];
        let count = client.read(&mut buffer).expect("a request");
        let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    let once = ("AWS_MAX_ATTEMPTS", "1");
    let (code, said) = subscribe(&[&KEYS[..], &[("HTTPS_PROXY", &proxy), once]].concat());
    assert_eq!(code, Some(2), "{said}");
    let asked = asked.join().expect("a request");
    assert!(asked.starts_with("CONNECT sns.eu-central-1.amazonaws.com:443 "), "{asked}");
}

#[test]
fn settings_that_contradict_the_topic_stop_the_program() {
    let (code, said) = subscribe(&[("AWS_REGION", "us-east-1")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("AWS_REGION: is us-east-1, but the topic"), "{said}");
    let (code, said) = subscribe(&[("COUNTERSIGN_NOTIFY", "sns:arn:aws:sns:eu:12:approvals")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"eu\" is not a region") && said.contains("12 digits"), "{said}");
}

#[test]
fn failures_are_readable() {
    let nowhere = ("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1");
    let once = ("AWS_MAX_ATTEMPTS", "1");
    for variables in [&[nowhere, once][..], &[&KEYS[..], &[nowhere, once]].concat()] {
        let (code, said) = subscribe(variables);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("countersign-worker: Amazon SNS: "), "{said}");
        assert!(!said.contains('{') && !said.contains("Error("), "{said}");
    }
}
