//! What a worker says of itself in its identity, which everybody sees who may describe its task queue.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

/// The identity of a worker: its process, its version, and fingerprints of what all workers of a task queue
/// should have the same.
///
/// A link key is 32 random bytes, and its fingerprint an HMAC under it: nobody can guess the one from the
/// other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Its ID and its host, such as `7@worker-1`.
    pub process: String,
    pub version: String,
    /// The fingerprints of its link keys; the first one signs.
    pub keys: Vec<String>,
    /// The fingerprint of what routes submissions.
    pub rules: String,
    /// When it started, or last read its rules again. To the second.
    pub since: Timestamp,
}

impl fmt::Display for WorkerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkerIdentity { process, version, keys, rules, since } = self;
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "{process} {version} keys={} rules={rules} since={since}", keys.join(","))
    }
}

/// Not one of ours: of an earlier version, or of a worker that runs approvals beside something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownIdentity;

impl FromStr for WorkerIdentity {
    type Err = UnknownIdentity;

    fn from_str(text: &str) -> Result<Self, UnknownIdentity> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(UnknownIdentity);
        let (process, version) = (word()?.to_owned(), word()?.to_owned());
        let mut value = |name: &str| {
            let value = word().ok()?.strip_prefix(name)?.strip_prefix('=')?;
            Some(value.to_owned())
        };
        let (keys, rules) = (value("keys"), value("rules"));
        let since = value("since").and_then(|since| since.parse().ok());
        let keys = keys.ok_or(UnknownIdentity)?.split(',').map(str::to_owned).collect();
        let (rules, since) = (rules.ok_or(UnknownIdentity)?, since.ok_or(UnknownIdentity)?);
        Ok(WorkerIdentity { process, version, keys, rules, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written_and_others_are_not() {
        let identity = WorkerIdentity {
            process: "7@worker-1".into(),
            version: "0.4.0".into(),
            keys: vec!["Cl01nCFKbCQ".into(), "76ejsd6uOpA".into()],
            rules: "m3Kx1bkcxUo".into(),
            since: "2026-12-01T09:12:00Z".parse().expect("a time"),
        };
        let text = "7@worker-1 0.4.0 keys=Cl01nCFKbCQ,76ejsd6uOpA rules=m3Kx1bkcxUo \
                    since=2026-12-01T09:12:00Z";
        assert_eq!(identity.to_string(), text);
        assert_eq!(text.parse(), Ok(identity));
        for other in ["", "7@worker-1", "my worker", "7@h 1 keys=a rules=b", "7@h 1 rules=b keys=a"]
        {
            assert_eq!(other.parse::<WorkerIdentity>(), Err(UnknownIdentity), "{other}");
        }
    }
}
