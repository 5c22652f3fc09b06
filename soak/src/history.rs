//! The events of a history that matter here, in their order.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use countersign_e2e::text;
use countersign_protos::names;
use serde_json::Value;
use temporalio_common::protos::temporal::api::{
    common::v1::Payloads,
    failure::v1::failure::FailureInfo,
    history::v1::{
        ActivityTaskScheduledEventAttributes, HistoryEvent, MarkerRecordedEventAttributes,
        history_event::Attributes,
    },
};

/// An event that the checker reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A signal arrived, with a decision or not.
    Signal {
        name: String,
        /// Its payload; `null` where that is not JSON.
        decision: Value,
        /// When Temporal received it, since 1970.
        at: Duration,
    },
    /// The deadline's timer of this stage fired.
    Deadline(usize),
    /// A reminder's timer of this stage fired; whether the workflow acted on it only when the
    /// deadline had passed too.
    Reminder(usize, bool),
    Cancelled,
    /// A reviewer was asked: the link's hash, the stage, the reviewer.
    Asked(String, usize, String),
    /// A revision was taken: what follows is about another version.
    Revised,
    /// A revision was refused.
    NotRevised,
    /// A mail's second or later attempt: it may have been sent twice.
    MailedAgain,
    /// The workflow has acted on all events before this one.
    Acted,
    /// The workflow completed with a result.
    Completed(Value),
    /// The workflow failed with an error of this type.
    Failed(String),
}

/// The events of a history that bear on its decision, in their order.
pub(crate) fn read(history: &[HistoryEvent]) -> Vec<Event> {
    let mut reader = Reader::default();
    for event in history {
        reader.read(event);
    }
    reader.events
}

/// What is known of a history as far as it has been read.
#[derive(Default)]
struct Reader {
    events: Vec<Event>,
    /// By timer ID: whether it is a deadline's, and its stage.
    timers: HashMap<String, (bool, usize)>,
    /// By the stage's position.
    deadlines: HashMap<usize, Option<Duration>>,
    /// The deadline of the stage whose links were issued last.
    deadline: Option<Duration>,
    /// The scheduled events of activities that send mail.
    mails: HashSet<i64>,
    /// When the latest workflow task started.
    task: Duration,
    /// Whether it has completed, and what follows may be its commands. A task without any, or with nothing but results
    /// of local activities, was ended by a query, and the workflow has not acted yet.
    completes: bool,
    /// The stages of the reminders that fired since the latest workflow task.
    reminders: Vec<usize>,
    /// Whether the submission as it was sent has been validated: any other that is takes its place.
    is_validated: bool,
}

