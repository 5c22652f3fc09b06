use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{task::yield_now, time};

use super::{super::example, *};

/// A server that gives one command a reply of its own, or none.
struct Listening {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Listening {
    /// The command `.` is the end of the mail. Without an answer, the client waits.
    fn with(extensions: &str, command: &str, answer: Option<&str>) -> Self {
        let ehlo = format!("250-localhost\r\n{extensions}250 8BITMIME\r\n");
        let (command, answer) = (command.to_owned(), answer.map(|it| format!("{it}\r\n")));
        Self::that(move |line, _| match &answer {
            _ if !line.starts_with(&command) => match line {
                "DATA" => Some("354 go on\r\n".to_owned()),
                line if line.starts_with("EHLO") => Some(ehlo.clone()),
                _ => Some("250 2.0.0 OK\r\n".to_owned()),
            },
            answer => answer.clone(),
        })
    }

    /// It answers each command like this, given how many mails it has taken over that connection.
    fn that(answer: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let (answer, connections) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let counted = connections.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a client");
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                thread::spawn(move || serve(client, &*answer));
            }
        });
        Self { url, connections }
    }

    fn smtp(&self) -> Smtp {
        let from = "approvals@example.com".parse().expect("a mailbox");
        Smtp::new(self.url.parse().expect("a server"), from)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn serve(mut client: TcpStream, answer: &dyn Fn(&str, usize) -> Option<String>) {
    let lines = BufReader::new(client.try_clone().expect("a socket")).lines();
    client.write_all(b"220 localhost\r\n").expect("written");
    let (mut in_mail, mut mails) = (false, 0);
    for line in lines.map_while(Result::ok) {
        let ends_mail = in_mail && line == ".";
        if in_mail && !ends_mail {
            continue;
        }
        mails += usize::from(ends_mail);
        in_mail = false;
        let Some(reply) = answer(&line, mails) else { continue };
        in_mail = reply.starts_with("354");
        let _ = client.write_all(reply.as_bytes());
        if reply.starts_with("421") {
            return;
        }
    }
}

/// A mail to Ann.
async fn mail(smtp: &Smtp) -> Result<String, NotifyError> {
    let (envelope, letter) = example("ann@example.com");
    smtp.send(&envelope, &letter).await
}

/// The error for a mail to a server with these extensions that gives this answer to this command.
async fn sent(to: &str, extensions: &str, command: &str, answer: &str) -> NotifyError {
    let smtp = Listening::with(extensions, command, Some(answer)).smtp();
    let (envelope, letter) = example(to);
    smtp.send(&envelope, &letter).await.expect_err("refused")
}

#[test]
fn ambiguous_and_unsafe_urls_are_refused() {
    let refusal = |url: &str| {
        let why = url.parse::<SmtpServer>().err().unwrap_or_default();
        assert!(!why.contains("secret"), "{url}: {why}");
        why
    };
    for (url, why) in [
        ("smtp://me:secret@mail.example.com", "in clear"),
        ("smtp://me:secret@mail.example.com?tls=opportunistic", "in clear"),
        ("smtp://me:secret@10.0.0.1:25", "in clear"),
        ("smtp://me:secret@localhost.example.com", "in clear"),
        ("smtp://me@mail.example.com?tls=required", "both user and password"),
        ("smtps://:secret@mail.example.com", "both user and password"),
        ("smtp://mail.example.com?starttls=true", "nothing but ?tls=required"),
        ("smtp://mail.example.com?tls=required&timeout=3", "nothing but ?tls=required"),
        ("smtps://me:12?secret@mail.example.com", "%3F for ?"),
        ("smtps://me:12#secret@mail.example.com", "%23 for #"),
        ("smtp://me:secret@mail.example.com?tls=true", "must say ?tls=required"),
        ("smtps://mail.example.com?tls=opportunistic", "must say ?tls=required"),
    ] {
        assert!(refusal(url).contains(why), "{url}: {}", refusal(url));
    }
    for url in [
        "smtp://mail.example.com",
        "smtp://mailpit:1025?tls=opportunistic",
        "smtp://me:secret@localhost:25",
        "smtp://me:secret@127.0.0.1:25",
        "smtp://me:secret@mail.example.com:587/approve.example.com?tls=required",
        "smtps://me:secret@mail.example.com?tls=required",
    ] {
        assert_eq!(refusal(url), "", "{url}");
    }
}

/// Final, retried until somebody fixes it, or retried for a while.
#[tokio::test]
async fn only_a_reply_about_the_recipient_is_final() {
    let final_for = |why| NotifyError::Rejected(why);
    let again = |why| NotifyError::Unavailable(why);
    let for_a_while = |why| NotifyError::Unexplained(why);
    type Kind = fn(String) -> NotifyError;
    let rows: [(&str, &str, Kind); 25] = [
        ("RCPT", "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown", final_for),
        ("RCPT", "550 5.2.1 The e-mail account that you tried to reach is disabled", final_for),
        ("RCPT", "554 5.7.1 <x@example.com>: Relay access denied", again),
        ("RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied SMTP", again),
        ("DATA", "550 5.7.26 This mail is unauthenticated, which is a risk (SPF, DKIM)", again),
        ("RCPT", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using x", again),
        ("RCPT", "550 5.7.708 Access denied, traffic not accepted from this IP", again),
        ("MAIL", "553 5.1.8 Sender address rejected: Domain not found", again),
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", again),
        ("RCPT", "452 4.2.2 Mailbox full, try later", again),
        ("RCPT", "451 4.7.1 Greylisted, please try again", again),
        ("EHLO", "421 4.7.0 Try again later, closing connection. (EHLO)", again),
        ("DATA", "554 5.7.1 Message rejected as spam by content filtering", for_a_while),
        ("RCPT", "550 requested action not taken", for_a_while),
        (".", "554 5.7.1 not wanted here", for_a_while),
        (".", "550 5.1.1 no such mailbox", final_for),
        ("EHLO", "502 5.5.1 command not implemented", again),
        ("EHLO", "521 5.3.2 no mail here", again),
        ("MAIL", "501 5.1.7 bad sender address syntax", again),
        ("MAIL", "550 5.4.5 daily sending limit exceeded", again),
        ("RCPT", "553 5.7.1 <a@b.example>: Sender address rejected: not owned by me", again),
        ("MAIL", "535 5.7.8 credentials invalid", again),
        ("MAIL", "550 requested action not taken", again),
        ("RCPT", "501 5.1.3 bad recipient address syntax", final_for),
        ("RCPT", "450 4.2.0 mailbox busy", again),
    ];
    for (command, answer, kind) in rows {
        let step = if command == "." { "the mail" } else { command };
        let why = format!("the mail server answered {step} with {answer}");
        assert_eq!(sent("ann@example.com", "", command, answer).await, kind(why));
    }
}

#[tokio::test]
async fn each_step_has_its_own_time_out_and_is_named() {
    const SHORT: Duration = Duration::from_millis(50);
    // A short time-out at one step, and long ones at all others.
    macro_rules! impatient {
        ($step:path) => {
            |step| if step == $step { SHORT } else { Duration::from_mins(1) }
        };
    }
    type Row = (Step, &'static str, fn(Step) -> Duration);
    let rows: [Row; 5] = [
        (Step::Greeting, "EHLO", impatient!(Step::Greeting)),
        (Step::Mail, "MAIL", impatient!(Step::Mail)),
        (Step::Recipient, "RCPT", impatient!(Step::Recipient)),
        (Step::Data, "DATA", impatient!(Step::Data)),
        (Step::Content, ".", impatient!(Step::Content)),
    ];
    for (step, command, time_out) in rows {
        let server = Listening::with("", command, None);
        let smtp = Smtp { time_out, ..server.smtp() };
        let (envelope, letter) = example("ann@example.com");
        let error = smtp.send(&envelope, &letter).await.expect_err("no answer");
        assert_eq!(error, silent(step, SHORT), "{command}");
    }
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("smtp://{}", mute.local_addr().expect("an address"));
    let server = Listening { url, connections: Arc::default() };
    let smtp = Smtp { time_out: rows[0].2, ..server.smtp() };
    let error = smtp.probe().await.expect_err("no greeting").to_string();
    assert!(
        error.contains("within 50ms; if the mail server expects TLS from the start"),
        "{error}"
    );
}

#[tokio::test]
async fn time_outs_are_at_least_those_of_rfc_5321() {
    let minutes = |step: Step| step.time_out().as_secs() / 60;
    for (step, least) in [
        (Step::Greeting, 5),
        (Step::Mail, 5),
        (Step::Recipient, 5),
        (Step::Data, 2),
        (Step::Content, 3 + 10),
    ] {
        assert!(minutes(step) >= least, "{step:?}");
    }
    assert_eq!(LONGEST, Step::ALL.map(Step::time_out).iter().sum::<Duration>());
}

#[tokio::test]
async fn an_accepted_mail_is_sent_whatever_the_reply_to_quit() {
    let server = Listening::with("", "QUIT", None);
    let (envelope, letter) = example("ann@example.com");
    let sent = server.smtp().send(&envelope, &letter).await.expect("taken");
    assert_eq!(sent, "accepted by the mail server: 250 2.0.0 OK");
}

#[tokio::test]
async fn mails_that_follow_each_other_go_over_one_connection_until_it_has_waited_for_too_long() {
    let server = Listening::with("", "nothing", None);
    let smtp = server.smtp();
    for _ in 0..3 {
        mail(&smtp).await.expect("taken");
    }
    assert_eq!(server.connections(), 1);
    let at_once = [mail(&smtp), mail(&smtp), mail(&smtp)];
    for sent in futures::future::join_all(at_once).await {
        sent.expect("taken");
    }
    assert_eq!(server.connections(), 3, "none waits for another");
    // They begin to wait.
    yield_now().await;
    time::pause();
    time::advance(idle::WAIT + Duration::from_secs(1)).await;
    yield_now().await;
    time::resume();
    mail(&smtp).await.expect("taken");
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn where_a_server_takes_no_more_over_a_connection_a_new_one_is_used() {
    let mails_over = |most: usize| {
        Listening::that(move |line, mails| {
            Some(match line {
                "DATA" => "354 go on\r\n".to_owned(),
                line if line.starts_with("MAIL") && mails == most => {
                    "421 4.7.0 too many mails\r\n".to_owned()
                }
                _ => "250 2.0.0 OK\r\n".to_owned(),
            })
        })
    };
    for (most, connections) in [(1, 4), (2, 2), (3, 2), (4, 1)] {
        let server = mails_over(most);
        let smtp = server.smtp();
        for _ in 0..4 {
            mail(&smtp).await.expect("taken");
        }
        assert_eq!(server.connections(), connections, "{most} over one");
    }
    // A refusal of the first one is what the mail gets.
    let error = mail(&mails_over(0).smtp()).await.expect_err("refused").to_string();
    assert!(error.contains("answered MAIL with 421 4.7.0 too many mails"), "{error}");
}

#[tokio::test]
async fn a_connection_on_which_a_mail_was_not_taken_is_not_used_again() {
    for answer in [Some("550 5.1.1 no such mailbox"), None] {
        let server = Listening::with("", "RCPT", answer);
        let smtp = server.smtp();
        for _ in 0..2 {
            // Without an answer, it is cancelled half-way.
            let sent = timeout(Duration::from_millis(500), mail(&smtp)).await;
            assert!(!matches!(sent, Ok(Ok(_))), "{sent:?}");
        }
        assert_eq!(server.connections(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_probe_connects_and_sends_no_mail() {
    let error = Listening::with("", "EHLO", Some("554 5.7.1 no service")).smtp().probe().await;
    let why = "the mail server answered EHLO with 554 5.7.1 no service";
    assert_eq!(error, Err(NotifyError::Unavailable(why.into())));
    let says = Listening::with("", "MAIL", None).smtp().probe().await.expect("a greeting");
    assert!(says.contains(" greets as ") && says.ends_with(", without TLS"), "{says}");
}

#[tokio::test]
async fn a_mail_server_is_greeted_by_the_senders_domain_or_by_the_name_in_the_url() {
    for (path, sender, name) in [
        ("", "approvals@corp.example", "corp.example"),
        ("", "approvals@Müller.example", "xn--mller-kva.example"),
        ("/mail.corp.example", "approvals@corp.example", "mail.corp.example"),
    ] {
        let greeting = format!("EHLO {name}");
        let server = Listening::with("", &greeting, Some("554 5.7.1 so it is"));
        let url = format!("{}{path}", server.url);
        let smtp = Smtp::new(url.parse().expect("a server"), sender.parse().expect("a mailbox"));
        let error = smtp.probe().await.expect_err("the greeting is answered").to_string();
        assert!(error.ends_with("554 5.7.1 so it is"), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_recipient_beyond_ascii_needs_smtputf8() {
    let error = sent("jürgen@example.com", "", "nothing", "").await;
    let why = "the mail server accepts only ASCII addresses (it has no SMTPUTF8), and \
               jürgen@example.com is not ASCII";
    assert_eq!(error, NotifyError::Rejected(why.into()));
    let error = sent("jürgen@example.com", "250-SMTPUTF8\r\n", "RCPT", "450 later").await;
    assert!(matches!(error, NotifyError::Unavailable(_)), "{error:?}");
}
