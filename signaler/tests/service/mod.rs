//! The service, where Temporal cannot be reached.

use std::io;

use clap::Parser;
use countersign_protos::settings::Environment;
use countersign_signaler::{App, Arguments, Settings};
use temporalio_client::envconfig::{DataSource, LoadClientConfigProfileOptions};

/// The only link key of the service.
pub(crate) const KEY: &str = countersign_protos::TEST_KEYS[0];

/// The service, with its settings changed by `flags`; `notify` may be empty.
pub(crate) fn service(public_url: &str, notify: &str, flags: &[&str]) -> App {
    let given = ["signaler", "--public-url", public_url];
    let arguments = Arguments::parse_from(given.iter().chain(flags));
    let secrets = [("COUNTERSIGN_LINK_KEYS", KEY), ("COUNTERSIGN_NOTIFY", notify)];
    let environment = Environment::new(secrets, |_| Err(io::ErrorKind::NotFound.into()));
    let nowhere = b"[profile.default]\naddress = \"127.0.0.1:1\"\n".to_vec();
    let temporal = LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(nowhere))
        .disable_env(true)
        .build();
    App::new(Settings::read(&arguments, &environment, temporal).expect("good settings"))
}
