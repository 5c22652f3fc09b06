//! People: they submit, read their mails, look at pages, and decide, not always in good order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_protos::{ApprovalId, LinkContext};
use reqwest::{Client, RequestBuilder, header::ACCEPT};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio::{join, task::JoinSet, time::sleep};
use uuid::Uuid;

use crate::{
    dice::Dice,
    installation::Installation,
    ledger::{Act, Attempt, Entry, Ledger, Misuse},
    mails::{Found, Link},
    temporal::{self, Sent},
};

/// How often somebody tries again who got no definite answer.
const TRIES: usize = 120;

/// How many have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// The first decision counts.
    Any,
    /// Everybody.
    All,
    /// So many.
    Of(usize),
}

/// A stage as it was submitted.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Who is asked.
    pub(crate) reviewers: Vec<String>,
    /// How many have to agree.
    pub(crate) quorum: Quorum,
    /// The seconds after which it ends by itself, where somebody may stay silent.
    pub(crate) deadline: Option<usize>,
    /// After how many seconds people are reminded.
    pub(crate) reminder: Option<usize>,
    /// What the deadline does.
    pub(crate) on_deadline: &'static str,
}

/// A submission, or what somebody takes for one.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The workflow ID.
    pub(crate) workflow: String,
    /// Who is asked; nobody where the submission cannot be used.
    pub(crate) stages: Vec<Stage>,
}

/// Everybody's surroundings.
pub(crate) struct World {
    /// What is tried.
    pub(crate) installation: Installation,
    /// What people were told.
    pub(crate) ledger: Ledger,
    /// Their browser.
    pub(crate) browser: Client,
    /// Genuine approval IDs that no mail has.
    pub(crate) unmailed: Mutex<Vec<String>>,
}

impl Case {
    /// A submission of some shape.
    pub(crate) fn by(workflow: String, dice: &mut Dice) -> Case {
        if dice.percent(12) {
            return Case { workflow, stages: Vec::new() };
        }
        let count = [1, 1, 1, 2, 2, 3][dice.below(6)];
        let mut stages: Vec<Stage> =
            (0..count).map(|stage| Stage::by(&workflow, stage, dice)).collect();
        if count > 1 && dice.percent(15) {
            // One person sits in two stages.
            let same = stages[0].reviewers[0].clone();
            stages[1].reviewers[0] = same;
        }
        Case { workflow, stages }
    }

    /// A submission that one person decides.
    pub(crate) fn simple(workflow: String) -> Case {
        let stage = Stage {
            reviewers: vec![format!("s0r0.{workflow}@example.com")],
            quorum: Quorum::Any,
            deadline: None,
            reminder: None,
            on_deadline: "expire",
        };
        Case { workflow, stages: vec![stage] }
    }

    /// Who gets the outcome.
    pub(crate) fn submitter(&self) -> String {
        format!("sub.{}@example.com", self.workflow)
    }

    fn submission(&self) -> Value {
        let stage = |(i, stage): (usize, &Stage)| {
            let mut json = json!({
                "name": format!("S{i}"),
                "reviewers": stage.reviewers,
                "quorum": match stage.quorum {
                    Quorum::Any => json!("any"),
                    Quorum::All => json!("all"),
                    Quorum::Of(count) => json!(count),
                },
                "deadline": stage.deadline.map_or("2 days".to_owned(), |s| format!("{s}s")),
                "onDeadline": stage.on_deadline,
            });
            if let Some(reminder) = stage.reminder {
                json["reminders"] = json!([format!("{reminder}s")]);
            }
            json
        };
        json!({
            "submissionId": self.workflow,
            "submitter": {"name": "Sam", "email": self.submitter()},
            "document": {"title": "Train to the fair", "amount": "125.50", "currency": "USD"},
            "approval": {"stages": self.stages.iter().enumerate().map(stage).collect::<Vec<_>>()},
        })
    }

    fn input(&self, dice: &mut Dice) -> Option<Payload> {
        if self.stages.is_empty() {
            nonsense(dice)
        } else {
            Some(temporal::json(&self.submission()))
        }
    }
}

