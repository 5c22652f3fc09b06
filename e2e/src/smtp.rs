//! A real SMTP server, `aiosmtpd`, that keeps what it is sent.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    mail::Mail,
    process::{Process, free_port, tool},
    python::python,
    temporal::{list, text},
    wait::eventually,
};

/// A running SMTP server.
pub struct MailServer {
    port: u16,
    mails: PathBuf,
    server: Process,
}

/// A mail with the envelope it came in.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub from: String,
    pub to: Vec<String>,
    pub mail: Mail,
}

impl MailServer {
    /// Starts a server that keeps its mails below `dir`.
    pub async fn start(dir: &Path) -> MailServer {
        MailServer::start_at(free_port(), dir).await
    }

    /// Starts a server at a port.
    pub async fn start_at(port: u16, dir: &Path) -> MailServer {
        MailServer::start_that_takes(Duration::ZERO, port, dir).await
    }

    /// Starts a server that takes its time for each mail.
    pub async fn start_slow(time: Duration, dir: &Path) -> MailServer {
        MailServer::start_that_takes(time, free_port(), dir).await
    }

    async fn start_that_takes(time: Duration, port: u16, dir: &Path) -> MailServer {
        let mails = dir.join("smtp");
        fs::create_dir(&mails).expect("a writable directory");
        let mut command = Command::new(tool("python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/smtp_server.py"));
        command.arg(port.to_string()).arg(&mails).arg(time.as_secs_f64().to_string());
        let server = Process::start("smtp", dir, &command);
        eventually("the SMTP server to serve", async || {
            server.log().contains("serving").then_some(())
        })
        .await;
        MailServer { port, mails, server }
    }

    /// Has it answer a command in its own way, such as `RCPT` with `554 5.7.1 Relay access denied`, or
    /// as usual again.
    pub fn reply(&self, own: Option<(&str, &str)>) {
        let (file, draft) = (self.mails.join("reply"), self.mails.join("reply.part"));
        match own {
            Some((command, reply)) => {
                fs::write(&draft, format!("{command} {reply}")).expect("a writable directory");
                fs::rename(draft, file).expect("a writable directory");
            }
            None => fs::remove_file(file).expect("a reply of its own"),
        }
    }

    /// How often it has received a mail to an address, kept or not.
    pub fn times_received(&self, address: &str) -> usize {
        self.server.log().matches(&format!("has a mail for {address}")).count()
    }

    /// Where it is, as a setting of the product.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Waits until there are at least `count` mails to an address.
    pub async fn mails_to(&self, address: &str, count: usize) -> Vec<Delivered> {
        eventually(format!("{count} mails to {address} by SMTP"), async || {
            let mut delivered = self.delivered();
            delivered.retain(|each| each.to.iter().any(|to| to == address));
            (delivered.len() >= count).then_some(delivered)
        })
        .await
    }

    /// Sends a message as any mail client does.
    pub async fn send(&self, from: &str, to: &str, message: &str) {
        const SEND: &str = "
import smtplib, sys
smtplib.SMTP('127.0.0.1', int(sys.argv[1])).sendmail(sys.argv[2], sys.argv[3], sys.stdin.read())
";
        let arguments = [&self.port.to_string(), from, to];
        let (code, printed) = python(SEND, &arguments, message).await;
        assert_eq!(code, 0, "{printed}");
    }

    /// How many mails it has taken so far.
    pub fn count(&self) -> usize {
        self.files().len()
    }

    /// The mails that it has taken so far.
    pub fn delivered(&self) -> Vec<Delivered> {
        let read = |path: &PathBuf| {
            let kept: Value =
                serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
            Delivered {
                from: text(&kept["from"]),
                to: list(&kept["to"]).map(text).collect(),
                mail: Mail::parse(text(&kept["message"]).as_bytes()),
            }
        };
        self.files().iter().map(read).collect()
    }

    /// One for each mail, in the order in which they came.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.mails)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        files
    }
}
