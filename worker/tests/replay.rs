//! Every recorded history replays with today's workflow code.
//!
//! `tests/histories/<version>/` holds them. Those of a release are never recorded again: code that no
//! longer replays one of them needs a difference in `core/src/commands.rs`, not another recording.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_worker::{ApprovalNotices, ApprovalWorkflow};
use serde_json::{Value, json};
use temporalio_client::WorkflowHistory;
use temporalio_sdk::{
    opentelemetry::OpenTelemetryPlugin,
    workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/histories");

fn histories() -> Vec<(PathBuf, String)> {
    let versions = fs::read_dir(FOLDER).expect("the folder of histories");
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
    replay_with(json, false).await
}

/// Also with the SDK's plugin for traces, which a worker has where a collector is named.
async fn replay_with(json: &str, traces: bool) -> Result<(), String> {
    let mut options = WorkflowReplayerOptions::new()
        .register_workflow::<ApprovalWorkflow>()
        .and_then(|options| options.register_workflow::<ApprovalNotices>())
        .expect("each is registered once");
    if traces {
        options = options.worker_plugin(OpenTelemetryPlugin::builder().build());
    }
    let options = options.build();
    let replayer = WorkflowReplayer::new(options).expect("a replayer");
    let history = WorkflowHistory::from_json(json.as_bytes()).expect("a history");
    replayer.replay_workflow(history).await.map_err(|error| error.to_string())
}

/// A version that is still being built has some only once its commands have changed.
#[test]
fn every_release_has_histories() {
    let files: Vec<PathBuf> = histories().into_iter().map(|(path, _)| path).collect();
    let mut versions: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let today = Path::new(FOLDER).join(env!("CARGO_PKG_VERSION"));
    if env!("CARGO_PKG_VERSION_PRE").is_empty() {
        versions.insert(&today);
    }
    for version in versions {
        for story in ["approve", "reject", "deadline", "two_stages"] {
            let file = version.join(story).with_extension("json");
            assert!(files.contains(&file), "{} is not there", file.display());
        }
    }
}

#[tokio::test]
async fn every_recorded_history_replays() {
    for (path, json) in histories() {
        for traces in [false, true] {
            let replayed = replay_with(&json, traces).await;
            replayed.unwrap_or_else(|error| panic!("{}, {traces}: {error}", path.display()));
        }
    }
}

/// The same check can fail: this workflow code would not have made these histories.
#[tokio::test]
async fn a_history_with_other_commands_does_not_replay() {
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

/// Changes the case that a run continues.
type Change = fn(&mut Value);

/// Starting over would lose votes, and a failed workflow task would be retried forever.
#[tokio::test]
async fn a_run_that_cannot_read_its_state_fails_instead_of_its_task() {
    // Each with how often search attributes are written: once to unset those of the run before, and once
    // more if only a stage is wrong, since they are published first.
    let changes: [(Change, usize); 6] = [
        (|left| *left = json!({"case": 1}), 1),
        (|left| left["case"]["open"] = Value::Null, 1),
        (|left| evidence(left)["firstRunId"] = json!("another"), 1),
        (|left| evidence(left)["plan"]["json"] = json!("{}"), 1),
        (|left| drop(evidence(left)["journal"].as_array_mut().expect("entries").remove(0)), 1),
        (|left| evidence(left)["journal"][0]["asked"]["due"] = Value::Null, 2),
    ];
    let histories = histories().into_iter().filter(|(path, _)| path.ends_with("continued.json"));
    let mut tried = 0;
    for (path, json) in histories {
        for (which, (change, writes)) in changes.iter().enumerate() {
            let mut history: Value = serde_json::from_str(&json).expect("JSON");
            let events = history["events"].as_array_mut().expect("events");
            change_input(&mut events[0], *change);
            // Started; a first workflow task, scheduled, started, completed; search attributes. A signal that
            // came early may be among them.
            let first = |kind: u32| {
                let of_kind = events.iter().find(|event| event["event_type"] == kind);
                of_kind.expect("an event").clone()
            };
            let [started, task, mut working, mut completed, mut written] =
                [1, 5, 6, 7, 40].map(first);
            let refer = |event: &mut Value, name: &str, field: &str, id: u32| {
                event["attributes"][name][field] = id.into();
            };
            refer(&mut working, "WorkflowTaskStartedEventAttributes", "scheduled_event_id", 2);
            refer(&mut completed, "WorkflowTaskCompletedEventAttributes", "scheduled_event_id", 2);
            refer(&mut completed, "WorkflowTaskCompletedEventAttributes", "started_event_id", 3);
            let upsert = "UpsertWorkflowSearchAttributesEventAttributes";
            refer(&mut written, upsert, "workflow_task_completed_event_id", 4);
            let failed = failed_instead_of(completed.clone());
            *events = vec![started, task, working, completed];
            events.extend(std::iter::repeat_n(written, *writes));
            events.push(failed);
            for (id, event) in (1..).zip(events.iter_mut()) {
                event["event_id"] = id.into();
            }
            let replayed = replay(&history.to_string()).await;
            assert_eq!(replayed, Ok(()), "{}, change {which}", path.display());
            tried += 1;
        }
    }
    assert!(tried > 0, "no history of a run that continues another");
}

fn evidence(left: &mut Value) -> &mut Value {
    &mut left["case"]["open"]["evidence"]
}

fn failed_instead_of(mut event: Value) -> Value {
    event["event_type"] = 3.into();
    event["attributes"] = json!({"WorkflowExecutionFailedEventAttributes": {
        "failure": null,
        "retry_state": 0,
        "workflow_task_completed_event_id": 4,
        "new_execution_run_id": "",
    }});
    event
}

fn change_input(started: &mut Value, change: Change) {
    let input = "/attributes/WorkflowExecutionStartedEventAttributes/input/payloads/0/data";
    let data = started.pointer_mut(input).expect("an input");
    let bytes = BASE64_STANDARD.decode(data.as_str().expect("base64")).expect("base64");
    let mut left = serde_json::from_slice(&bytes).expect("JSON");
    let before = std::mem::replace(data, Value::Null);
    change(&mut left);
    *data = BASE64_STANDARD.encode(left.to_string()).into();
    assert_ne!(*data, before, "nothing was changed");
}
