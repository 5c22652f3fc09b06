//! Whether a set-up is sound: the words of `doctor`.

mod keys;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use self::keys::{keys, payload_keys};
use super::{
    Area, Finding, HARDLY, Level, Overview, State, WorkerIdentity, away,
    causes::{BAD_ATTRIBUTES, OR_CLOCK},
    counted, expired_at,
    list::Group,
    listed, readable, remedy, span,
};

/// A poll takes a minute at most, so a worker that runs has begun one in this time.
const ALIVE: SignedDuration = SignedDuration::from_secs(75);
/// From here on, somebody should set a clock.
const OFF: SignedDuration = HARDLY;
/// From here on, signatures and deadlines are wrong.
const FAR_OFF: SignedDuration = SignedDuration::from_secs(30);

/// How many causes of failures are named.
const MOST_CAUSES: usize = 5;

/// What was learned of a set-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// By this machine's clock.
    pub now: Timestamp,
    pub own: Own,
    /// What the server says of itself, or why it cannot be reached.
    pub server: Result<Server, String>,
    /// What was asked of it then.
    pub connected: Option<Connected>,
    /// What answers, or why nothing does.
    pub mail: Result<String, String>,
    /// The same of the webhook; `None` without one.
    pub webhook: Option<Result<String, String>>,
    pub signaler: Result<Signaler, String>,
}

/// What the settings say.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    /// As a worker with these settings would have it.
    pub identity: WorkerIdentity,
    pub address: String,
    pub namespace: String,
    pub task_queue: String,
    pub public_url: String,
    /// How long an approval can wait for people.
    pub longest_wait: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub version: String,
    /// Of histories, and of the index. `None` for who may not know.
    pub stores: Option<(String, String)>,
}

/// What was asked of a server that can be reached. Errors are in its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    /// How long the namespace keeps closed workflows.
    pub retention: Result<SignedDuration, String>,
    pub attributes: Result<Vec<(String, AttributeState)>, String>,
    /// The commands that make what is missing.
    pub make_attributes: String,
    pub permissions: Vec<(Call, Permission)>,
    pub refused: Refused,
    pub queues: Vec<Result<Queue, String>>,
    /// An open approval that was queried, and how long a worker took to answer; `None` if none is open.
    pub answer: Option<(String, Result<SignedDuration, String>)>,
    /// This machine's clock minus the server's.
    pub clock: Result<SignedDuration, String>,
    /// Whether the server can write.
    pub writes: Result<(), String>,
    pub approvals: Result<Overview, String>,
}

/// Calls of whoever only looks that were refused for now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// How often, by the call's name.
    pub calls: BTreeMap<String, u32>,
    /// The last refusal, in the server's words.
    pub words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeState {
    There,
    Missing,
    /// It exists with another type.
    OtherType,
}

/// A call, and what does not work without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub without_it: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Given,
    Denied,
    Unknown,
}

/// A task queue, and who has polled it in the last five minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    pub name: String,
    pub pollers: Vec<Poller>,
    /// For how long the oldest of its tasks has waited.
    pub oldest_task: Option<SignedDuration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poller {
    pub identity: String,
    pub last_seen: Timestamp,
}

/// What a signaler says under the public URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signaler {
    /// Whether it reaches Temporal.
    pub is_ready: bool,
    /// The fingerprints of its link keys, the first one first; `None` if it does not say them.
    pub keys: Option<Vec<String>>,
}

impl Setup {
    /// By the server's clock.
    pub fn server_time(&self) -> Timestamp {
        server_time(self.now, self.ahead())
    }

    /// This machine's clock minus the server's, where that is known.
    fn ahead(&self) -> Option<SignedDuration> {
        self.connected.as_ref()?.clock.as_ref().ok().copied()
    }
}

/// The time by the server's clock, where it is known how far ours is `ahead`: all that is seen by the server has its
/// times.
pub fn server_time(now: Timestamp, ahead: Option<SignedDuration>) -> Timestamp {
    let ahead = ahead.filter(|ahead| ahead.abs() >= OFF).unwrap_or_default();
    now.checked_sub(ahead).unwrap_or(now)
}

impl Poller {
    /// `now` is by the server's clock.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_seen) < ALIVE
    }

    /// Its worker, which polls for workflows and for activities.
    pub(super) fn process(&self) -> &str {
        self.identity.split(' ').next().unwrap_or_default()
    }
}