impl Stage {
    fn by(workflow: &str, stage: usize, dice: &mut Dice) -> Stage {
        let count = 1 + dice.below(4);
        let quorum = match dice.below(3) {
            0 => Quorum::Any,
            1 => Quorum::All,
            _ => Quorum::Of(1 + dice.below(count)),
        };
        let deadline = dice.percent(30).then(|| 4 + dice.below(10));
        Stage {
            reviewers: (0..count).map(|k| format!("s{stage}r{k}.{workflow}@example.com")).collect(),
            quorum,
            deadline,
            reminder: dice.percent(30).then(|| 1 + dice.below(3)),
            on_deadline: ["expire", "reject", "approve"][dice.below(3)],
        }
    }
}

/// The workflow that an address was made for.
pub(crate) fn workflow_of(address: &str) -> &str {
    let rest = address.split_once('.').map_or("", |(_, rest)| rest);
    rest.split('@').next().unwrap_or_default()
}

/// A payload that is no submission and no decision, or none at all.
fn nonsense(dice: &mut Dice) -> Option<Payload> {
    Some(match dice.below(7) {
        0 => return None,
        1 => temporal::payload("json/plain", "{\"reviewer\": "),
        2 => temporal::json(&json!([[], 7, null])),
        3 => temporal::json(&json!("approve")),
        4 => temporal::payload("binary/protobuf", vec![0xff, 0x07, 0x13]),
        5 => temporal::payload("binary/encrypted", vec![1, 2, 3]),
        _ => temporal::json(&json!({"reviewer": "nobody-at-all@example.org", "document": 7})),
    })
}

impl World {
    /// One approval, from its submission until everybody who acts has acted.
    pub(crate) async fn live(self: Arc<World>, case: Arc<Case>, mut dice: Dice) {
        if let Err(status) = self.submit(&case, &mut dice).await {
            eprintln!("{} was not started: {status}", case.workflow);
            return;
        }
        let hurried = dice.percent(30);
        let withdrawn = dice.percent(4).then(|| dice.millis(500, 5_000));
        let mut people = JoinSet::new();
        for (i, stage) in case.stages.iter().enumerate() {
            for reviewer in &stage.reviewers {
                let silent = stage.deadline.is_some() && dice.percent(50);
                let (world, case, dice) = (self.clone(), case.clone(), dice.split());
                let reviewer = reviewer.clone();
                people.spawn(async move {
                    let person = Person { world, case, reviewer, dice };
                    person.act(i, hurried, silent).await;
                });
            }
        }
        if let Some(later) = withdrawn {
            sleep(later).await;
            self.installation.direct.cancel(&case.workflow).await;
        }
        people.join_all().await;
    }

    /// Starts a workflow.
    pub(crate) async fn submit(
        &self,
        case: &Case,
        dice: &mut Dice,
    ) -> Result<(), temporalio_client::tonic::Status> {
        self.installation.direct.start(&case.workflow, case.input(dice)).await
    }

    /// Waits for a stage's link for an address, whoever has another one from an earlier stage or was
    /// never mailed that; `None` when the outcome comes first.
    pub(crate) async fn link(&self, case: &Case, reviewer: &str, stage: usize) -> Option<Link> {
        let (submitter, stage) = (case.submitter(), format!("S{stage}"));
        let look = |found: &Found| {
            let mut links = found.links.get(reviewer).into_iter().flatten();
            let link = links.find(|link| link.stage == stage).cloned();
            (link.is_some() || found.told.contains(&submitter)).then_some(link)
        };
        self.installation.mails.until(look).await
    }

    /// Waits until the submitter is told the outcome.
    pub(crate) async fn outcome(&self, case: &Case) {
        let submitter = case.submitter();
        let told = |found: &Found| found.told.contains(&submitter).then_some(());
        self.installation.mails.until(told).await;
    }

