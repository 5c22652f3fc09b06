//! Temporal's own settings, `TEMPORAL_…` and `temporal.toml`, as its SDK reads them. What is wrong is named with
//! its setting and its file; the SDK would say less, try for ever, or take no notice.

use std::{borrow::Cow, collections::HashMap};

use countersign_protos::settings::{Environment, QUOTED, Secret, WrongSettings, is_quoted};
use temporalio_client::{
    ClientOptions, ConnectionOptions,
    envconfig::{ConfigError, DataSource, LoadClientConfigProfileOptions},
};
use temporalio_common::envconfig::{
    ClientConfigProfile, ClientConfigTLS, load_client_config_profile,
};

use crate::{
    TemporalSettings,
    codec::{PayloadKeys, converter},
};

const PREFIX: &str = "TEMPORAL_";
const ADDRESS: &str = "TEMPORAL_ADDRESS";
const NAMESPACE: &str = "TEMPORAL_NAMESPACE";
const API_KEY: &str = "TEMPORAL_API_KEY";
const TLS: &str = "TEMPORAL_TLS";
const CONFIG_FILE: &str = "TEMPORAL_CONFIG_FILE";
const PROFILE: &str = "TEMPORAL_PROFILE";
const CODEC_ENDPOINT: &str = "TEMPORAL_CODEC_ENDPOINT";
/// Headers of calls, by name. An empty one removes a header of the file.
const METADATA: &str = "TEMPORAL_GRPC_META_";

/// What the SDK would take as it is, also if it is empty: an empty namespace is none, and an empty key or path
/// switches TLS on.
const NEVER_EMPTY: [&str; 11] = [
    ADDRESS,
    NAMESPACE,
    API_KEY,
    TLS,
    CLIENT_CERT.path,
    CLIENT_CERT.data,
    CLIENT_KEY.path,
    CLIENT_KEY.data,
    SERVER_CA.path,
    SERVER_CA.data,
    "TEMPORAL_TLS_SERVER_NAME",
];

/// A setting with a certificate or a key, as a file's path or itself, in both places.
struct Pem {
    path: &'static str,
    data: &'static str,
    key: &'static str,
    /// What stands in its first line.
    label: &'static str,
}

const CLIENT_CERT: Pem = Pem {
    path: "TEMPORAL_TLS_CLIENT_CERT_PATH",
    data: "TEMPORAL_TLS_CLIENT_CERT_DATA",
    key: "client_cert",
    label: "CERTIFICATE-----",
};
const CLIENT_KEY: Pem = Pem {
    path: "TEMPORAL_TLS_CLIENT_KEY_PATH",
    data: "TEMPORAL_TLS_CLIENT_KEY_DATA",
    key: "client_key",
    label: "PRIVATE KEY-----",
};
const SERVER_CA: Pem = Pem {
    path: "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    data: "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    key: "server_ca_cert",
    label: "CERTIFICATE-----",
};

/// Reads them, and the payload keys. `options` say where the file is, if it is not in its usual place.
pub fn read(
    environment: &Environment,
    options: LoadClientConfigProfileOptions,
    wrong: &mut WrongSettings,
) -> Option<TemporalSettings> {
    let mut own = WrongSettings::default();
    let keys = own.optional_secret(Secret::PAYLOAD_KEYS, environment, str::parse::<PayloadKeys>);
    let read = Sources::of(environment, &options, &mut own)
        .and_then(|sources| sources.settings(options, keys, &mut own));
    own.none_or(read).map_err(|own| wrong.extend(own)).ok()
}

/// Where settings come from.
struct Sources<'a> {
    environment: &'a Environment,
    variables: HashMap<String, String>,
    /// Its path, or what it is called.
    file: String,
}

impl<'a> Sources<'a> {
    /// `None` if what they say cannot be meant.
    fn of(
        environment: &'a Environment,
        options: &LoadClientConfigProfileOptions,
        wrong: &mut WrongSettings,
    ) -> Option<Self> {
        let variables = environment.starting_with(PREFIX);
        let mut names: Vec<&String> = variables.keys().collect();
        names.sort();
        for name in names {
            let (value, is) = (variables[name].trim(), |other: &str| name == other);
            let is_read = NEVER_EMPTY.contains(&name.as_str());
            let may_be_empty = is(CONFIG_FILE) || is(PROFILE) || name.starts_with(METADATA);
            match value {
                "" if is_read => wrong.add(name.clone(), "is empty: give it a value, or unset it"),
                _ if (is_read || may_be_empty) && is_quoted(value) => {
                    wrong.add(name.clone(), QUOTED);
                }
                _ if is(TLS) && !is_bool(value) => wrong.add(TLS, "must be true or false"),
                _ => {}
            }
        }
        let given = variables.get(CONFIG_FILE).filter(|path| !path.is_empty());
        if let (Some(path), None) = (given, &options.config_source)
            && let Err(error) = environment.read(path)
        {
            wrong.add(CONFIG_FILE, format!("names a file that cannot be read: {path}: {error}"));
        }
        let file = given.cloned().unwrap_or_else(|| "temporal.toml".to_owned());
        wrong.is_empty().then_some(Self { environment, variables, file })
    }

