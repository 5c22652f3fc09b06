use std::{fs, io};

use super::*;

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";

fn read_file(path: &str) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// The settings of these variables alone, or all that is wrong with them.
fn settings(variables: &[(&str, &str)]) -> Result<TemporalSettings, String> {
    let environment = Environment::new(variables.iter().copied(), read_file);
    let mut wrong = WrongSettings::default();
    let options = LoadClientConfigProfileOptions::builder();
    // No file but a named one: that of whoever runs the tests would be read.
    let has_file = variables.iter().any(|(name, _)| *name == CONFIG_FILE);
    let read = read(&environment, options.disable_file(!has_file).build(), &mut wrong);
    wrong.none_or(read).map_err(|wrong| wrong.to_string())
}

#[test]
fn without_settings_it_is_the_server_on_this_machine() {
    let TemporalSettings { connection, client, .. } = settings(&[]).expect("none are needed");
    assert_eq!(connection.target.as_str(), "http://localhost:7233/");
    assert_eq!((client.namespace.as_str(), connection.tls_options.is_some()), ("default", false));
}

#[test]
fn what_is_set_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (cert, key) = (file("cert.pem", CERT), file("key.pem", KEY));
    let toml = format!(
        "[profile.default]\naddress = \"example.com:7233\"\nnamespace = \"payments\"\n\
         [profile.default.tls]\nclient_cert_path = {cert:?}\nclient_key_path = {key:?}\n"
    );
    let toml = file("temporal.toml", &toml);
    let variables = [(CONFIG_FILE, toml.as_str()), (NAMESPACE, "approvals"), (PROFILE, "")];
    let TemporalSettings { connection, client, .. } = settings(&variables).expect("good");
    assert_eq!(connection.target.as_str(), "https://example.com:7233/");
    assert_eq!(client.namespace, "approvals", "variables come before the file");
    let tls = connection.tls_options.expect("TLS").client_tls_options.expect("a certificate");
    assert_eq!(tls.client_cert, CERT.as_bytes());
    let TemporalSettings { connection, .. } =
        settings(&[(API_KEY, "secret"), (ADDRESS, "a.b:7233")]).expect("good");
    assert_eq!(connection.target.as_str(), "https://a.b:7233/", "a key switches TLS on");
    let off = [(TLS, "false"), (CLIENT_CERT.path, "/nowhere/cert.pem")];
    assert!(settings(&off).is_ok(), "without TLS nobody reads it");
}