    /// Opens the page.
    pub(crate) async fn look(&self, reviewer: &str, id: &str, signaler: usize) {
        let request = self.browser.get(self.installation.url(signaler, id));
        self.ask(request, Act::Look, reviewer, id, None).await;
    }

    /// Presses a button until there is a definite answer.
    pub(crate) async fn press(&self, reviewer: &str, id: &str, approves: bool, first: usize) {
        for attempt in 0..TRIES {
            let verdict = if approves { "approve" } else { "reject" };
            let form = [("verdict", verdict), ("comment", "By page")];
            let url = self.installation.url(first + attempt, id);
            let request = self.browser.post(url).form(&form);
            let (status, answer) =
                self.ask(request, Act::Press, reviewer, id, Some(approves)).await;
            if matches!(status, 200 | 202 | 409 | 410 | 422) && answer != "gone" {
                return;
            }
            sleep(Duration::from_millis(200 + 100 * attempt.min(10) as u64)).await;
        }
    }

    /// Comes again and again with a link whose approval has been gone for long, until both ways of
    /// using it were answered.
    pub(crate) async fn come_too_late(&self, mut dice: Dice) {
        let nobody = "nobody.old@example.com";
        let gone = |how| move |e: &Entry| e.act == Act::Misuse(how) && e.answer == "gone";
        for i in 0.. {
            let approval = Uuid::from_u128(dice.below(usize::MAX) as u128);
            let asked = LinkContext { approval, stage: 0, round: 0, reviewer: nobody };
            let id = self.installation.keys.issue(asked).reveal();
            self.unmailed.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
            let url = self.installation.url(i, &id);
            let form = [("verdict", "approve")];
            let (how, request) = match i / 2 % 2 {
                0 => (Misuse::Unknown, self.browser.get(url)),
                _ => (Misuse::UnknownPress, self.browser.post(url).form(&form)),
            };
            self.ask(request, Act::Misuse(how), nobody, &id, None).await;
            let all = [Misuse::Unknown, Misuse::UnknownPress];
            if all.into_iter().all(|how| self.ledger.has(gone(how))) {
                return;
            }
            sleep(dice.millis(1_000, 3_000)).await;
        }
    }

    /// Does something with a link that does not work.
    async fn misuse(&self, how: Misuse, reviewer: &str, id: &str, signaler: usize) {
        let link = |id: &str| self.installation.url(signaler, id);
        let form = |verdict: &str, length| {
            let comment = "x".repeat(length);
            self.browser.post(link(id)).form(&[("verdict", verdict), ("comment", &comment)])
        };
        let empty = || self.browser.post(link(id)).form(&[("comment", "")]);
        let requests = match how {
            Misuse::Malformed => vec![self.browser.get(link(&id[..id.len() - 2]))],
            Misuse::Forged => {
                let other = if id.ends_with('7') { '8' } else { '7' };
                vec![self.browser.get(link(&format!("{}{other}", &id[..id.len() - 1])))]
            }
            Misuse::NoVerdict => vec![empty()],
            Misuse::UnknownVerdict => vec![form("perhaps", 0)],
            Misuse::LongComment => vec![form("approve", 2_001)],
            Misuse::LargeBody => vec![form("approve", 70_000)],
            Misuse::Flood => (0..35).map(|_| empty()).collect(),
            Misuse::Unknown | Misuse::UnknownPress => Vec::new(),
        };
        for request in requests {
            self.ask(request, Act::Misuse(how), reviewer, id, None).await;
        }
    }

    async fn ask(
        &self,
        request: RequestBuilder,
        act: Act,
        reviewer: &str,
        id: &str,
        approves: Option<bool>,
    ) -> (u16, String) {
        let key = id.parse::<ApprovalId>().map(|id| id.hash().as_str().to_owned());
        let workflow = workflow_of(reviewer);
        let mut attempt =
            self.ledger.begin(workflow, act, reviewer, key.unwrap_or_default(), approves);
        let answered = async {
            let answer = request.header(ACCEPT, "application/json").send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.json::<Value>().await?))
        };
        if let Ok((status, body)) = answered.await {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            attempt.status = status;
            attempt.answer = text("answer");
            attempt.said = text("status");
        }
        (attempt.status, attempt.answer.clone())
    }
}

