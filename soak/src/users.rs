//! Users: they submit, read their mails, open pages and decide, not always in good order.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use countersign_e2e::json_payload;
use countersign_protos::{
    ApprovalId, Chain, GenuineLink, LinkContext, Statement, Verdict, names, payload,
    revision_digest, submission,
};
use jiff::Timestamp;
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder, header::ACCEPT};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio::{
    join,
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    cluster::Cluster,
    judge::COMMENT,
    ledger::{Act, Attempt, Entry, Ledger, Misuse},
    mails::{Found, Link},
    rng::{Draw, Rng},
    submission::{Submission, nonsense},
    temporal::Sent,
};

/// How often a user tries again without a definite answer.
const TRIES: usize = 120;

/// How often a user tries again beside an adversary, who can keep an answer from coming at all.
const TRIES_UNDER_ATTACK: usize = 8;
/// How long a user waits for a mail beside an adversary, who can keep it from coming at all.
const PATIENCE_UNDER_ATTACK: Duration = Duration::from_secs(15);

/// How often somebody wants changes instead of deciding, and in how many versions at most.
const SENT_BACK_PERCENT: u8 = 6;
const MAX_SENT_BACK: usize = 3;

/// How often somebody who may delegate does so instead of deciding, and what they give as the reason.
const DELEGATED_PERCENT: u8 = 30;
const REASON: &str = "They know more of it";

/// What all users share.
pub(crate) struct World {
    /// The cluster under test.
    pub(crate) cluster: Cluster,
    /// Every answer that anybody got.
    pub(crate) ledger: Ledger,
    pub(crate) browser: Client,
    /// Genuine approval IDs that are in no mail.
    pub(crate) unmailed: Mutex<Vec<String>>,
    /// Whether there is an adversary. Users then give up, and their pages are kept.
    pub(crate) attacked: bool,
    /// The first runs of the approvals that were started, by workflow ID.
    pub(crate) first_runs: Mutex<HashMap<String, String>>,
    /// The workflow IDs of the approvals that were cancelled, or may have been.
    pub(crate) cancelled: Mutex<HashSet<String>>,
}

impl World {
    /// Runs one approval, from its submission until all users have acted.
    pub(crate) async fn run(self: Arc<World>, submission: Arc<Submission>, mut rng: Rng) {
        if let Err(status) = self.submit(&submission, &mut rng).await {
            eprintln!("{} was not started: {status}", submission.workflow);
            return;
        }
        let hurried = rng.percent(30);
        let withdrawn = rng.percent(4).then(|| rng.millis(500..5_000));
        let mut people = JoinSet::new();
        if !self.attacked && !submission.stages.is_empty() {
            let (world, submission, rng) = (self.clone(), submission.clone(), rng.fork());
            people.spawn(async move { Submitter { world, submission, rng }.act().await });
        }
        for (i, stage) in submission.stages.iter().enumerate() {
            for reviewer in &stage.reviewers {
                let silent = stage.deadline.is_some() && rng.percent(50);
                let (world, submission, rng) = (self.clone(), submission.clone(), rng.fork());
                let reviewer = reviewer.clone();
                people.spawn(async move {
                    let person = Person { world, submission, reviewer, rng };
                    person.act(i, hurried, silent).await;
                });
            }
        }
        if let Some(later) = withdrawn {
            sleep(later).await;
            self.cancelled.lock().insert(submission.workflow.clone());
            self.cluster.client.cancel(&submission.workflow).await;
        }
        people.join_all().await;
    }

    /// Starts a submission's workflow, and remembers its first run.
    pub(crate) async fn submit(
        &self,
        submission: &Submission,
        rng: &mut Rng,
    ) -> Result<(), temporalio_client::tonic::Status> {
        let input = submission.input(rng);
        let first_run = self.cluster.client.start(&submission.workflow, input).await?;
        self.first_runs.lock().insert(submission.workflow.clone(), first_run);
        Ok(())
    }

    /// Waits for a reviewer's link of a stage, after those of earlier versions; `None` when the outcome comes first.
    pub(crate) async fn link(
        &self,
        submission: &Submission,
        reviewer: &str,
        stage: usize,
        earlier: usize,
    ) -> Option<Link> {
        let (submitter, stage) = (submission.submitter(), format!("S{stage}"));
        let look = |found: &Found| {
            let links = found.links.get(reviewer).into_iter().flatten();
            let is_it = |link: &&Link| link.workflow == submission.workflow && link.stage == stage;
            let link = links.filter(is_it).nth(earlier).cloned();
            (link.is_some() || found.notified.contains_key(&submitter)).then_some(link)
        };
        self.patiently(self.cluster.mails.until(look)).await.flatten()
    }