/// Everything that is to be said about a set-up.
pub fn examine(setup: &Setup) -> Vec<Finding> {
    let Setup { own, server, connected, .. } = setup;
    let now = setup.server_time();
    let mut findings = vec![temporal(own, server)];
    if let Some(connected) = connected {
        findings.extend([
            namespace(own, &connected.retention),
            attributes(connected),
            permissions(&connected.permissions),
        ]);
        findings.extend(limits(&connected.refused));
        findings.extend([store(&connected.writes), clock(&connected.clock)]);
        let alive = alive(connected, now);
        findings.extend(connected.queues.iter().map(|queue| workers(queue, now)));
        findings.extend(connected.answer.as_ref().map(|it| answer(it, &connected.writes)));
        findings.push(versions(own, &alive));
        findings.push(rules(own, &alive));
        findings.push(keys(own, &alive, &setup.signaler));
        findings.push(payload_keys(own, &alive));
    }
    findings.push(mail(setup));
    findings.push(webhook(setup));
    findings.push(signaler(own, &setup.signaler));
    if let Some(connected) = connected {
        findings.extend(approvals(&connected.approvals));
    }
    if setup.ahead().is_some_and(|ahead| ahead.abs() < OFF) {
        for finding in &mut findings {
            finding.remedy = finding.remedy.replace(OR_CLOCK, "");
        }
    }
    findings
}

fn temporal(own: &Own, server: &Result<Server, String>) -> Finding {
    let address = &own.address;
    match server {
        Ok(Server { version, stores }) => {
            let stores = match stores {
                None => String::new(),
                Some((histories, index)) if histories == index => format!(", in {histories}"),
                Some((histories, index)) => format!(", in {histories}, its index in {index}"),
            };
            Finding::good("temporal", format!("{version} at {address}{stores}"))
        }
        Err(why) => Finding::problem(
            "temporal",
            format!("{address} cannot be reached: {}", readable(why)),
            remedy(Area::Temporal, why),
        )
        .since(expired_at(why)),
    }
}

fn namespace(own: &Own, retention: &Result<SignedDuration, String>) -> Finding {
    let (name, longest) = (&own.namespace, own.longest_wait);
    match retention {
        Ok(kept) if *kept < longest => Finding::note(
            "namespace",
            format!(
                "{name} keeps closed workflows for {}, and approvals wait up to {}: who opens a link later than \
                 that after the decision reads that it no longer exists",
                span(*kept),
                span(longest)
            ),
            format!(
                "temporal operator namespace update --namespace {name} --retention {}d",
                days(longest)
            ),
        ),
        Ok(kept) => {
            Finding::good("namespace", format!("{name} keeps closed workflows for {}", span(*kept)))
        }
        Err(why) if why.contains("not found") => Finding::problem(
            "namespace",
            format!("{name} does not exist: {why}"),
            format!(
                "Correct TEMPORAL_NAMESPACE, or create it: temporal operator namespace create --namespace {name}"
            ),
        ),
        Err(why) => Finding::problem(
            "namespace",
            format!("{name} cannot be described: {why}"),
            remedy(Area::Temporal, why),
        ),
    }
}

/// Whole days that are at least as long.
fn days(span: SignedDuration) -> i64 {
    let hours = span.as_hours();
    (hours / 24 + i64::from(hours % 24 > 0)).max(1)
}

fn attributes(connected: &Connected) -> Finding {
    let states = match &connected.attributes {
        Ok(states) => states,
        Err(why) => {
            let says = format!("they cannot be looked up: {why}");
            return Finding::note("search attributes", says, remedy(Area::Temporal, why));
        }
    };
    let named = |wanted: AttributeState| -> Vec<String> {
        let found = states.iter().filter(|(_, state)| *state == wanted);
        found.map(|(name, _)| name.clone()).collect()
    };
    let (missing, other) = (named(AttributeState::Missing), named(AttributeState::OtherType));
    if !other.is_empty() {
        return Finding::problem(
            "search attributes",
            format!("{} exist with another type", listed(&other)),
            "No command changes a type: remove them, or use another namespace.",
        );
    }
    if !missing.is_empty() {
        return Finding::problem(
            "search attributes",
            format!(
                "the namespace lacks {}: approvals that need them stand still",
                listed(&missing)
            ),
            format!(
                "A worker makes them at its start if it may. Otherwise somebody who may runs:\n{}",
                connected.make_attributes
            ),
        )
        .since(failing_since(connected, |failing| failing.text.contains(BAD_ATTRIBUTES)));
    }
    Finding::good("search attributes", format!("all {} are there", states.len()))
}

