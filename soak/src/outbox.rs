//! The mails that were written, as they are found in the outbox.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_e2e::Mail;
use tokio::sync::watch;

/// What the outbox had so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The approval IDs that an address was sent, each once, in order.
    pub(crate) ids: HashMap<String, Vec<String>>,
    /// The mails without links that an address was sent.
    pub(crate) news: HashMap<String, usize>,
    /// How many mails there are. One that is written again replaces itself.
    pub(crate) mails: usize,
}

/// The outbox, which a task of its own reads.
pub(crate) struct Outbox {
    folder: PathBuf,
    found: Mutex<Found>,
    changes: watch::Sender<u64>,
}

impl Outbox {
    /// Starts reading a folder, again and again.
    pub(crate) fn reading(folder: &Path) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox {
            folder: folder.to_owned(),
            found: Mutex::default(),
            changes: watch::channel(0).0,
        });
        let reading = outbox.clone();
        tokio::spawn(async move {
            let mut known = HashSet::new();
            loop {
                reading.read_new(&mut known);
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        outbox
    }

    fn read_new(&self, known: &mut HashSet<String>) {
        let mut changed = false;
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".eml") || name.starts_with('.') || known.contains(&name) {
                continue;
            }
            let Ok(raw) = fs::read(file.path()) else { continue };
            self.add(&Mail::parse(&raw));
            known.insert(name);
            changed = true;
        }
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    fn add(&self, mail: &Mail) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.mails += 1;
        for to in &mail.to {
            if mail.has_links() {
                let ids = found.ids.entry(to.clone()).or_default();
                let id = mail.approval_id();
                if !ids.contains(&id) {
                    ids.push(id);
                }
            } else {
                *found.news.entry(to.clone()).or_default() += 1;
            }
        }
    }

    /// Looks at what was found so far.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Found) -> T) -> T {
        at(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something to see.
    pub(crate) async fn until<T>(&self, look: impl Fn(&Found) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(seen) = self.look(&look) {
                return seen;
            }
            // The sender lives as long as this value.
            let _ = changes.changed().await;
        }
    }

    /// Whose link an approval ID is.
    pub(crate) fn recipient(&self, id: &str) -> Option<String> {
        let holds = |(_, ids): &(&String, &Vec<String>)| ids.iter().any(|other| other == id);
        self.look(|found| found.ids.iter().find(holds).map(|(to, _)| to.clone()))
    }
}