    /// Waits for the submitter's own link, after those of earlier versions, with whether they never got it; `None` when
    /// the outcome comes first.
    async fn own_link(&self, submission: &Submission, earlier: usize) -> Option<(String, bool)> {
        let submitter = submission.submitter();
        let look = |found: &Found| {
            let link = found.own.get(&submitter).and_then(|own| own.get(earlier)).cloned();
            (link.is_some() || found.notified.contains_key(&submitter)).then_some(link)
        };
        self.patiently(self.cluster.mails.until(look)).await.flatten()
    }

    /// Waits until the submitter is notified of the outcome.
    pub(crate) async fn outcome(&self, submission: &Submission) {
        let submitter = submission.submitter();
        let notified = |found: &Found| found.notified.contains_key(&submitter).then_some(());
        self.patiently(self.cluster.mails.until(notified)).await;
    }

    /// Waits as long as a user does.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.attacked {
            true => timeout(PATIENCE_UNDER_ATTACK, work).await.ok(),
            false => Some(work.await),
        }
    }

    /// Opens the page of a link, and enters the answer into the ledger.
    pub(crate) async fn look(&self, reviewer: &str, link: &Link, signaler: usize) {
        let request = self.browser.get(self.page(link, signaler));
        let attempt = self.begin(Act::Look, reviewer, link, None);
        self.ask(request, attempt).await;
    }

    /// The address of a page. An adversary can get between a link and its approval in two ways, so half of
    /// the links then have the hint that mails have.
    fn page(&self, link: &Link, signaler: usize) -> String {
        let hint = match self.attacked && signaler.is_multiple_of(2) {
            true => format!("/{}", link.workflow),
            false => String::new(),
        };
        self.cluster.url(signaler, &link.id, &hint)
    }

    /// Presses a button until there is a definite answer.
    pub(crate) async fn press(&self, reviewer: &str, link: &Link, approves: bool, first: usize) {
        let verdict = if approves { "approve" } else { "reject" };
        let form = [("verdict", verdict), ("comment", COMMENT)];
        let begin = || self.begin(Act::Press, reviewer, link, Some(approves));
        self.insist(link, &form, first, begin).await;
    }

    /// Has somebody else asked in a reviewer's place, and returns the definite answer; empty if there was none.
    async fn delegate(&self, reviewer: &str, link: &Link, to: &str, first: usize) -> String {
        let form = [("delegate_to", to), ("reason", REASON)];
        let begin = || {
            let mut attempt = self.begin(Act::Delegate, reviewer, link, None);
            to.clone_into(&mut attempt.to);
            attempt
        };
        self.insist(link, &form, first, begin).await
    }

    /// Sends a form until there is a definite answer, which is returned; empty if there was none.
    async fn insist<'a>(
        &'a self,
        link: &Link,
        form: &[(&str, &str)],
        first: usize,
        begin: impl Fn() -> Attempt<'a>,
    ) -> String {
        for attempt in 0..if self.attacked { TRIES_UNDER_ATTACK } else { TRIES } {
            let request = self.browser.post(self.page(link, first + attempt)).form(form);
            let (status, answer) = self.ask(request, begin()).await;
            if matches!(status, 200 | 202 | 409 | 410 | 422) && answer != "gone" {
                return answer;
            }
            sleep(Duration::from_millis(200 + 100 * attempt.min(10) as u64)).await;
        }
        String::new()
    }

    /// Uses links of approvals that do not exist any more, until opening and pressing were answered.
    pub(crate) async fn use_old_links(&self, mut rng: Rng) {
        let nobody = "nobody.old@example.com";
        let gone = |how| move |e: &Entry| e.act == Act::Misuse(how) && e.answer == "gone";
        for i in 0.. {
            let first_run_id = &Uuid::from_u128(rng.u128(..)).to_string();
            let chain = Chain { workflow_id: "never started", first_run_id };
            let key = self.cluster.keys.first();
            let id = key.link(LinkContext::new(chain, "v1:0", nobody)).id().reveal();
            self.unmailed.lock().push(id.clone());
            let (workflow, stage) = ("old".to_owned(), String::new());
            let link = Link { id, workflow, stage, version: 1, refused: false };
            let url = self.page(&link, i);
            let form = [("verdict", "approve")];
            let (how, request) = match i / 2 % 2 {
                0 => (Misuse::Unknown, self.browser.get(url)),
                _ => (Misuse::UnknownPress, self.browser.post(url).form(&form)),
            };
            self.ask(request, self.begin(Act::Misuse(how), nobody, &link, None)).await;
            let all = [Misuse::Unknown, Misuse::UnknownPress];
            if all.into_iter().all(|how| self.ledger.has(gone(how))) {
                return;
            }
            sleep(rng.millis(1_000..3_000)).await;
        }
    }

    async fn misuse(&self, how: Misuse, reviewer: &str, link: &Link, signaler: usize) {
        let id = &link.id;
        let url = |id: &str| self.cluster.url(signaler, id, "");
        let form = |verdict: &str, length| {
            let comment = "x".repeat(length);
            self.browser.post(url(id)).form(&[("verdict", verdict), ("comment", &comment)])
        };
        let empty = || self.browser.post(url(id)).form(&[("comment", "")]);
        let requests = match how {
            Misuse::Malformed => vec![self.browser.get(url(&id[..id.len() - 2]))],
            Misuse::Forged => {
                let other = if id.ends_with('7') { '8' } else { '7' };
                vec![self.browser.get(url(&format!("{}{other}", &id[..id.len() - 1])))]
            }
            Misuse::NoVerdict => vec![empty()],
            Misuse::UnknownVerdict => vec![form("perhaps", 0)],
            Misuse::LongComment => vec![form("approve", 2_001)],
            Misuse::LargeBody => vec![form("approve", 140_000)],
            Misuse::Flood => (0..35).map(|_| empty()).collect(),
            Misuse::Unknown | Misuse::UnknownPress => Vec::new(),
        };
        for request in requests {
            self.ask(request, self.begin(Act::Misuse(how), reviewer, link, None)).await;
        }
    }

    /// Begins what is done by a link.
    fn begin(&self, act: Act, reviewer: &str, link: &Link, approves: Option<bool>) -> Attempt<'_> {
        let key = link.id.parse::<ApprovalId>().map(|id| id.hash().as_str().to_owned());
        self.ledger.begin(&link.workflow, act, reviewer, key.unwrap_or_default(), approves)
    }

    async fn ask(&self, request: RequestBuilder, mut attempt: Attempt<'_>) -> (u16, String) {
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
            if self.attacked {
                self.ledger.keep_page(&attempt, body);
            }
        }
        (attempt.status, attempt.answer.clone())
    }
}