fn permissions(permissions: &[(Call, Permission)]) -> Finding {
    let denied: Vec<&Call> = permissions
        .iter()
        .filter(|(_, permission)| *permission == Permission::Denied)
        .map(|(call, _)| call)
        .collect();
    let unknown = permissions.iter().filter(|(_, permission)| *permission == Permission::Unknown);
    match (denied.is_empty(), unknown.count()) {
        (true, 0) => {
            Finding::good("permissions", format!("all {} calls are permitted", permissions.len()))
        }
        (true, unknown) => Finding::note(
            "permissions",
            format!("{} could not be tried", counted(unknown, "call")),
            "Run this again when Temporal answers.",
        ),
        (false, _) => {
            let calls: Vec<String> =
                denied.iter().map(|call| format!("{} ({})", call.name, call.without_it)).collect();
            Finding::problem(
                "permissions",
                format!("these credentials may not call {}", listed(&calls)),
                "Have Temporal's authorizer allow them; in Temporal Cloud, give the identity the permission \
                 Write in this namespace.",
            )
        }
    }
}

/// One or two may have met others' calls.
fn limits(Refused { calls, words }: &Refused) -> Option<Finding> {
    let count: u32 = calls.values().sum();
    let level = if count < 3 { Level::Note } else { Level::Problem };
    (count > 0).then(|| {
        let named: Vec<String> =
            calls.iter().map(|(name, count)| format!("{count} of {name}")).collect();
        let finding = Finding::note(
            "limits",
            format!(
                "Temporal refused {} of this command's own over a limit ({}): {words}",
                counted(count as usize, "call"),
                listed(&named)
            ),
            "Find who asks so often, such as a dashboard that lists workflows every second; or raise the limit: \
             frontend.namespaceRPS and frontend.namespaceRPS.visibility in Temporal's dynamic configuration. \
             Meanwhile typed approval IDs are answered late or with 503; mailed links need no index.",
        );
        Finding { level, ..finding }
    })
}

fn store(writes: &Result<(), String>) -> Finding {
    match writes {
        Ok(()) => Finding::good("store", "Temporal writes"),
        Err(why) => Finding::problem(
            "store",
            format!("Temporal reads and does not write: {why}"),
            format!(
                "{} Until it takes writes again, decisions are answered with 503 and not recorded, and nothing goes \
                 on; nothing is lost.",
                remedy(Area::Store, why)
            ),
        ),
    }
}

fn clock(clock: &Result<SignedDuration, String>) -> Finding {
    let offset = match clock {
        Ok(offset) => *offset,
        Err(why) => {
            let says = format!("not compared with Temporal's: {why}");
            return Finding::note("clock", says, "Run this again when Temporal answers.");
        }
    };
    if offset.abs() < OFF {
        return Finding::good("clock", "as Temporal's");
    }
    let direction = if offset.is_negative() { "behind" } else { "ahead of" };
    let says = format!("this machine's clock is {} {direction} Temporal's", span(offset.abs()));
    let to_do = "Set the clock that is wrong, such as by NTP (timedatectl set-ntp true). Workers compute deadlines \
                 by their own clock; receivers refuse a webhook's signature, Amazon a request, and TLS a \
                 certificate when it is far off.";
    match offset.abs() < FAR_OFF {
        true => Finding::note("clock", says, to_do),
        false => Finding::problem("clock", says, to_do),
    }
}

/// The workers of all queues that poll now: their processes, and what they say of themselves.
fn alive(connected: &Connected, now: Timestamp) -> Vec<(String, Option<WorkerIdentity>)> {
    let queues = connected.queues.iter().flatten();
    let mut pollers: Vec<&Poller> =
        queues.flat_map(|queue| &queue.pollers).filter(|poller| poller.is_alive(now)).collect();
    // What a process said last counts: it may have read its rules again, with polls still under way.
    pollers.sort_by_key(|poller| poller.last_seen);
    let mut workers = BTreeMap::<String, Option<WorkerIdentity>>::new();
    for poller in pollers {
        let identity = poller.identity.parse::<WorkerIdentity>().ok();
        let process = identity.as_ref().map_or(&poller.identity, |identity| &identity.process);
        let known = workers.entry(process.clone()).or_default();
        let since = |identity: &Option<WorkerIdentity>| identity.as_ref().map(|it| it.since);
        if since(&identity) >= since(known) {
            *known = identity;
        }
    }
    workers.into_iter().collect()
}

