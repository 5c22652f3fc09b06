//! Connections that wait for another mail.

use std::{iter, sync::Arc, time::Duration};

use lettre::transport::smtp::client::AsyncSmtpConnection;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

/// How long a connection waits. Servers wait for five minutes (RFC 5321, 4.5.3.2.7), some for less.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// How many wait at once; each takes a socket.
const MOST: usize = 50;
/// For the reply to QUIT, on which nothing depends.
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Only those whose last mail was taken: one that is dropped half-way through a mail leaves its connection in
/// the middle of a dialogue.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<Place>>>);

/// Empty once the connection is used or has waited for too long.
type Place = Arc<Mutex<Option<AsyncSmtpConnection>>>;

impl Idle {
    /// The one that has come last, so that the others may end.
    pub(super) fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut places = self.0.lock();
        iter::from_fn(|| places.pop()).find_map(|place| place.lock().take())
    }

    pub(super) fn keep(&self, connection: AsyncSmtpConnection) {
        let mut places = self.0.lock();
        places.retain(|place| place.lock().is_some());
        if places.len() >= MOST {
            return quit(connection);
        }
        let place = Arc::new(Mutex::new(Some(connection)));
        places.push(place.clone());
        tokio::spawn(async move {
            sleep(WAIT).await;
            let unused = place.lock().take();
            if let Some(connection) = unused {
                quit(connection);
            }
        });
    }
}

/// Sends QUIT in the background: an accepted mail stays accepted, whatever the reply.
pub(super) fn quit(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
    });
}
