//! Settings: an empty one counts as absent, and every wrong one is reported. Secrets are not flags.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fmt::{self, Display},
    io,
};

use crate::public_url::PublicUrl;

/// The setting of a log's format, which both programs have.
pub const LOG_FORMAT: &str = "COUNTERSIGN_LOG_FORMAT";

const ALLOW_INSECURE: &str = "COUNTERSIGN_ALLOW_INSECURE";
const PUBLIC_URL: &str = "COUNTERSIGN_PUBLIC_URL";

/// A setting's value. An empty one counts as absent: compose files set unused variables so.
pub fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

/// What is wrong with a value that [`is_quoted`].
pub const QUOTED: &str = "has quotation marks around it, which are part of the value here: write it without \
                          them (docker's --env-file, unlike a shell, keeps them)";

/// Whether an env file has left its quotation marks around a value.
pub fn is_quoted(value: &str) -> bool {
    let between = |mark: char| value.strip_prefix(mark).is_some_and(|rest| rest.ends_with(mark));
    between('"') || between('\'')
}

/// Whether logs are JSON, also where other settings, or this one, are wrong.
pub fn is_json(log_format: &Option<String>) -> bool {
    given(log_format) == Some("json")
}

/// What is wrong with a setting that would send something without TLS to another machine.
pub fn in_clear(what: &str, instead: &str) -> String {
    format!(
        "would send {what} in the clear: {instead}, or set {ALLOW_INSECURE}=true where nobody else \
         can read what is on the network"
    )
}

/// A setting that comes from the environment or from a file. As a flag, every user of the machine would
/// see it in `ps`.
#[derive(Debug, Clone, Copy)]
pub struct Secret {
    /// The variable that holds it.
    pub name: &'static str,
    /// The variable that names a file with it instead.
    pub file: &'static str,
    /// Whether it may have several lines.
    is_list: bool,
}

impl Secret {
    /// The keys of links.
    pub const LINK_KEYS: Secret =
        Secret { name: "COUNTERSIGN_LINK_KEYS", file: "COUNTERSIGN_LINK_KEYS_FILE", is_list: true };
    /// How mail goes out, which may have the mail server's password in it.
    pub const NOTIFY: Secret =
        Secret { name: "COUNTERSIGN_NOTIFY", file: "COUNTERSIGN_NOTIFY_FILE", is_list: false };
    /// The keys that encrypt what Temporal stores, each with its ID.
    pub const PAYLOAD_KEYS: Secret = Secret {
        name: "COUNTERSIGN_PAYLOAD_KEYS",
        file: "COUNTERSIGN_PAYLOAD_KEYS_FILE",
        is_list: true,
    };
    /// Each of them signs every delivery to the webhook.
    pub const WEBHOOK_SECRET: Secret = Secret {
        name: "COUNTERSIGN_WEBHOOK_SECRET",
        file: "COUNTERSIGN_WEBHOOK_SECRET_FILE",
        is_list: true,
    };

    /// Refuses characters that nobody sees, some of which a URL would lose without a word.
    fn check(self, text: String) -> Result<String, String> {
        if is_quoted(text.trim()) {
            return Err(QUOTED.to_owned());
        }
        let is_break = |c: char| self.is_list && matches!(c, '\r' | '\n');
        let unseen = |c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{200b}');
        match text.trim() {
            text if text.contains(|c: char| unseen(c) && !is_break(c)) => Err(format!(
                "has an invisible character in it: write it again as plain text, {}",
                if self.is_list { "each part whole on a line of its own" } else { "on one line" }
            )),
            text => Ok(text.to_owned()),
        }
    }

    /// Why a value cannot be used, with a hint at what only files have.
    fn wrong(self, name: &str, why: impl Display) -> String {
        match self.is_list && name == self.file {
            true => format!("{why} (in the file, each stands whole on a line of its own)"),
            false => why.to_string(),
        }
    }
}

/// Where secrets come from. Without `Debug`: it has them.
pub struct Environment {
    variables: BTreeMap<String, String>,
    read_file: fn(&str) -> io::Result<Vec<u8>>,
}