fn workers(queue: &Result<Queue, String>, now: Timestamp) -> Finding {
    let queue = match queue {
        Ok(queue) => queue,
        Err(why) => {
            let says = format!("a task queue cannot be described: {why}");
            return Finding::note("workers", says, remedy(Area::Temporal, why));
        }
    };
    let (name, waits) =
        (&queue.name, queue.oldest_task.filter(|age| *age >= SignedDuration::from_secs(10)));
    let mut processes = BTreeMap::<&str, Timestamp>::new();
    for poller in queue.pollers.iter().filter(|poller| poller.is_alive(now)) {
        let last = processes.entry(poller.process()).or_insert(poller.last_seen);
        *last = poller.last_seen.max(*last);
    }
    if processes.is_empty() {
        let seen = queue.pollers.iter().map(|poller| poller.last_seen).max();
        let waiting = waits.map(|age| format!(", and a task has waited for {}", span(age)));
        let finding = Finding::problem(
            "workers",
            format!("nobody polls {name}{}", waiting.unwrap_or_default()),
            "Start countersign-worker with these settings. What reviewers press meanwhile is recorded, and takes \
             effect then.",
        );
        return finding.since(seen.or_else(|| now.checked_sub(waits?).ok()));
    }
    let named: Vec<String> = processes
        .iter()
        .map(|(process, last)| format!("{process} (last poll {})", away(*last, now)))
        .collect();
    let says = format!("{} on {name}: {}", counted(named.len(), "worker"), listed(&named));
    match waits {
        Some(age) => Finding::note(
            "workers",
            format!("{says}; a task has waited for {}", span(age)),
            "More is to do than these workers can: start others, or see what keeps them busy.",
        ),
        None => Finding::good("workers", says),
    }
}

/// Temporal shows a worker that has stopped for as long as a poll can take: whether one answers is known at once.
fn answer(
    (workflow, answer): &(String, Result<SignedDuration, String>),
    writes: &Result<(), String>,
) -> Finding {
    match answer {
        Ok(took) => {
            let milliseconds = took.as_millis();
            Finding::good(
                "workers",
                format!("one has answered a query of {workflow} in {milliseconds} ms"),
            )
        }
        Err(_) if writes.is_err() => Finding::note(
            "workers",
            "whether one answers cannot be known: see store",
            "Run this again when Temporal writes.",
        ),
        Err(why) => Finding::problem(
            "workers",
            format!("nobody has answered a query of {workflow}: {why}"),
            "Start countersign-worker if it does not run. If it does, its log says what it waits for, and \
             countersign-worker explain WORKFLOW where that approval stands.",
        ),
    }
}

fn versions(own: &Own, alive: &[(String, Option<WorkerIdentity>)]) -> Finding {
    let silent: Vec<String> = alive
        .iter()
        .filter(|(_, identity)| identity.is_none())
        .map(|(process, _)| process.clone())
        .collect();
    let other: Vec<String> = identities(alive)
        .filter(|identity| identity.version != own.identity.version)
        .map(|identity| format!("{} is {}", identity.process, identity.version))
        .collect();
    let version = &own.identity.version;
    if !other.is_empty() {
        return Finding::note(
            "versions",
            format!("this is {version}, and {}", listed(&other)),
            "Finish the upgrade: what only new workers know works once all are new.",
        );
    }
    match silent.is_empty() {
        true => Finding::good("versions", format!("all are {version}")),
        false => Finding::note(
            "versions",
            format!("{} do not say their version, keys and rules", listed(&silent)),
            "They are older, or run approvals beside something else: compare their settings by hand.",
        ),
    }
}

fn identities(alive: &[(String, Option<WorkerIdentity>)]) -> impl Iterator<Item = &WorkerIdentity> {
    alive.iter().filter_map(|(_, identity)| identity.as_ref())
}

fn rules(own: &Own, alive: &[(String, Option<WorkerIdentity>)]) -> Finding {
    let others: Vec<&WorkerIdentity> =
        identities(alive).filter(|identity| identity.rules != own.identity.rules).collect();
    if others.is_empty() {
        return Finding::good("rules", format!("all workers have {}", own.identity.rules));
    }
    let named: Vec<String> =
        others.iter().map(|other| format!("{} has {}", other.process, other.rules)).collect();
    Finding::problem(
        "rules",
        format!(
            "these settings route by {}, but {}: who is asked depends on which worker gets a submission",
            own.identity.rules,
            listed(&named)
        ),
        "Give all workers the same file in COUNTERSIGN_POLICY, which each reads within seconds of a change, or the \
         same COUNTERSIGN_REVIEWERS and a restart. If a file has errors, its worker's log names them.",
    )
    // The later start made the difference.
    .since(identities(alive).map(|identity| identity.since).max())
}

