//! The file of routing rules: read at startup, when it changes, and on SIGHUP.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{metrics::metrics, policy::Policy};

/// How much of a hash tells rules apart.
const HASH_BYTES: usize = 6;

/// A file of routing rules, and what was last read from it.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    path: PathBuf,
    pub(super) rules: watch::Sender<Arc<Policy>>,
    /// Of what is in force.
    hash: watch::Sender<String>,
    /// What was read last, even if it is not in force for its errors.
    read: Files,
    /// What the last look found.
    found: Files,
}

impl PolicyFile {
    pub(super) fn open(path: &str) -> Result<Self, String> {
        let (policy, read) = load_files(path.as_ref(), false);
        let rules = watch::Sender::new(Arc::new(policy?));
        let hash = read.hash();
        metrics().process.in_force(&hash);
        let found = read.clone();
        Ok(Self { path: path.into(), rules, hash: watch::Sender::new(hash), read, found })
    }

    /// Reads the file again, with the calendars that it names. Approvals that are under way keep what applied to
    /// them.
    ///
    /// # Errors
    /// What is wrong in it; the rules that were read before stay in force.
    pub fn read_again(&mut self) -> Result<String, String> {
        let (policy, read) = load_files(&self.path, false);
        self.read = read;
        let policy = policy.inspect_err(|_| metrics().process.not_reloaded())?;
        let (summary, hash) = (policy.summary(), self.read.hash());
        metrics().process.in_force(&hash);
        self.rules.send_replace(Arc::new(policy));
        self.hash.send_replace(hash);
        Ok(summary)
    }

    /// Looks into the files, to be called every few seconds. Once they differ from what was read last, and were found
    /// so twice, since somebody may be writing, reads them [again](Self::read_again); otherwise `None`.
    ///
    /// By content: whoever replaces a link or a whole folder, as Kubernetes does, changes no file, and a network's
    /// file system tells nobody of changes.
    pub fn read_if_changed(&mut self) -> Option<Result<String, String>> {
        let now = self.read.again();
        let settled = now == self.found;
        self.found = now;
        (settled && self.found != self.read).then(|| self.read_again())
    }

    /// A hash of what is in force: the same for the same rules.
    pub fn hash(&self) -> String {
        self.hash.borrow().clone()
    }

    /// What is in force, in one line.
    pub fn summary(&self) -> String {
        self.rules.borrow().summary()
    }
}

/// Files, with a hash of what was in each or of why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files(Vec<(PathBuf, String)>);

impl Files {
    fn hash(&self) -> String {
        hash_of(self.0.iter().map(|(_, hash)| hash))
    }

    /// The same files as they are now.
    fn again(&self) -> Self {
        let now = |path: &PathBuf| (path.clone(), file_hash(&fs::read(path)));
        Self(self.0.iter().map(|(path, _)| now(path)).collect())
    }
}

fn file_hash(read: &std::io::Result<Vec<u8>>) -> String {
    match read {
        Ok(bytes) => hash_of([bytes]),
        Err(error) => error.kind().to_string(),
    }
}

/// Reads a rules file. Paths in it are relative to it.
///
/// # Errors
/// Every error in it, as text.
pub fn load(path: &Path, colours: bool) -> Result<Policy, String> {
    load_files(path, colours).0
}

/// As [`load`], with the files that it has read.
fn load_files(path: &Path, colours: bool) -> (Result<Policy, String>, Files) {
    let files = RefCell::new(Vec::new());
    let read = |path: &Path| {
        let read = fs::read(path);
        files.borrow_mut().push((path.to_owned(), file_hash(&read)));
        read
    };
    let text = read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| std::io::Error::other(error.utf8_error()))
    });
    let policy = match text {
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        Ok(text) => {
            let name = path.display().to_string();
            Policy::parse(&text, &name, |file: &str| read(&beside(path, file)))
                .map_err(|diagnostics| diagnostics.render(colours))
        }
    };
    (policy, Files(files.into_inner()))
}

/// A path in a file is relative to it.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