impl Environment {
    /// The variables, and what reads a whole file: this crate does no I/O.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
        read_file: fn(&str) -> io::Result<Vec<u8>>,
    ) -> Self {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let variables =
            variables.into_iter().map(|(name, value)| (text(name.into()), text(value.into())));
        Self { variables: variables.collect(), read_file }
    }

    /// The variables whose names begin so, also empty ones.
    pub fn starting_with(&self, prefix: &str) -> HashMap<String, String> {
        let own = self.variables.iter().filter(|(name, _)| name.starts_with(prefix));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// A file, as this process reads it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        (self.read_file)(path)
    }

    /// Whether a secret is given, right or wrong.
    pub fn has(&self, secret: Secret) -> bool {
        self.given(secret.name).or(self.given(secret.file)).is_some()
    }

    /// A variable that is no setting of ours, and no secret.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.given(name).map(str::to_owned)
    }

    fn given(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// A secret, and the variable from which it comes; `None` if it is absent.
    fn secret(&self, secret: Secret) -> Option<(&'static str, Result<String, String>)> {
        let Secret { name, file, .. } = secret;
        match (self.given(name), self.given(file)) {
            (None, None) => None,
            (Some(value), None) => Some((name, secret.check(value.to_owned()))),
            (None, Some(path)) if is_quoted(path) => Some((file, Err(QUOTED.to_owned()))),
            (None, Some(path)) => {
                Some((file, self.content(path).and_then(|text| secret.check(text))))
            }
            (Some(_), Some(_)) => {
                Some((file, Err(format!("is set, and so is {name}: unset one of them"))))
            }
        }
    }

    /// A file's text. Errors do not name the file: somebody may have put the secret in its place.
    fn content(&self, path: &str) -> Result<String, String> {
        let unreadable = "names a file that cannot be read, and must have a path that this process \
                          may read";
        let bytes = self.read(path).map_err(|error| format!("{unreadable}: {error}"))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| "names a file that is not text: write the setting's value into it")?;
        match text.trim().is_empty() {
            true => Err("names an empty file: write the setting's value into it".to_owned()),
            false => Ok(text),
        }
    }
}

/// Every wrong setting, by its name, and why; shown as one line each, after a line break.
#[derive(Debug, Default)]
pub struct WrongSettings(Vec<(Cow<'static, str>, String)>);

impl WrongSettings {
    /// Adds a setting, and why it is wrong or what to do.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, why: impl Display) {
        self.0.push((name.into(), why.to_string()));
    }

    /// Adds others.
    pub fn extend(&mut self, others: WrongSettings) {
        self.0.extend(others.0);
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `read` makes of a setting; `None` if it is absent or wrong.
    pub fn optional<'a, T, E: Display>(
        &mut self,
        name: &'static str,
        value: &'a Option<String>,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        match given(value)? {
            quoted if is_quoted(quoted) => {
                self.add(name, QUOTED);
                None
            }
            value => read(value).map_err(|why| self.add(name, why)).ok(),
        }
    }

    /// As [`optional`](Self::optional), but an absent setting is wrong too.
    pub fn required<'a, T, E: Display>(
        &mut self,
        name: &'static str,
        value: &'a Option<String>,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        if given(value).is_none() {
            self.add(name, "is required");
        }
        self.optional(name, value, read)
    }

    /// What `read` makes of a secret; `None` if it is absent or wrong.
    pub fn optional_secret<T, E: Display>(
        &mut self,
        secret: Secret,
        environment: &Environment,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (name, value) = environment.secret(secret)?;
        let read = value.and_then(|value| read(&value).map_err(|why| secret.wrong(name, why)));
        read.map_err(|why| self.add(name, why)).ok()
    }

    /// As [`optional_secret`](Self::optional_secret), but an absent secret is wrong too.
    pub fn required_secret<T, E: Display>(
        &mut self,
        secret: Secret,
        environment: &Environment,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !environment.has(secret) {
            self.add(secret.name, format!("is required, or {} with a file's path", secret.file));
        }
        self.optional_secret(secret, environment, read)
    }

    /// Whether links, mails and outcomes may travel to other machines without TLS.
    pub fn allow_insecure(&mut self, value: &Option<String>) -> bool {
        self.flag(ALLOW_INSECURE, value)
    }

    /// Whether a setting is `true`. It is `false` where it is absent.
    pub fn flag(&mut self, name: &'static str, value: &Option<String>) -> bool {
        let read = self.optional(name, value, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false"),
        });
        read.unwrap_or_default()
    }

    /// The base of every link, by which none travels in the clear unless that is allowed.
    pub fn public_url(
        &mut self,
        value: &Option<String>,
        allow_insecure: bool,
    ) -> Option<PublicUrl> {
        let url: PublicUrl = self.required(PUBLIC_URL, value, str::parse)?;
        if url.is_in_clear() && !allow_insecure {
            let instead = "start it with https://, and put a proxy that terminates TLS before the \
                           signaler";
            self.add(PUBLIC_URL, in_clear("links", instead));
        }
        Some(url)
    }

    /// Reports a format of logs that there is not.
    pub fn log_format(&mut self, value: &Option<String>) {
        self.optional(LOG_FORMAT, value, |format| match format {
            "text" | "json" => Ok(()),
            _ => Err("must be text or json"),
        });
    }

    /// The settings, if nothing was reported.
    ///
    /// # Errors
    /// Otherwise.
    pub fn none_or<T>(self, settings: Option<T>) -> Result<T, Self> {
        settings.filter(|_| self.0.is_empty()).ok_or(self)
    }
}

impl Display for WrongSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, why)| write!(f, "\n  {name}: {why}"))
    }
}

impl std::error::Error for WrongSettings {}

#[cfg(test)]
mod tests;
