//! An outbox on a disk of its own, which can be full.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use countersign_e2e::Mail;
use tokio::time::sleep;

use super::{Fault, Mails};
use crate::{failpoints::MAIL, part::Part};

const DISK: &str = "size=4m";

/// A folder from which mails are taken.
pub(crate) struct Outbox {
    disk: Option<Disk>,
}

/// A small disk, unmounted when this is dropped and when this process dies.
struct Disk {
    unmount: Child,
    held: Option<ChildStdin>,
}

impl Outbox {
    /// Gives the folder a disk of its own, and takes what `sender` writes there.
    pub(crate) fn at(folder: &Path, sender: Part, mails: &Arc<Mails>) -> Outbox {
        let disk = Disk::at(folder);
        let (folder, mails, small) = (folder.to_owned(), mails.clone(), disk.is_some());
        tokio::spawn(async move {
            loop {
                take_all(&folder, sender, &mails);
                fill(&folder, small && mails.has_fault(Fault::DiskFull));
                let hurry = mails.failpoints.is_set(MAIL);
                sleep(Duration::from_millis(if hurry { 2 } else { 100 })).await;
            }
        });
        Outbox { disk }
    }

    /// Whether it has a disk of its own, as far as this system allows.
    pub(crate) fn has_disk(&self) -> bool {
        self.disk.is_some()
    }
}

fn take_all(folder: &Path, sender: Part, mails: &Mails) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".eml") || name.starts_with('.') {
            continue;
        }
        let Ok(raw) = fs::read(file.path()) else { continue };
        // One that is written again is a mail that comes again.
        if fs::remove_file(file.path()).is_ok() {
            mails.take(&Mail::parse(&raw), sender);
        }
    }
}

/// Leaves no byte free, or frees what was taken.
fn fill(folder: &Path, full: bool) {
    let filling = folder.join(".filling");
    if full {
        let file = fs::File::options().create(true).append(true).open(&filling);
        // It ends with the error that the disk is full.
        let _ = file.and_then(|mut file| file.write_all(&vec![0; 8 << 20]));
    } else if filling.exists() {
        let _ = fs::remove_file(filling);
    }
}

impl Disk {
    fn at(folder: &Path) -> Option<Disk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(folder);
        let mounted = mount.stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut unmount = Command::new("sh");
        unmount.args(["-c", "cat >/dev/null; umount -l \"$0\""]).arg(folder);
        std::os::unix::process::CommandExt::process_group(&mut unmount, 0);
        let mut unmount = unmount.stdin(Stdio::piped()).spawn().ok()?;
        let held = unmount.stdin.take();
        Some(Disk { unmount, held })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = self.unmount.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_freed() {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(disk) = Disk::at(folder.path()) else {
            return eprintln!("not tried: no tmpfs can be mounted here");
        };
        let mail = folder.path().join("mail.eml");
        fill(folder.path(), true);
        let error = fs::write(&mail, "mail").expect_err("it is full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        fill(folder.path(), false);
        fs::write(&mail, "mail").expect("it is free");
        drop(disk);
        assert!(!mail.exists());
    }
}