fn mail(setup: &Setup) -> Finding {
    match &setup.mail {
        Ok(says) => Finding::good("mail", says),
        Err(why) => {
            let finding = Finding::problem("mail", readable(why), remedy(Area::Mail, why));
            let fails = || area_fails_since(setup, Area::Mail);
            finding.since(expired_at(why).or_else(fails).or_else(|| refused_since(setup, why)))
        }
    }
}

fn webhook(setup: &Setup) -> Finding {
    match &setup.webhook {
        None => Finding::good("webhook", "there is none"),
        Some(Ok(says)) => Finding::good("webhook", says),
        Some(Err(why)) => {
            let finding = Finding::problem("webhook", readable(why), remedy(Area::Webhook, why));
            finding.since(expired_at(why).or_else(|| area_fails_since(setup, Area::Webhook)))
        }
    }
}

/// When the first of what fails now in an area was first tried.
fn area_fails_since(setup: &Setup, area: Area) -> Option<Timestamp> {
    failing_since(setup.connected.as_ref()?, |failing| failing.area == area)
}

/// When a mail was first refused for good for the same cause.
fn refused_since(setup: &Setup, why: &str) -> Option<Timestamp> {
    let overview = setup.connected.as_ref()?.approvals.as_ref().ok()?;
    overview.refused_since(Area::Mail, why)
}

fn failing_since(connected: &Connected, is_it: impl Fn(&Group) -> bool) -> Option<Timestamp> {
    let groups = connected.approvals.as_ref().ok()?.groups().into_iter();
    groups.filter(is_it).map(|group| group.since).min()
}

fn signaler(own: &Own, signaler: &Result<Signaler, String>) -> Finding {
    let url = &own.public_url;
    match signaler {
        Ok(Signaler { is_ready: true, .. }) => Finding::good("signaler", format!("ready at {url}")),
        Ok(Signaler { is_ready: false, .. }) => Finding::problem(
            "signaler",
            format!("it answers at {url} and does not reach Temporal"),
            "Look into its log: its TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE must be those of the workers.",
        ),
        Err(why) => Finding::note(
            "signaler",
            format!("{url} cannot be opened from here: {}", readable(why)),
            format!(
                "{} If only this machine cannot reach it, reviewers are not concerned.",
                remedy(Area::Signaler, why)
            ),
        ),
    }
}

/// What open approvals show: how many wait, and what fails in those that were looked at.
fn approvals(overview: &Result<Overview, String>) -> Vec<Finding> {
    let overview = match overview {
        Ok(overview) => overview,
        Err(why) => {
            let says = format!("they cannot be listed: {why}");
            return vec![Finding::note("approvals", says, remedy(Area::Temporal, why))];
        }
    };
    let seen = overview.rows.len();
    let says = match seen {
        0 => "none is open".to_owned(),
        _ => format!("of {seen} that were looked at: {}", overview.states()),
    };
    let mut findings = vec![Finding::good("approvals", says)];
    findings.extend(overview.missing.as_ref().map(|missing| {
        Finding::note("approvals", missing.text(), remedy(Area::Temporal, &missing.why))
    }));
    findings.extend(overdue(overview));
    findings.extend(undeliverable(overview));
    findings.extend(overview.groups().into_iter().take(MOST_CAUSES).map(|group| {
        let Group { area, text, count, since, workflow_id } = group;
        let says = match count {
            1 => format!("{text} (in {workflow_id})"),
            count => format!("{text} ({count} times, such as in {workflow_id})"),
        };
        Finding::problem("approvals", says, remedy(area, &text)).since(Some(since))
    }));
    findings
}

fn overdue(overview: &Overview) -> Option<Finding> {
    let count = overview.counts.overdue.filter(|count| *count > 0)?;
    let late = overview.rows.iter().filter(|row| row.state == State::Overdue);
    let finding = Finding::problem(
        "approvals",
        format!("{count} past their deadline, which has not taken effect"),
        "A deadline takes effect when a worker does the workflow task: see workers, keys and store.",
    );
    Some(finding.since(late.filter_map(|row| row.since).min()))
}

fn undeliverable(overview: &Overview) -> Option<Finding> {
    let count = overview.counts.undeliverable.filter(|count| *count > 0)?;
    let refused = overview.rows.iter().filter(|row| row.state == State::Undeliverable);
    let finding = Finding::problem(
        "approvals",
        format!("{count} with mail, a webhook or a follow-up that was refused for good"),
        "countersign-worker list names them, and countersign-worker explain WORKFLOW says what to do.",
    );
    Some(finding.since(refused.filter_map(|row| row.since).min()))
}