    fn settings(
        &self,
        options: LoadClientConfigProfileOptions,
        payload_keys: Option<PayloadKeys>,
        wrong: &mut WrongSettings,
    ) -> Option<TemporalSettings> {
        let profile = load_client_config_profile(options, Some(&self.variables));
        let profile = profile.map_err(|error| self.add_unreadable(error, wrong)).ok()?;
        let namespace = profile.namespace.clone().unwrap_or_else(|| "default".to_owned());
        if namespace.is_empty() || namespace != namespace.trim() {
            let why = "must be a namespace, without spaces around it";
            wrong.add(self.name(NAMESPACE, "namespace"), why);
        }
        let key = profile.api_key.as_deref().unwrap_or_default();
        if !key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let why = "has a line break in it, or another character that no header takes: write it on one \
                       line, as plain text";
            wrong.add(self.name(API_KEY, "api_key"), why);
        }
        self.check_tls(&profile, wrong);
        self.check_address(&profile, wrong);
        if !wrong.is_empty() {
            return None;
        }
        let endpoint = profile.codec.as_ref().and_then(|codec| codec.endpoint.as_deref());
        let codec_endpoint = endpoint
            .filter(|endpoint| !endpoint.trim().is_empty())
            .map(|_| self.name(CODEC_ENDPOINT, "codec.endpoint").into_owned());
        let connection = ConnectionOptions::try_from(profile);
        let connection = connection.map_err(|error| self.add_unreadable(error, wrong)).ok()?;
        let mut client = ClientOptions::new(namespace).build();
        if let Some(keys) = &payload_keys {
            client.data_converter = converter(keys);
        }
        Some(TemporalSettings { connection, client, payload_keys, codec_endpoint })
    }

    /// A setting's name: the variable if it is set, and otherwise the key in the file.
    fn name(&self, variable: &'static str, key: &str) -> Cow<'static, str> {
        match self.variables.contains_key(variable) {
            true => variable.into(),
            false => format!("{key} in {}", self.file).into(),
        }
    }

    fn add_unreadable(&self, error: ConfigError, wrong: &mut WrongSettings) {
        match error {
            ConfigError::ProfileNotFound(profile) => {
                wrong.add(PROFILE, format!("there is no profile {profile:?} in {}", self.file));
            }
            // A line of the file may have a key in it.
            ConfigError::LoadError(error) => {
                let error = error.to_string();
                let lines = error.lines().filter(|line| !line.contains('|'));
                let why = lines.collect::<Vec<_>>().join(": ");
                match self.variables.contains_key(CONFIG_FILE) {
                    true => wrong.add(CONFIG_FILE, format!("{}: {why}", self.file)),
                    false => wrong.add(self.file.clone(), why),
                }
            }
            error => wrong.add("TEMPORAL_…", error),
        }
    }

    fn check_address(&self, profile: &ClientConfigProfile, wrong: &mut WrongSettings) {
        let address = profile.address.as_deref().unwrap_or_default().trim();
        let why = match (address.split_once("://"), uses_tls(profile)) {
            (Some(("https", _)), false) => {
                "starts with https://, but TLS is off: set TEMPORAL_TLS=true, or leave https:// out"
            }
            (Some(("http", _)), true) => {
                "starts with http://, but TLS is on: leave http:// out, or set TEMPORAL_TLS=false"
            }
            (Some(("https" | "http", _)), _) | (None, _) => return,
            (Some(_), _) => "must be HOST:PORT, such as temporal.example.com:7233",
        };
        wrong.add(self.name(ADDRESS, "address"), why);
    }

    fn check_tls(&self, profile: &ClientConfigProfile, wrong: &mut WrongSettings) {
        let Some(tls) = profile.tls.as_ref().filter(|_| uses_tls(profile)) else { return };
        let ClientConfigTLS { client_cert, client_key, server_ca_cert, .. } = tls;
        for (pem, source) in
            [(CLIENT_CERT, client_cert), (CLIENT_KEY, client_key), (SERVER_CA, server_ca_cert)]
        {
            if let Some(source) = source {
                self.check_pem(&pem, source, wrong);
            }
        }
        let alone = match (client_cert, client_key) {
            (Some(_), None) => Some((CLIENT_CERT, CLIENT_KEY)),
            (None, Some(_)) => Some((CLIENT_KEY, CLIENT_CERT)),
            _ => None,
        };
        if let Some((given, missing)) = alone {
            let is_data = self.variables.contains_key(given.data);
            let name = self.name(if is_data { given.data } else { given.path }, given.key);
            wrong.add(name, format!("is set without {}: set both", missing.path));
        }
    }

    /// Whether there is what its name says.
    fn check_pem(&self, pem: &Pem, source: &DataSource, wrong: &mut WrongSettings) {
        let Pem { path, data, key, label } = *pem;
        let what = label.trim_end_matches('-');
        match source {
            // A path is shown, and a key is not.
            DataSource::Path(text) if text.contains("-----") || text.contains('\n') => {
                let why = format!("must be the path of a file: {data} takes what is in one");
                wrong.add(self.name(path, &format!("{key}_path")), why);
            }
            DataSource::Path(file) => {
                let why = match self.environment.read(file) {
                    Err(error) => format!("names a file that cannot be read: {file}: {error}"),
                    Ok(bytes) if !has(&bytes, label) => {
                        format!("names a file without a PEM {what}: {file}")
                    }
                    Ok(_) => return,
                };
                wrong.add(self.name(path, &format!("{key}_path")), why);
            }
            DataSource::Data(bytes) if !has(bytes, label) => {
                let why = format!("has no PEM {what} in it: {path} takes the path of a file");
                wrong.add(self.name(data, &format!("{key}_data")), why);
            }
            _ => {}
        }
    }
}

/// As the SDK decides.
fn uses_tls(profile: &ClientConfigProfile) -> bool {
    match &profile.tls {
        Some(tls) => tls.disabled != Some(true),
        None => profile.api_key.is_some(),
    }
}

fn is_bool(text: &str) -> bool {
    ["true", "false", "1", "0"].iter().any(|one| one.eq_ignore_ascii_case(text))
}

fn has(pem: &[u8], label: &str) -> bool {
    String::from_utf8_lossy(pem).contains(label)
}

#[cfg(test)]
mod tests;
