//! Whether a server uses TLS, and why it or we refuse a certificate.

use std::{io, time::Duration};

use temporalio_client::ConnectionOptions;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a server may take to show what it speaks.
const WITHIN: Duration = Duration::from_secs(3);

/// A `ClientHello` (RFC 5246, 7.4.1.2) with one cipher suite and no extensions. Whoever speaks TLS answers it,
/// be it with an alert.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x03\
    countersign asks who speaks TLS\0\
    \0\0\x02\0\x2f\x01\0";

/// What an HTTP/2 client begins with (RFC 9113, 3.4): the preface, and no settings.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How many bytes tell the two from each other.
const ENOUGH: usize = 9;

/// What is wrong if the server uses TLS and we do not, or we do and the server does not.
pub(crate) async fn mismatch(options: &ConnectionOptions) -> Option<String> {
    if options.service_override.is_some() {
        return None;
    }
    let (host, port) = (options.target.host_str()?, options.target.port_or_known_default()?);
    let uses_tls = options.tls_options.is_some();
    let hello = if uses_tls { HTTP2_PREFACE } else { CLIENT_HELLO };
    let answer = timeout(WITHIN, ask((host.trim_matches(['[', ']']), port), hello)).await;
    let answer = answer.ok()?.ok()?;
    match uses_tls {
        true if is_http(&answer) => Some(format!(
            "Temporal at {host}:{port} has no TLS, and the connection would use it: set \
             TEMPORAL_TLS=false, or TEMPORAL_ADDRESS to an address with TLS. TEMPORAL_API_KEY and each \
             TEMPORAL_TLS_… switch TLS on"
        )),
        false if is_tls(&answer) => Some(format!(
            "Temporal at {host}:{port} expects TLS, and the connection has none: set TEMPORAL_TLS=true, and \
             TEMPORAL_TLS_SERVER_CA_CERT_PATH where its certificate is of your own authority"
        )),
        _ => None,
    }
}

async fn ask(address: (&str, u16), hello: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(hello).await?;
    let (mut answer, mut piece) = (Vec::new(), [0; ENOUGH]);
    while answer.len() < ENOUGH {
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            // What has come before the connection broke tells enough.
            Err(_) if !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// A frame of settings, as HTTP/2 servers begin with. An answer in HTTP/1 shows nothing: some servers say so that
/// they expect TLS.
fn is_http(answer: &[u8]) -> bool {
    matches!(answer, [_, _, _, 4, _, 0, 0, 0, 0, ..])
}

/// A handshake's or an alert's record.
fn is_tls(answer: &[u8]) -> bool {
    matches!(answer, [0x15 | 0x16, 3, ..])
}

/// What is wrong if a cause of a failure is that one side refuses the other. The words are rustls's.
pub(crate) fn refusal(cause: &str) -> Option<String> {
    let after = |words: &str| cause.split_once(words).map(|(_, why)| why.trim().to_owned());
    if let Some(why) = after("invalid peer certificate:") {
        return Some(format!(
            "Temporal's certificate is not accepted ({why}): set TEMPORAL_TLS_SERVER_CA_CERT_PATH to a file \
             with the certificate of its authority, and TEMPORAL_TLS_SERVER_NAME to the name in it if \
             that is not the host in TEMPORAL_ADDRESS"
        ));
    }
    after("received fatal alert:").map(|alert| {
        format!(
            "Temporal refuses the TLS connection ({alert}): check TEMPORAL_TLS_CLIENT_CERT_PATH and \
             TEMPORAL_TLS_CLIENT_KEY_PATH, and TEMPORAL_TLS_SERVER_NAME"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_has_the_lengths_that_it_names() {
        let [_, _, _, high, low, record @ ..] = CLIENT_HELLO else { panic!("a record") };
        assert_eq!(usize::from(u16::from_be_bytes([*high, *low])), record.len());
        let [1, 0, high, low, hello @ ..] = record else { panic!("a ClientHello") };
        assert_eq!(usize::from(u16::from_be_bytes([*high, *low])), hello.len());
        assert_eq!(
            hello.len(),
            2 + 32 + 1 + 4 + 2,
            "version, random, session, suites, compression"
        );
    }

    #[test]
    fn who_speaks_what_is_seen_by_the_first_bytes() {
        for (answer, http, tls) in [
            (&b"\0\0\x12\x04\0\0\0\0\0\0\x03"[..], true, false),
            (b"HTTP/1.1 400 Bad Request", false, false),
            (b"\x15\x03\x01\0\x02\x02\x46", false, true),
            (b"\x16\x03\x03\0\x31\x02\0\0\x2d", false, true),
            (b"", false, false),
            (b"220 mail.example.com ESMTP", false, false),
        ] {
            assert_eq!((is_http(answer), is_tls(answer)), (http, tls), "{answer:?}");
        }
    }

    #[test]
    fn a_refused_certificate_is_told_with_the_settings_that_concern_it() {
        let unknown = refusal("invalid peer certificate: UnknownIssuer").expect("final");
        assert!(
            unknown.contains("(UnknownIssuer): set TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
            "{unknown}"
        );
        let alert = refusal("received fatal alert: CertificateRequired").expect("final");
        assert!(
            alert.contains("(CertificateRequired): check TEMPORAL_TLS_CLIENT_CERT_PATH"),
            "{alert}"
        );
        assert_eq!(refusal("tcp connect error"), None);
    }
}