#[test]
fn what_the_sdk_would_take_silently_or_name_nowhere_is_named_with_setting_and_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (cert, key) = (file("cert.pem", CERT), file("key.pem", KEY));
    let broken = file("broken.toml", "[profile.default]\napi_key = \"hush\n");
    let empty = file("empty.toml", "[profile.default]\nnamespace = \"\"\n");
    let no_cert =
        file("no-cert.toml", "[profile.default.tls]\nserver_ca_cert_path = \"/nowhere/ca.pem\"\n");
    for (variables, named) in [
        (&[(NAMESPACE, "")][..], "TEMPORAL_NAMESPACE: is empty"),
        (&[(NAMESPACE, " ")], "TEMPORAL_NAMESPACE: is empty"),
        (&[(NAMESPACE, "default\n")], "TEMPORAL_NAMESPACE: must be a namespace, without spaces"),
        (&[(ADDRESS, "")], "TEMPORAL_ADDRESS: is empty"),
        (&[(API_KEY, "")], "TEMPORAL_API_KEY: is empty"),
        (&[(TLS, "")], "TEMPORAL_TLS: is empty"),
        (&[(TLS, "yes")], "TEMPORAL_TLS: must be true or false"),
        (&[(API_KEY, "hu\nsh")], "TEMPORAL_API_KEY: has a line break in it"),
        (&[(API_KEY, "hush\n")], "TEMPORAL_API_KEY: has a line break in it"),
        (&[(API_KEY, "hüsh")], "TEMPORAL_API_KEY: has a line break in it, or another character"),
        (
            &[(SERVER_CA.path, "/nowhere/ca.pem")],
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH: names a file that cannot be read: /nowhere/ca.pem: No such",
        ),
        (
            &[(CLIENT_CERT.path, key.as_str()), (CLIENT_KEY.path, key.as_str())],
            "TEMPORAL_TLS_CLIENT_CERT_PATH: names a file without a PEM CERTIFICATE: ",
        ),
        (
            &[(CLIENT_CERT.path, cert.as_str()), (CLIENT_KEY.path, cert.as_str())],
            "TEMPORAL_TLS_CLIENT_KEY_PATH: names a file without a PEM PRIVATE KEY: ",
        ),
        (
            &[(CLIENT_CERT.path, cert.as_str()), (CLIENT_KEY.path, KEY)],
            "TEMPORAL_TLS_CLIENT_KEY_PATH: must be the path of a file",
        ),
        (
            &[(CLIENT_CERT.path, cert.as_str()), (CLIENT_KEY.data, key.as_str())],
            "TEMPORAL_TLS_CLIENT_KEY_DATA: has no PEM PRIVATE KEY in it",
        ),
        (
            &[(CLIENT_CERT.path, cert.as_str())],
            "TEMPORAL_TLS_CLIENT_CERT_PATH: is set without TEMPORAL_TLS_CLIENT_KEY_PATH",
        ),
        (
            &[(CONFIG_FILE, "/nowhere/temporal.toml")],
            "TEMPORAL_CONFIG_FILE: names a file that cannot be read: /nowhere/temporal.toml: No such",
        ),
        (&[(CONFIG_FILE, broken.as_str())], "broken.toml: TOML parse error at line 2"),
        (&[(CONFIG_FILE, empty.as_str())], "empty.toml: must be a namespace"),
        (
            &[(CONFIG_FILE, empty.as_str()), (PROFILE, "x")],
            "TEMPORAL_PROFILE: there is no profile \"x\"",
        ),
        (
            &[(CONFIG_FILE, no_cert.as_str())],
            "no-cert.toml: names a file that cannot be read: /nowhere/ca.pem: No such",
        ),
        (
            &[(ADDRESS, "https://a.b:7233")],
            "TEMPORAL_ADDRESS: starts with https://, but TLS is off",
        ),
        (
            &[(ADDRESS, "http://a.b:7233"), (API_KEY, "hush")],
            "TEMPORAL_ADDRESS: starts with http://, but TLS is on",
        ),
        (&[(ADDRESS, "dns:///a.b:7233")], "TEMPORAL_ADDRESS: must be HOST:PORT"),
    ] {
        let said = settings(variables).err().unwrap_or_else(|| panic!("{named} is missing"));
        assert!(said.contains(named), "{named} is missing in:{said}");
        assert_eq!(said.matches("\n  ").count(), 1, "nothing else is wrong:{said}");
        assert!(!said.contains("hush") && !said.contains("MIIE"), "a secret is in:{said}");
    }
}

/// As `docker run --env-file` leaves them around a value.
#[test]
fn quotation_marks_around_a_value_are_named_whatever_the_setting() {
    let quoted: Vec<_> = NEVER_EMPTY
        .into_iter()
        .chain([CONFIG_FILE, PROFILE, "TEMPORAL_GRPC_META_TEAM"])
        .zip(["\"some\"", "'some'"].into_iter().cycle())
        .collect();
    let said = settings(&quoted).expect_err("wrong");
    for (name, _) in quoted {
        assert!(said.contains(&format!("{name}: has quotation marks around it")), "{name}:{said}");
    }
    assert!(settings(&[("TEMPORAL_OTHER", "\"ours is nothing to them\"")]).is_ok());
    assert!(settings(&[("TEMPORAL_CLI_ADDRESS", "")]).is_ok(), "another program's");
}

#[test]
fn all_that_is_wrong_is_named_at_once_beside_other_settings() {
    let variables = [(NAMESPACE, ""), (TLS, "on"), (CONFIG_FILE, "/nowhere/temporal.toml")];
    let environment = Environment::new(variables, read_file);
    let mut wrong = WrongSettings::default();
    wrong.add("COUNTERSIGN_LISTEN", "is wrong");
    let none = read(&environment, LoadClientConfigProfileOptions::default(), &mut wrong);
    assert!(none.is_none());
    let said = wrong.to_string();
    for name in ["COUNTERSIGN_LISTEN", NAMESPACE, TLS, CONFIG_FILE] {
        assert!(said.contains(&format!("\n  {name}: ")), "{said}");
    }
}
