//! Every released version's recorded histories replay with today's workflow code.
//!
//! `tests/histories/<version>/` holds them. After a release they are never recorded again: code
//! that no longer replays one of them needs another edition (`Plan::edition`), not another recording.

use std::{fs, path::PathBuf};

use countersign_worker::ApprovalWorkflow;
use serde_json::Value;
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

fn histories() -> Vec<(PathBuf, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories");
    let versions = fs::read_dir(folder).expect("the folder of histories");
    let files = versions.flat_map(|version| {
        fs::read_dir(version.expect("a folder").path()).expect("a version's folder")
    });
    let mut histories: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .map(|path| (path.clone(), fs::read_to_string(path).expect("readable")))
        .collect();
    histories.sort();
    histories
}

async fn replay(json: &str) -> Result<(), String> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<ApprovalWorkflow>()
        .expect("registered once")
        .build();
    let replayer = WorkflowReplayer::new(options).expect("a replayer");
    let history = WorkflowHistory::from_json(json.as_bytes()).expect("a history");
    replayer.replay_workflow(history).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_recorded_history_replays() {
    let histories = histories();
    let stories = ["approve", "reject", "deadline", "two_stages"];
    for story in stories {
        let recorded =
            histories.iter().any(|(path, _)| path.file_stem().is_some_and(|s| s == story));
        assert!(recorded, "no history of {story}");
    }
    for (path, json) in histories {
        replay(&json).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The same check on histories that this workflow code would not have made: it can fail.
#[tokio::test]
async fn a_history_of_other_commands_does_not_replay() {
    for (path, json) in histories() {
        let mut history: Value = serde_json::from_str(&json).expect("JSON");
        let events = history["events"].as_array_mut().expect("events");
        let activity = events
            .iter_mut()
            .find_map(|event| {
                event.pointer_mut(
                    "/attributes/ActivityTaskScheduledEventAttributes/activity_type/name",
                )
            })
            .expect("a scheduled activity");
        *activity = "another_activity".into();
        let replayed = replay(&history.to_string()).await;
        assert!(replayed.is_err(), "{} replayed", path.display());
    }
}

/// It would forget who has decided.
#[tokio::test]
async fn a_run_that_cannot_read_what_the_one_before_has_left_does_not_begin_anew() {
    let histories = histories().into_iter().filter(|(path, _)| path.ends_with("continued.json"));
    let mut tried = 0;
    for (path, json) in histories {
        let mut history: Value = serde_json::from_str(&json).expect("JSON");
        let input = history
            .pointer_mut(
                "/events/0/attributes/WorkflowExecutionStartedEventAttributes/input/payloads/0/data",
            )
            .expect("an input");
        // `{"case":1}`
        *input = "eyJjYXNlIjoxfQ==".into();
        let replayed = replay(&history.to_string()).await.expect_err("it cannot be read");
        assert!(replayed.contains("written by a newer worker"), "{}: {replayed}", path.display());
        tried += 1;
    }
    assert!(tried > 0, "no history of a run that goes on");
}