struct Person {
    world: Arc<World>,
    submission: Arc<Submission>,
    reviewer: String,
    rng: Rng,
}

/// Whoever has submitted it, and revises it where somebody wants changes.
struct Submitter {
    world: Arc<World>,
    submission: Arc<Submission>,
    rng: Rng,
}

impl Submitter {
    /// Acts until the outcome has come: nothing else ends the wait for changes in time.
    async fn act(mut self) {
        for round in 0.. {
            let own = self.world.own_link(&self.submission, round).await;
            let Some((id, is_refused)) = own else { return };
            sleep(self.rng.millis(0..2_000)).await;
            let key = format!("{}-{round}", self.submission.submitter());
            // Where the mail cannot be delivered, an operator does it for them.
            let keys = &self.world.cluster.keys;
            let link = id.parse().ok().and_then(|id| keys.verify(&id)).filter(|_| !is_refused);
            if self.rng.percent(20) {
                let input = withdrawal(link.as_ref(), &key);
                self.send(Act::Withdraw, names::SIGNAL_WITHDRAW, &key, input).await;
            } else {
                let input = revision(link.as_ref(), self.submission.revised(&key));
                self.send(Act::Revise, names::SIGNAL_REVISE, &key, input).await;
            }
        }
    }

    /// Sends a signal until there is a definite answer.
    async fn send(&self, act: Act, name: &str, key: &str, input: Payload) {
        let (workflow, who) = (&self.submission.workflow, self.submission.submitter());
        for attempt in 0..TRIES {
            let mut tried = self.world.ledger.begin(workflow, act, &who, key.to_owned(), None);
            let client = &self.world.cluster.client;
            let sent = client.signal(workflow, name, key, Some(input.clone())).await;
            tried.answer = match sent {
                Sent::Acknowledged => "acknowledged".to_owned(),
                Sent::Refused => "refused: closed".to_owned(),
                Sent::Unknown => {
                    sleep(Duration::from_millis(200 + 100 * attempt.min(10) as u64)).await;
                    continue;
                }
            };
            return;
        }
    }
}

