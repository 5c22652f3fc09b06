//! A real mail server behind a front that fails in every way a mail server can.

use std::{future::pending, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use countersign_e2e::{Mail, MailServer, free_port};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
    time::sleep,
};
use url::Url;

use super::{Fault, Mails};
use crate::part::Part;

/// A mail server as the product sees it.
pub(crate) struct Smtp {
    port: u16,
    _server: MailServer,
}

impl Smtp {
    /// Starts it; mails that it takes from `sender` go to `mails`.
    pub(crate) async fn start(dir: &Path, sender: Part, mails: &Arc<Mails>) -> Result<Smtp> {
        let server = MailServer::start(dir).await;
        let target = server.url().parse::<Url>()?.port().context("a port")?;
        let port = free_port();
        tokio::spawn(listen(port, target, sender, mails.clone()));
        Ok(Smtp { port, _server: server })
    }

    /// The setting with which a worker finds it.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }
}

/// Listens, but not while connections are refused.
async fn listen(port: u16, target: u16, sender: Part, mails: Arc<Mails>) {
    let mut fault = mails.fault.subscribe();
    loop {
        let open = fault.wait_for(|fault| *fault != Some(Fault::SmtpRefused)).await.is_ok();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let (true, Ok(listener)) = (open, listener) else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        // These end with the listener.
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = fault.wait_for(|fault| *fault == Some(Fault::SmtpRefused)) => break,
            };
            if let Ok((client, _)) = accepted {
                let mails = mails.clone();
                // Both ends notice a broken connection; nobody else has to.
                sessions.spawn(async move { session(client, target, sender, &mails).await });
            }
            while sessions.try_join_next().is_some() {}
        }
    }
}

type Lines = (BufReader<OwnedReadHalf>, OwnedWriteHalf);

fn lines(stream: TcpStream) -> Lines {
    let (read, write) = stream.into_split();
    (BufReader::new(read), write)
}

async fn line(from: &mut Lines) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    match from.0.read_until(b'\n', &mut line).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

/// All lines of one reply (RFC 5321, 4.2.1).
async fn reply(from: &mut Lines) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let line = line(from).await?;
        let is_last = line.get(3) != Some(&b'-');
        all.extend(line);
        if is_last {
            return Ok(all);
        }
    }
}

async fn session(
    client: TcpStream,
    target: u16,
    sender: Part,
    mails: &Mails,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    server.set_nodelay(true)?;
    let (mut client, mut server) = (lines(client), lines(server));
    hang(mails).await;
    if mails.has_fault(Fault::SmtpBusy) {
        return client.1.write_all(b"421 4.3.2 too busy\r\n").await;
    }
    client.1.write_all(&reply(&mut server).await?).await?;
    let mut recipient = String::new();
    loop {
        let command = line(&mut client).await?;
        let upper = command.to_ascii_uppercase();
        let is_data = upper.starts_with(b"DATA");
        hang(mails).await;
        if upper.starts_with(b"RCPT TO:") {
            recipient = address(&command);
        }
        if is_data && mails.has_fault(Fault::SmtpLater) {
            client.1.write_all(b"451 4.3.0 try later\r\n").await?;
            continue;
        }
        server.1.write_all(&command).await?;
        client.1.write_all(&reply(&mut server).await?).await?;
        if !is_data {
            continue;
        }
        let mut message = Vec::new();
        loop {
            let line = line(&mut client).await?;
            if line == b".\r\n" {
                break;
            }
            server.1.write_all(&line).await?;
            message.extend(line.strip_prefix(b".").unwrap_or(&line));
        }
        let mail = Mail { to: vec![recipient.clone()], ..Mail::parse(&message) };
        if mails.take_fault(Fault::SmtpNever) {
            mails.add(&mail, true);
            return client.1.write_all(b"550 5.1.1 no such mailbox\r\n").await;
        }
        server.1.write_all(b".\r\n").await?;
        let answer = reply(&mut server).await?;
        if answer.starts_with(b"250") {
            if mails.take(&mail, sender) {
                return pending().await;
            }
            if mails.has_fault(Fault::SmtpCut) {
                return Ok(());
            }
        }
        client.1.write_all(&answer).await?;
    }
}

/// Waits while the mail server hangs.
async fn hang(mails: &Mails) {
    // The sender lives as long as `mails`.
    let _ = mails.fault.subscribe().wait_for(|fault| *fault != Some(Fault::SmtpHangs)).await;
}

/// The address in `RCPT TO:<…>`.
fn address(command: &[u8]) -> String {
    let command = String::from_utf8_lossy(command);
    let rest = command.split_once('<').map_or("", |(_, rest)| rest);
    rest.split('>').next().unwrap_or_default().to_owned()
}