struct Person {
    world: Arc<World>,
    case: Arc<Case>,
    reviewer: String,
    dice: Dice,
}

impl Person {
    async fn act(mut self, stage: usize, hurried: bool, silent: bool) {
        let Some(link) = self.world.link(&self.case, &self.reviewer, stage).await else { return };
        let id = link.id;
        if link.refused {
            // Their mail cannot be delivered; an operator sees that, and asks them by phone.
            return self.signal(true, &format!("{}-{stage}", self.reviewer)).await;
        }
        if !hurried {
            self.look(&id).await;
            sleep(self.dice.millis(0, 2_500)).await;
        }
        if self.dice.percent(8) {
            let how = Misuse::AT_A_LINK[self.dice.below(Misuse::AT_A_LINK.len())];
            self.world.misuse(how, &self.reviewer, &id, self.dice.below(2)).await;
        }
        if silent {
            if self.dice.percent(50) {
                // Their mail is read when it is too late.
                self.world.outcome(&self.case).await;
                self.press(&id, true, 0).await;
                self.look(&id).await;
            }
            return;
        }
        let approves = self.dice.percent(75);
        let first = self.dice.below(2);
        match self.dice.below(20) {
            0..10 => self.press(&id, approves, first).await,
            10..12 => {
                join!(self.press(&id, approves, 0), self.press(&id, approves, 1));
            }
            12 => {
                join!(self.press(&id, true, 0), self.press(&id, false, 1));
            }
            13 => {
                self.press(&id, approves, first).await;
                self.press(&id, !approves, first).await;
                self.press(&id, approves, first + 1).await;
            }
            14 => {
                let mark = format!("{}-{stage}", self.reviewer);
                join!(self.press(&id, approves, first), self.signal(approves, &mark));
            }
            15..17 => self.signal(approves, &format!("{}-{stage}", self.reviewer)).await,
            17 => {
                for i in 0..1 + self.dice.below(4) {
                    let mark = format!("nonsense-{}-{stage}-{i}", self.reviewer);
                    let name = ["approve", "reject", "what"][self.dice.below(3)];
                    let input = nonsense(&mut self.dice);
                    let attempt = self.begin(Act::Nonsense, &mark, None);
                    self.send(attempt, name, input).await;
                }
                self.press(&id, approves, first).await;
            }
            _ => {
                self.press(&id, approves, first).await;
                sleep(self.dice.millis(0, 3_000)).await;
                self.look(&id).await;
            }
        }
    }

    async fn look(&mut self, id: &str) {
        let signaler = self.dice.below(2);
        self.world.look(&self.reviewer, id, signaler).await;
    }

    async fn press(&self, id: &str, approves: bool, first: usize) {
        self.world.press(&self.reviewer, id, approves, first).await;
    }

    /// Decides as an operator does for somebody.
    async fn signal(&self, approves: bool, mark: &str) {
        let name = if approves { "approve" } else { "reject" };
        let input = temporal::json(&json!({"reviewer": self.reviewer, "comment": mark}));
        let attempt = self.begin(Act::Signal, mark, Some(approves));
        self.send(attempt, name, Some(input)).await;
    }

    fn begin(&self, act: Act, mark: &str, approves: Option<bool>) -> Attempt<'_> {
        let workflow = &self.case.workflow;
        self.world.ledger.begin(workflow, act, &self.reviewer, mark.to_owned(), approves)
    }

    async fn send(&self, mut attempt: Attempt<'_>, name: &str, input: Option<Payload>) {
        let direct = &self.world.installation.direct;
        let answer = match direct.signal(&attempt.workflow, name, &attempt.key, input).await {
            Sent::Acknowledged => "acknowledged",
            Sent::Refused => "refused: closed",
            Sent::Unknown => return,
        };
        attempt.answer = answer.to_owned();
    }
}