/// What the submitter's page sends, or an operator.
fn revision(link: Option<&GenuineLink>, submission: Value) -> Payload {
    let Some(link) = link else { return json_payload(&submission) };
    let Payload { metadata, data, .. } = json_payload(&submission);
    let (read, _) = submission::read_revision(&[payload::Payload { metadata, data }]);
    let digest = revision_digest(&read.submission.unwrap_or_default());
    let proof = link.prove(Statement::Revise { digest: &digest }, Timestamp::now());
    json_payload(&json!({"submission": submission, "link": link.hash().as_str(), "proof": proof}))
}

fn withdrawal(link: Option<&GenuineLink>, reason: &str) -> Payload {
    let Some(link) = link else { return json_payload(&json!({"reason": reason})) };
    let proof = link.prove(Statement::Withdraw { reason }, Timestamp::now());
    json_payload(&json!({"reason": reason, "link": link.hash().as_str(), "proof": proof}))
}

impl Person {
    /// Acts on each version.
    async fn act(mut self, stage: usize, hurried: bool, silent: bool) {
        let mut colleagues = JoinSet::new();
        for round in 0.. {
            let link = self.world.link(&self.submission, &self.reviewer, stage, round).await;
            let Some(link) = link else { break };
            let may_delegate = self.submission.team.is_some() && !link.refused;
            let is_patient = round < MAX_SENT_BACK && !self.world.attacked && !link.refused;
            if is_patient && self.rng.percent(SENT_BACK_PERCENT) {
                self.send_back(&link, &format!("{}-{stage}-{round}-back", self.reviewer)).await;
            } else if may_delegate && self.rng.percent(DELEGATED_PERCENT) {
                let colleague = self.colleague(round);
                let to = colleague.reviewer.clone();
                colleagues.spawn(colleague.act_instead(stage, hurried, silent));
                self.delegate(&link, stage, &to).await;
            } else {
                self.act_on(link, stage, round, hurried, silent).await;
            }
        }
        colleagues.join_all().await;
    }

    /// Acts once, if somebody has really had them asked.
    async fn act_instead(mut self, stage: usize, hurried: bool, silent: bool) {
        let link = self.world.link(&self.submission, &self.reviewer, stage, 0).await;
        if let Some(link) = link {
            if !link.refused && self.rng.percent(30) {
                self.delegate_wrongly(&link, stage).await;
            }
            self.act_on(link, stage, 0, hurried, silent).await;
        }
    }

    /// Whom they have asked in a round: in each somebody else.
    fn colleague(&mut self, round: usize) -> Person {
        Person {
            world: self.world.clone(),
            submission: self.submission.clone(),
            reviewer: format!("c{round}-{}", self.reviewer),
            rng: self.rng.fork(),
        }
    }

    /// Has somebody else asked, and decides themselves if that comes to nothing.
    async fn delegate(&mut self, link: &Link, stage: usize, to: &str) {
        if self.rng.percent(30) {
            self.delegate_wrongly(link, stage).await;
        }
        let first = self.rng.usize(..2);
        let (world, who) = (&self.world, self.reviewer.as_str());
        let answer = match self.rng.usize(..4) {
            0 => join!(world.delegate(who, link, to, 0), world.delegate(who, link, to, 1)).0,
            1 => join!(world.delegate(who, link, to, first), self.press(link, true, first)).0,
            _ => world.delegate(who, link, to, first).await,
        };
        // Another answer may be about a wrong one that Temporal has stored, and the worker will ignore.
        if !matches!(answer.as_str(), "delegated" | "accepted") || self.rng.percent(40) {
            self.press(link, true, first).await;
        }
        self.look(link).await;
    }

    /// Wants somebody to be asked who must not be.
    async fn delegate_wrongly(&mut self, link: &Link, stage: usize) {
        let reviewers = &self.submission.stages[stage].reviewers;
        let to = match self.rng.usize(..3) {
            0 => self.submission.submitter(),
            1 => format!("{}.org", self.reviewer.trim_end_matches(".com")),
            _ => reviewers[self.rng.usize(..reviewers.len())].clone(),
        };
        let first = self.rng.usize(..2);
        self.world.delegate(&self.reviewer, link, &to, first).await;
    }

