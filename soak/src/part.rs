//! The parts of the cluster that can fail.

/// The worker that sends by SMTP, the one that publishes to SNS, and the one with an outbox.
pub(crate) const BY_SMTP: usize = 0;
/// See [`BY_SMTP`].
pub(crate) const BY_SNS: usize = 1;
/// See [`BY_SMTP`].
pub(crate) const BY_OUTBOX: usize = 2;

/// A process of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Temporal,
    /// One of the workers.
    Worker(usize),
    /// One of the signalers.
    Signaler(usize),
}

impl Part {
    pub(crate) const ALL: [Part; 6] = [
        Part::Temporal,
        Part::Worker(BY_SMTP),
        Part::Worker(BY_SNS),
        Part::Worker(BY_OUTBOX),
        Part::Signaler(0),
        Part::Signaler(1),
    ];

    pub(crate) const WORKERS: [Part; 3] =
        [Part::Worker(BY_SMTP), Part::Worker(BY_SNS), Part::Worker(BY_OUTBOX)];

    /// The name that all parts of its kind share.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Part::Temporal => "Temporal",
            Part::Worker(_) => "worker",
            Part::Signaler(_) => "signaler",
        }
    }
}