impl Reader {
    fn read(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        let is_marker = matches!(attributes, Attributes::MarkerRecordedEventAttributes(_));
        if self.completes && !is_marker {
            self.completes = false;
            if event.is_command_event() {
                self.remind();
                self.events.push(Event::Acted);
            }
        }
        let read = match attributes {
            Attributes::WorkflowExecutionSignaledEventAttributes(signal) => {
                let (name, decision) = (signal.signal_name.clone(), only(&signal.input));
                Some(Event::Signal { name, decision, at: time(event) })
            }
            Attributes::WorkflowTaskStartedEventAttributes(_) => {
                self.task = time(event);
                None
            }
            Attributes::TimerStartedEventAttributes(timer) => {
                self.start_timer(&timer.timer_id, &summary(event));
                None
            }
            Attributes::MarkerRecordedEventAttributes(marker) => {
                self.deadline = issued_due(marker).or(self.deadline);
                self.validated(marker)
            }
            Attributes::TimerFiredEventAttributes(timer) => self.fire_timer(&timer.timer_id),
            Attributes::ActivityTaskScheduledEventAttributes(activity) => {
                self.schedule(event.event_id, activity)
            }
            Attributes::ActivityTaskStartedEventAttributes(started) => {
                let again = started.attempt > 1 && self.mails.contains(&started.scheduled_event_id);
                again.then_some(Event::MailedAgain)
            }
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => {
                Some(Event::Cancelled)
            }
            Attributes::WorkflowTaskCompletedEventAttributes(_) => {
                self.completes = true;
                None
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(completed) => {
                Some(Event::Completed(only(&completed.result)))
            }
            Attributes::WorkflowExecutionFailedEventAttributes(failed) => {
                Some(Event::Failed(match failed.failure.as_ref().map(|f| &f.failure_info) {
                    Some(Some(FailureInfo::ApplicationFailureInfo(info))) => info.r#type.clone(),
                    other => format!("{other:?}"),
                }))
            }
            _ => None,
        };
        self.events.extend(read);
    }

    /// Each version begins anew.
    fn validated(&mut self, marker: &MarkerRecordedEventAttributes) -> Option<Event> {
        let result = validated(marker)?;
        if !std::mem::replace(&mut self.is_validated, true) {
            return None;
        }
        if result["plan"].is_null() {
            return Some(Event::NotRevised);
        }
        self.timers.clear();
        self.deadlines.clear();
        self.reminders.clear();
        Some(Event::Revised)
    }

    fn start_timer(&mut self, id: &str, summary: &str) {
        // "Deadline of S0 (Fri 27 Nov 2026, 16:00 UTC)"
        let what = summary.trim_matches('"').split(" (").next().unwrap_or_default();
        if let Some((what @ ("Deadline of" | "Reminder for"), stage)) = what.rsplit_once(" S")
            && let Ok(stage) = stage.parse()
        {
            self.deadlines.entry(stage).or_insert(self.deadline);
            self.timers.insert(id.to_owned(), (what == "Deadline of", stage));
        }
    }

    fn fire_timer(&mut self, id: &str) -> Option<Event> {
        match *self.timers.get(id)? {
            (true, stage) => Some(Event::Deadline(stage)),
            (false, stage) => {
                self.reminders.push(stage);
                None
            }
        }
    }

    fn schedule(
        &mut self,
        id: i64,
        activity: &ActivityTaskScheduledEventAttributes,
    ) -> Option<Event> {
        let name = activity.activity_type.as_ref().map(|kind| kind.name.as_str());
        if name != Some("process_decision") {
            self.mails.insert(id);
        }
        let request = only(&activity.input);
        let stage = request["stage"].as_u64().unwrap_or_default() as usize;
        (name == Some("request_approval"))
            .then(|| Event::Asked(text(&request["link"]), stage, text(&request["reviewer"])))
    }

    /// The workflow has acted on the reminders that fired.
    fn remind(&mut self) {
        let late = |stage| {
            self.deadlines.get(&stage).copied().flatten().is_some_and(|due| self.task >= due)
        };
        let reminders: Vec<_> =
            self.reminders.iter().map(|stage| Event::Reminder(*stage, late(*stage))).collect();
        self.events.extend(reminders);
        self.reminders.clear();
    }
}

fn summary(event: &HistoryEvent) -> String {
    let summary = event.user_metadata.as_ref().and_then(|data| data.summary.as_ref());
    summary.map_or(String::new(), |payload| String::from_utf8_lossy(&payload.data).into_owned())
}

/// The two consecutive events with the longest time between them, which explain a slow recovery.
pub(crate) fn longest_pause(history: &[HistoryEvent]) -> String {
    let pause = |pair: &[HistoryEvent]| time(&pair[1]).saturating_sub(time(&pair[0]));
    let Some(pair) = history.windows(2).max_by_key(|pair| pause(pair)) else {
        return "no history".to_owned();
    };
    let name = |event: &HistoryEvent| event.event_type().as_str_name().replace("EVENT_TYPE_", "");
    format!("{:.1?} from {} to {}", pause(pair), name(&pair[0]), name(&pair[1]))
}

/// A history as a list of events with their times, to understand a finding.
pub(crate) fn outline(history: &[HistoryEvent]) -> String {
    let first = history.first().map(time).unwrap_or_default();
    let line = |event: &HistoryEvent| {
        let at = (time(event) - first).as_secs_f64();
        let name = event.event_type().as_str_name().replace("EVENT_TYPE_", "");
        format!("{:3} {at:8.3} {name} {:?}\n", event.event_id, event.attributes)
    };
    history.iter().map(line).collect()
}

/// The part of a history from its first signal on.
pub(crate) fn since_first_signal(history: &[HistoryEvent]) -> &[HistoryEvent] {
    let signal = |event: &HistoryEvent| {
        matches!(event.attributes, Some(Attributes::WorkflowExecutionSignaledEventAttributes(_)))
    };
    history.iter().position(signal).map_or(&[], |first| &history[first..])
}

fn time(event: &HistoryEvent) -> Duration {
    let time = event.event_time.unwrap_or_default();
    Duration::new(time.seconds as u64, time.nanos as u32)
}

/// The reviewers to whom a request was refused for good.
pub(crate) fn refused(history: &[HistoryEvent]) -> HashSet<String> {
    let (mut requests, mut refused) = (HashMap::new(), HashSet::new());
    for event in history {
        match &event.attributes {
            Some(Attributes::ActivityTaskScheduledEventAttributes(activity)) => {
                requests.insert(event.event_id, text(&only(&activity.input)["reviewer"]));
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => {
                let info = failed.failure.as_ref().and_then(|it| it.failure_info.as_ref());
                if let Some(FailureInfo::ApplicationFailureInfo(info)) = info
                    && info.r#type == "MailRejected"
                {
                    refused.extend(requests.get(&failed.scheduled_event_id).cloned());
                }
            }
            _ => {}
        }
    }
    refused
}

/// Whether the time of a deadline or of a reminder has come: its timer has fired, or something else has had the
/// workflow look at the clock before that.
pub(crate) fn is_late(history: &[HistoryEvent]) -> bool {
    let is_timer = |event: &Event| matches!(event, Event::Deadline(_) | Event::Reminder(..));
    let mut earliest: Option<Duration> = None;
    let passed = history.iter().any(|event| match &event.attributes {
        Some(Attributes::MarkerRecordedEventAttributes(marker)) => {
            earliest = issued_due(marker).into_iter().chain(earliest).min();
            false
        }
        Some(Attributes::WorkflowTaskStartedEventAttributes(_)) => {
            earliest.is_some_and(|due| time(event) >= due)
        }
        _ => false,
    });
    passed || read(history).iter().any(is_timer)
}

/// Whether the workflow has ended.
pub(crate) fn has_ended(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Completed(_) | Event::Failed(_)))
}

/// The only payload as JSON; `null` where it is something else.
fn only(payloads: &Option<Payloads>) -> Value {
    match payloads.as_ref().map(|payloads| payloads.payloads.as_slice()) {
        Some([only]) => serde_json::from_slice(&only.data).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// What `validate_submission` has returned, if a marker is of it.
fn validated(marker: &MarkerRecordedEventAttributes) -> Option<Value> {
    let detail = |name: &str| only(&marker.details.get(name).cloned());
    (detail("data")["activity_type"] == names::ACTIVITY_VALIDATE).then(|| detail("result"))
}

/// The deadline of the stage whose links a marker issues.
fn issued_due(marker: &MarkerRecordedEventAttributes) -> Option<Duration> {
    let mut details = marker.details.values().map(|details| only(&Some(details.clone())));
    details.find_map(|json| due(&json))
}

/// A stage's deadline, as the result of `issue_links` has it.
fn due(issued: &Value) -> Option<Duration> {
    let deadline: jiff::Timestamp = issued["due"]["deadline"].as_str()?.parse().ok()?;
    deadline.as_duration().try_into().ok()
}
