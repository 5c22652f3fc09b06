//! `countersign-worker check-policy`, run without any settings.

use std::{fs, process::Command};

fn check_policy(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-worker"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env_clear()
        .arg("check-policy")
        .args(args)
        .output()
        .expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn valid_rules_are_summarised_in_one_line() {
    let (code, out, err) = check_policy(&["examples/policy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let line = "15 rules and a default, 3 absences, time zone Europe/Berlin, operators may decide";
    assert_eq!(out, format!("examples/policy.toml: {line}\n"));
}

#[test]
fn errors_go_to_standard_error_with_their_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.toml");
    fs::write(&file, "[default]\ndecision = \"maybe\"\nresaon = 1\n").expect("written");
    let (code, out, err) = check_policy(&[&file.display().to_string()]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    for words in ["rules.toml:2:12", "decision = \"maybe\"", "rules.toml:3:1", "2 errors"] {
        assert!(err.contains(words), "{words} is missing in:\n{err}");
    }
}

/// The date in the rules' time zone.
fn today() -> String {
    let now = jiff::Timestamp::now().in_tz("Europe/Berlin").expect("a time zone");
    now.strftime("%A, %-d %B %Y").to_string()
}

#[test]
fn a_submission_is_explained_as_of_now_unless_a_time_is_given() {
    let submission = "examples/submissions/conference.json";
    // Midnight may come in between.
    let before = today();
    let (code, out, err) = check_policy(&["examples/policy.toml", "--explain", submission]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("\"Expenses\" matches."), "{out}");
    let on = |day: &str| out.contains(&format!("\nas if submitted {day}, "));
    assert!(on(&before) || on(&today()), "{before}\n{out}");
    let at = ["--at", "2026-12-23T16:00:00Z"];
    let (_, out, _) =
        check_policy(&["examples/policy.toml", "--explain", submission, at[0], at[1]]);
    // After Christmas, and the days on which the calendar file says that all is closed.
    assert!(out.contains("until Tuesday, 5 January 2027, 17:00 CET (2 working days)"), "{out}");
}