/// A hash that tells rules apart by what they are read from, in this order.
pub(super) fn hash_of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let hash = parts.into_iter().fold(Sha256::new(), |hash, part| {
        let part = part.as_ref();
        hash.chain_update(part.len().to_be_bytes()).chain_update(part)
    });
    hash.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const RULES: &str =
        "[default]\nstages = [{ name = \"Review\", reviewers = [\"ann@example.com\"] }]\n";
    const HOLIDAYS: &str = "[calendar]\ntime_zone = \"UTC\"\nholidays_file = \"holidays.ics\"\n";
    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\n\
                            DTSTART;VALUE=DATE:20261224\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    fn opened(folder: &Path) -> PolicyFile {
        let path = folder.join("policy.toml");
        PolicyFile::open(path.to_str().expect("a UTF-8 path")).expect("good rules")
    }

    fn who(policy: &PolicyFile) -> String {
        format!("{:?}", policy.rules.borrow())
    }

    /// As Kubernetes mounts a ConfigMap: the file is a link into a folder, which is a link that is replaced.
    #[test]
    fn rules_behind_a_link_that_is_replaced_are_read_again_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for (version, rules) in [("..1", RULES.to_owned()), ("..2", RULES.replace("ann", "bob"))] {
            fs::create_dir(folder.join(version)).expect("created");
            fs::write(folder.join(version).join("policy.toml"), rules).expect("written");
        }
        symlink("..1", folder.join("..data")).expect("linked");
        symlink("..data/policy.toml", folder.join("policy.toml")).expect("linked");
        let mut policy = opened(folder);
        let before = policy.hash();
        assert!(policy.read_if_changed().is_none() && policy.read_if_changed().is_none());

        symlink("..2", folder.join("..new")).expect("linked");
        fs::rename(folder.join("..new"), folder.join("..data")).expect("replaced");
        assert!(policy.read_if_changed().is_none(), "somebody may be writing");
        let read = policy.read_if_changed().expect("it has changed");
        assert!(read.is_ok(), "{read:?}");
        assert!(who(&policy).contains("bob@") && policy.hash() != before, "{policy:?}");
        assert!(policy.read_if_changed().is_none() && policy.read_if_changed().is_none());
    }

    #[test]
    fn a_file_that_is_being_written_is_left_until_it_stays_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.toml");
        fs::write(&file, RULES).expect("written");
        let mut policy = opened(folder.path());
        for half in ["", &RULES[..12], &RULES.replace("ann", "bob")] {
            fs::write(&file, half).expect("written");
            assert!(policy.read_if_changed().is_none(), "{half}");
        }
        assert!(policy.read_if_changed().expect("it stays the same").is_ok());
        assert!(who(&policy).contains("bob@"), "{policy:?}");
    }

    #[test]
    fn mistakes_are_told_once_and_change_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.toml");
        fs::write(&file, RULES).expect("written");
        let mut policy = opened(folder.path());
        let before = (policy.hash(), who(&policy));
        for wrong in [Some("[default]\nname = 7\n"), None] {
            match wrong {
                Some(text) => fs::write(&file, text).expect("written"),
                None => fs::remove_file(&file).expect("removed"),
            }
            assert!(policy.read_if_changed().is_none());
            let errors =
                policy.read_if_changed().expect("it has changed").expect_err("it is wrong");
            assert!(errors.contains("policy.toml"), "{errors}");
            assert!(policy.read_if_changed().is_none() && policy.read_if_changed().is_none());
            assert_eq!((policy.hash(), who(&policy)), before);
        }
        fs::write(&file, RULES).expect("written");
        assert!(policy.read_if_changed().is_none());
        assert!(policy.read_if_changed().expect("it is back").is_ok());
    }

    #[test]
    fn a_calendar_that_the_rules_name_counts_as_part_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let calendar = folder.path().join("holidays.ics");
        fs::write(folder.path().join("policy.toml"), format!("{HOLIDAYS}{RULES}"))
            .expect("written");
        fs::write(&calendar, CALENDAR).expect("written");
        let mut policy = opened(folder.path());
        let before = policy.hash();
        fs::write(&calendar, CALENDAR.replace("1224", "1225")).expect("written");
        assert!(policy.read_if_changed().is_none());
        assert!(policy.read_if_changed().expect("it has changed").is_ok());
        assert_ne!(policy.hash(), before);
    }
}