    async fn act_on(
        &mut self,
        link: Link,
        stage: usize,
        round: usize,
        hurried: bool,
        silent: bool,
    ) {
        let link = &link;
        let request_id = format!("{}-{stage}-{round}", self.reviewer);
        if link.refused {
            // Their mail cannot be delivered: an operator notices, and asks them by phone.
            return self.signal(link, true, &request_id).await;
        }
        if !hurried {
            self.look(link).await;
            sleep(self.rng.millis(0..2_500)).await;
        }
        if self.rng.percent(8) {
            let how = Misuse::AT_A_LINK[self.rng.usize(..Misuse::AT_A_LINK.len())];
            self.world.misuse(how, &self.reviewer, link, self.rng.usize(..2)).await;
        }
        if silent {
            if self.rng.percent(50) {
                // They read the mail when it is too late.
                self.world.outcome(&self.submission).await;
                self.press(link, true, 0).await;
                self.look(link).await;
            }
            return;
        }
        let approves = self.rng.percent(75);
        let first = self.rng.usize(..2);
        match self.rng.usize(..20) {
            0..10 => self.press(link, approves, first).await,
            10..12 => {
                join!(self.press(link, approves, 0), self.press(link, approves, 1));
            }
            12 => {
                join!(self.press(link, true, 0), self.press(link, false, 1));
            }
            13 => {
                self.press(link, approves, first).await;
                self.press(link, !approves, first).await;
                self.press(link, approves, first + 1).await;
            }
            14 => {
                join!(self.press(link, approves, first), self.signal(link, approves, &request_id));
            }
            15..17 => self.signal(link, approves, &request_id).await,
            17 => {
                for i in 0..self.rng.usize(1..=4) {
                    let request_id = format!("nonsense-{request_id}-{i}");
                    let name = ["approve", "reject", "revise", "what"][self.rng.usize(..4)];
                    let input = nonsense(&mut self.rng);
                    let attempt = self.begin(Act::Nonsense, &request_id, None);
                    self.send(attempt, name, input).await;
                }
                self.press(link, approves, first).await;
            }
            _ => {
                self.press(link, approves, first).await;
                sleep(self.rng.millis(0..3_000)).await;
                self.look(link).await;
            }
        }
    }

    async fn look(&mut self, link: &Link) {
        let signaler = self.rng.usize(..2);
        self.world.look(&self.reviewer, link, signaler).await;
    }

    async fn press(&self, link: &Link, approves: bool, first: usize) {
        self.world.press(&self.reviewer, link, approves, first).await;
    }

    /// Decides as an operator does for a reviewer, who has read the mail with this link.
    async fn signal(&self, link: &Link, approves: bool, request_id: &str) {
        let name = if approves { "approve" } else { "reject" };
        let input = json_payload(&self.by_operator(link, request_id));
        let attempt = self.begin(Act::Signal, request_id, Some(approves));
        self.send(attempt, name, Some(input)).await;
    }

    /// What an operator says for them.
    fn by_operator(&self, link: &Link, comment: &str) -> Value {
        json!({"reviewer": self.reviewer, "comment": comment, "version": link.version})
    }

    /// Wants changes, by their link or through an operator.
    async fn send_back(&mut self, mailed: &Link, request_id: &str) {
        let genuine = mailed.id.parse().ok().and_then(|id| self.world.cluster.keys.verify(&id));
        let input = match genuine.filter(|_| self.rng.percent(70)) {
            Some(link) => {
                let proof = link.sign(Verdict::RequestChanges, request_id, Timestamp::now());
                json!({"link": link.hash().as_str(), "proof": proof, "comment": request_id})
            }
            None => self.by_operator(mailed, request_id),
        };
        let attempt = self.begin(Act::SendBack, request_id, None);
        self.send(attempt, names::SIGNAL_REQUEST_CHANGES, Some(json_payload(&input))).await;
    }

    fn begin(&self, act: Act, request_id: &str, approves: Option<bool>) -> Attempt<'_> {
        let workflow = &self.submission.workflow;
        self.world.ledger.begin(workflow, act, &self.reviewer, request_id.to_owned(), approves)
    }

    async fn send(&self, mut attempt: Attempt<'_>, name: &str, input: Option<Payload>) {
        let client = &self.world.cluster.client;
        let answer = match client.signal(&attempt.workflow, name, &attempt.key, input).await {
            Sent::Acknowledged => "acknowledged",
            Sent::Refused => "refused: closed",
            Sent::Unknown => return,
        };
        attempt.answer = answer.to_owned();
    }
}
