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
    /// The IDs and fingerprints of the payload keys, the first one encrypts; `none` before them if none does.
    pub payload_keys: Vec<String>,
    /// The fingerprint of what routes submissions.
    pub rules: String,
    /// When it started, or last read its rules again. To the second.
    pub since: Timestamp,
}

impl fmt::Display for WorkerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkerIdentity { process, version, keys, payload_keys, rules, since } = self;
        write!(f, "{process} {version} keys={} ", keys.join(","))?;
        if !payload_keys.is_empty() {
            write!(f, "payload-keys={} ", payload_keys.join(","))?;
        }
        write!(f, "rules={rules} since={}", since.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Not one of ours: of an earlier version, or of a worker that runs approvals beside something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownIdentity;

impl FromStr for WorkerIdentity {
    type Err = UnknownIdentity;

    fn from_str(text: &str) -> Result<Self, UnknownIdentity> {
        let words: Vec<&str> = text.split(' ').collect();
        let [process, version, values @ ..] = &words[..] else { return Err(UnknownIdentity) };
        let value = |name: &str| {
            let found = values.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.ok_or(UnknownIdentity)
        };
        let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        Ok(WorkerIdentity {
            process: (*process).to_owned(),
            version: (*version).to_owned(),
            keys: list(value("keys")?),
            payload_keys: value("payload-keys").map(list).unwrap_or_default(),
            rules: value("rules")?.to_owned(),
            since: value("since")?.parse().map_err(|_| UnknownIdentity)?,
        })
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
            payload_keys: vec![],
            rules: "m3Kx1bkcxUo".into(),
            since: "2026-12-01T09:12:00Z".parse().expect("a time"),
        };
        let text = "7@worker-1 0.4.0 keys=Cl01nCFKbCQ,76ejsd6uOpA rules=m3Kx1bkcxUo \
                    since=2026-12-01T09:12:00Z";
        assert_eq!(identity.to_string(), text);
        assert_eq!(text.parse(), Ok(identity.clone()));
        let encrypting = WorkerIdentity { payload_keys: vec!["k1:9Bv".into()], ..identity };
        assert!(encrypting.to_string().contains(" payload-keys=k1:9Bv rules="), "{encrypting}");
        assert_eq!(encrypting.to_string().parse(), Ok(encrypting));
        for other in [
            "",
            "7@worker-1",
            "my worker",
            "7@h 1 keys=a rules=b",
            "7@h 1 rules=b since=2026-12-01T09:12:00Z",
        ] {
            assert_eq!(other.parse::<WorkerIdentity>(), Err(UnknownIdentity), "{other}");
        }
    }
}
