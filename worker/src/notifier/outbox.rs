//! A folder of `.eml` files, one for each mail. Whoever reads them can decide, so that is their owner alone.

use std::{
    fs::{DirBuilder, File, rename},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use lettre::message::Mailbox;
use tokio::task::spawn_blocking;

use super::{Envelope, NotifyError, mime};
use crate::mail::Letter;

/// The folder of `outbox:FOLDER`.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("needs a folder, such as outbox:/var/mail/outbox".to_owned()),
        folder => Ok(folder.into()),
    }
}

/// Writes mails into a folder.
#[derive(Clone)]
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// The folder is created at the start or with the first mail. One that is there already keeps its mode.
    pub fn new(folder: PathBuf, from: Mailbox) -> Self {
        Self { folder, from: mime::sender(from) }
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?.formatted();
        // As a mail server does that delivers a mail (RFC 5321, 4.4).
        let return_path = format!("Return-Path: <{}>\r\n", self.from.email).into_bytes();
        let message = [return_path, message].concat();
        let name = file_name(envelope, letter);
        let file = name.clone();
        self.in_folder(move |folder| write(folder, &file, &message)).await?;
        Ok(format!("written as {name}"))
    }

    /// Creates the folder if it does not exist.
    pub(super) async fn probe(&self) -> Result<String, NotifyError> {
        self.in_folder(create).await?;
        Ok(format!("mails are written into {}, for trials", self.folder.display()))
    }

    async fn in_folder(
        &self,
        act: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), NotifyError> {
        let folder = self.folder.clone();
        let done = spawn_blocking(move || act(&folder)).await.map_err(io::Error::other).flatten();
        done.map_err(|error| {
            NotifyError::Unavailable(format!("{}: {error}", self.folder.display()))
        })
    }
}

fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write(folder: &Path, name: &str, message: &[u8]) -> io::Result<()> {
    create(folder)?;
    // Renamed when it is complete, so that nobody reads half a mail.
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(message)?;
    rename(draft, folder.join(name))
}

/// Sorts by time, and is the same at each attempt.
fn file_name(envelope: &Envelope, letter: &Letter) -> String {
    let time = Timestamp::try_from(envelope.written_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-+_".contains(c) { c } else { '_' };
    let recipient: String = envelope.recipient.as_str().chars().map(safe).take(100).collect();
    let time = time.strftime("%Y%m%dT%H%M%S%3f");
    format!("{time}-{}-{recipient}-{}.eml", letter.kind, envelope.key)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{super::example, *};

    #[tokio::test]
    async fn sending_again_writes_the_same_file_and_leaves_no_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/outbox");
        let from = "Approvals <approvals@example.com>".parse().expect("a mailbox");
        let outbox = Outbox::new(path.clone(), from);
        let (envelope, letter) = example("ann/x@example.com");
        for _ in 0..2 {
            outbox.send(&envelope, &letter).await.expect("written");
        }
        let names: Vec<_> = fs::read_dir(&path)
            .expect("the outbox")
            .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
            .collect();
        assert_eq!(names, ["19700101T000000000-request-ann_x@example.com-run.3.eml"]);
        let mail = fs::read(path.join(&names[0])).expect("readable");
        assert!(mail.is_ascii(), "headers are encoded");
        assert!(mail.starts_with(b"Return-Path: <approvals@example.com>\r\n"), "where bounces go");
    }

    #[tokio::test]
    async fn nobody_but_its_owner_reads_the_outbox() {
        let mode =
            |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("new/outbox");
        let from: Mailbox = "approvals@example.com".parse().expect("a mailbox");
        let outbox = Outbox::new(folder.clone(), from.clone());
        outbox.probe().await.expect("created");
        let (envelope, letter) = example("ann@example.com");
        outbox.send(&envelope, &letter).await.expect("written");
        let mail = folder.join(file_name(&envelope, &letter));
        assert_eq!((mode(&folder), mode(&mail)), (0o700, 0o600));
        // A folder that somebody has shared on purpose stays so, and no mail is.
        let shared = parent.path().join("shared");
        fs::create_dir(&shared).expect("created");
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).expect("set");
        Outbox::new(shared.clone(), from).send(&envelope, &letter).await.expect("written");
        let mail = shared.join(file_name(&envelope, &letter));
        assert_eq!((mode(&shared), mode(&mail)), (0o755, 0o600));
    }

    #[tokio::test]
    async fn an_unwritable_folder_is_retried() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let outbox = Outbox::new(file, "approvals@example.com".parse().expect("a mailbox"));
        let (envelope, letter) = example("ann@example.com");
        let refused = outbox.send(&envelope, &letter).await;
        assert!(matches!(refused, Err(NotifyError::Unavailable(_))), "{refused:?}");
        let probed = outbox.probe().await;
        assert!(matches!(probed, Err(NotifyError::Unavailable(_))), "{probed:?}");
    }
}
