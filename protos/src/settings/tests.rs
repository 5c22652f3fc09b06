use super::*;
use crate::{
    LinkKeys,
    keys::tests::{KEY_A, KEY_B},
};

const KEYS: &str = Secret::LINK_KEYS.name;
const KEYS_FILE: &str = Secret::LINK_KEYS.file;
const NOTIFY: &str = Secret::NOTIFY.name;
const NOTIFY_FILE: &str = Secret::NOTIFY.file;

#[test]
fn an_empty_setting_is_absent_and_every_wrong_one_is_named() {
    let [none, empty, three] = [None, Some(" "), Some(" 3 ")].map(|it| it.map(str::to_owned));
    let mut wrong = WrongSettings::default();
    assert_eq!(wrong.optional("A", &none, str::parse::<u8>), None);
    assert_eq!(wrong.optional("B", &empty, str::parse::<u8>), None);
    assert_eq!(wrong.required("C", &three, str::parse::<u8>), Some(3));
    wrong = wrong.none_or(None::<()>).expect_err("nothing to return");
    assert_eq!(wrong.to_string(), "");
    assert_eq!(wrong.required("D", &empty, str::parse::<u8>), None);
    wrong.optional("E", &three, str::parse::<bool>);
    wrong.log_format(&three);
    let said = wrong.none_or(Some(())).expect_err("three are wrong").to_string();
    let parts = ["\n  D: is required\n  E: ", "\n  COUNTERSIGN_LOG_FORMAT: must be text or json"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

/// As `docker run --env-file` leaves them around a value.
#[test]
fn quotation_marks_around_a_value_are_named() {
    for value in ["\"3\"", " '3' ", "\"\""] {
        let mut wrong = WrongSettings::default();
        assert_eq!(wrong.optional("A", &Some(value.to_owned()), str::parse::<u8>), None);
        wrong.log_format(&Some(value.to_owned()));
        let said = wrong.to_string();
        assert_eq!(said.matches(": has quotation marks around it").count(), 2, "{value}: {said}");
    }
    for value in ["\"Team, IT\" <it@example.com>", "it's", "\"", "'", "\"'", ""] {
        assert!(!is_quoted(value), "{value}");
    }
    let double = format!("\"{KEY_A}\"");
    let list = format!("\"{KEY_A}\",\"{KEY_B}\"");
    for variables in [[(KEYS, &*double)], [(KEYS, &*list)], [(KEYS_FILE, "'/keys'")]] {
        let said = read(&variables).expect_err("quoted");
        let [(name, _)] = variables;
        assert!(said.contains(&format!("{name}: has quotation marks")), "{said}");
        assert!(!said.contains(KEY_A), "a secret");
    }
}

/// Files whose names say what is in them.
fn read_file(path: &str) -> io::Result<Vec<u8>> {
    match path {
        "/missing" => Err(io::ErrorKind::NotFound.into()),
        "/folder" => Err(io::ErrorKind::IsADirectory.into()),
        "/empty" => Ok(b" \r\n".into()),
        "/binary" => Ok(vec![0xff, 0xfe]),
        "/keys" => Ok(format!("{KEY_A}\r\n{KEY_B}\n").into()),
        "/broken" => Ok(format!("{}\n{}\n", &KEY_A[..20], &KEY_A[20..]).into()),
        "/marked" => Ok(format!("\u{feff}{KEY_A}\n").into()),
        "/mail" => Ok(b"smtps://me:secret@mail.example.com\n".into()),
        "/mails" => Ok(b"smtps://me:sec\nret@mail.example.com\n".into()),
        _ => panic!("nobody wants {path}"),
    }
}

/// The keys and the notifier's URL, or all that is wrong with them.
fn read(variables: &[(&str, &str)]) -> Result<(LinkKeys, String), String> {
    let environment = Environment::new(variables.iter().copied(), read_file);
    let mut wrong = WrongSettings::default();
    let keys = wrong.required_secret(Secret::LINK_KEYS, &environment, str::parse::<LinkKeys>);
    let notify =
        wrong.optional_secret(Secret::NOTIFY, &environment, |it| Ok::<_, String>(it.to_owned()));
    wrong.none_or(keys.zip(notify.or_else(|| Some(String::new())))).map_err(|it| it.to_string())
}

#[test]
fn secrets_come_from_the_environment_or_from_files() {
    let both = format!("{KEY_A},{KEY_B}");
    for (variables, count, notify) in [
        (&[(KEYS, both.as_str()), (KEYS_FILE, " "), (NOTIFY, "outbox:a")][..], 2, "outbox:a"),
        (&[(KEYS, ""), (KEYS_FILE, "/keys"), (NOTIFY, "")], 2, ""),
        (&[(KEYS, KEY_A), (NOTIFY_FILE, "/mail")], 1, "smtps://me:secret@mail.example.com"),
    ] {
        let (keys, url) = read(variables).expect("good secrets");
        assert_eq!((keys.iter().count(), url.as_str()), (count, notify));
    }
}

#[test]
fn a_secret_that_cannot_be_used_says_what_to_do_and_never_what_it_is() {
    for (variables, why) in [
        (
            &[(NOTIFY, "outbox:mails")][..],
            "COUNTERSIGN_LINK_KEYS: is required, or COUNTERSIGN_LINK_KEYS_FILE with a file's path",
        ),
        (
            &[(KEYS, KEY_A), (KEYS_FILE, "/keys")],
            "COUNTERSIGN_LINK_KEYS_FILE: is set, and so is COUNTERSIGN_LINK_KEYS: unset one of",
        ),
        (&[(KEYS_FILE, "/missing")], "COUNTERSIGN_LINK_KEYS_FILE: names a file that cannot be"),
        (&[(KEYS_FILE, "/folder")], "must have a path that this process may read: is a directory"),
        (&[(KEYS_FILE, "/empty")], "COUNTERSIGN_LINK_KEYS_FILE: names an empty file: write"),
        (&[(KEYS_FILE, "/binary")], "COUNTERSIGN_LINK_KEYS_FILE: names a file that is not text"),
        (&[(KEYS_FILE, "/broken")], "each stands whole on a line of its own"),
        (&[(KEYS_FILE, "/marked")], "COUNTERSIGN_LINK_KEYS_FILE: has an invisible character in it"),
        (&[(KEYS, "c2hvcnQ=")], "COUNTERSIGN_LINK_KEYS: key 1 has 5 bytes, not 32"),
        (
            &[(KEYS, KEY_A), (NOTIFY, "smtps://me:sec\tret@mail.example.com")],
            "COUNTERSIGN_NOTIFY: has an invisible character in it: write it again as plain text, on",
        ),
        (
            &[(KEYS, KEY_A), (NOTIFY_FILE, "/mails")],
            "COUNTERSIGN_NOTIFY_FILE: has an invisible character in it",
        ),
    ] {
        let said = read(variables).expect_err(why);
        assert!(said.contains(why), "{why} is missing in: {said}");
        for secret in [&KEY_A[..8], &KEY_A[20..30], "c2hvcnQ", "sec", "/missing", "/keys"] {
            assert!(!said.contains(secret), "{secret} is in: {said}");
        }
    }
}

#[test]
fn what_travels_in_the_clear_is_refused_unless_that_is_allowed() {
    let given = |text: &str| Some(text.to_owned());
    for (url, allow, expected) in [
        ("https://approvals.example.com", "", [false, false]),
        ("http://localhost:8088", "false", [false, false]),
        ("http://approvals.example.com", "true", [false, false]),
        ("http://approvals.example.com", "", [true, false]),
        ("http://approvals.example.com", "yes", [true, true]),
    ] {
        let mut wrong = WrongSettings::default();
        let allow_insecure = wrong.allow_insecure(&given(allow));
        wrong.public_url(&given(url), allow_insecure);
        let said = wrong.to_string();
        let found = [
            "COUNTERSIGN_PUBLIC_URL: would send links",
            "COUNTERSIGN_ALLOW_INSECURE: must be true or false",
        ]
        .map(|named| said.contains(named));
        assert_eq!(found, expected, "{url}, {allow:?}: {said}");
    }
}
