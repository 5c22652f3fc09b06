//! The service, where Temporal cannot be reached.

use clap::Parser;
use countersign_signaler::{App, Arguments, Settings};
use temporalio_client::envconfig::{DataSource, LoadClientConfigProfileOptions};

/// The only link key of the service.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The service, with its settings changed by `flags`.
pub(crate) fn service(public_url: &str, flags: &[&str]) -> App {
    let given = ["signaler", "--link-keys", KEY, "--public-url", public_url];
    let arguments = Arguments::parse_from(given.iter().chain(flags));
    let nowhere = b"[profile.default]\naddress = \"127.0.0.1:1\"\n".to_vec();
    let temporal = LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(nowhere))
        .disable_env(true)
        .build();
    App::new(Settings::read(&arguments, temporal).expect("good settings"))
}
