//! Attacks by polling: the adversary takes some of the tasks that are meant for our workers, and answers
//! them with forgeries, or not at all.

use countersign_e2e::{
    Rogue, complete_workflow, continue_as_approval, json_payload, schedule_activity, text,
};
use countersign_protos::{Sealing, Verdict, names};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    command::v1::Command,
    workflowservice::v1::{PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse},
};
use tokio::time::{sleep, timeout};

use super::{
    Adversary, PATIENCE,
    account::Attack,
    forger::{continued, evidence, unsealed, voted, withdrawn},
    taken,
    victim::Victim,
};
use crate::{
    checker, history,
    judge::OperatorAct,
    rng::{Draw, Rng},
    submission::Submission,
};

/// What a task is answered with, and whether Temporal is to make another one at once.
type Reply = (Vec<Command>, bool);

impl Adversary<'_> {
    /// Polls for one workflow task or query after the other, with pauses, so that it gets few of them.
    pub(super) async fn take_workflow_tasks(&self, mut rng: Rng) {
        let rogue = self.grpc.rogue(&self.queue);
        loop {
            sleep(rng.millis(300..1_500)).await;
            let Ok(Ok(task)) = timeout(PATIENCE, rogue.poll()).await else { continue };
            if !task.task_token.is_empty() {
                self.answer(&mut rng, &rogue, task).await;
            }
        }
    }

    async fn answer(&self, rng: &mut Rng, rogue: &Rogue, task: PollWorkflowTaskQueueResponse) {
        let execution = task.workflow_execution.clone().unwrap_or_default();
        let all = self.approvals();
        let known = all.into_iter().find(|known| known.workflow == execution.workflow_id);
        // It answers nothing of its own approvals, nor of what others have started badly.
        let Some(approval) = known else { return };
        let is_query = task.query.is_some();
        let events = task.history.unwrap_or_default().events;
        let victim = Victim { approval, events };
        if is_query {
            let Some(state) = self.forged_state(rng, &victim).await else { return };
            let answered = taken(rogue.answer_query(task.task_token, &state)).await;
            return self.account.count(Attack::QueryForged, answered.is_some());
        }
        let (attack, reply) = match victim.plan_marker() {
            None => self.reply_to_first(rng, &victim).await,
            Some(_) => self.reply(rng, &victim).await,
        };
        let Some((commands, in_part)) = reply else {
            return self.account.count(Attack::TaskWithheld, true);
        };
        let answered = taken(rogue.try_answer(task.task_token, commands, in_part)).await;
        self.account.count(attack, answered.is_some());
    }

    /// The state of an approval as decided, by votes that nobody has cast, with another one's submission, or
    /// with a signature of something else. The votes are said to be the reviewers' or an operator's.
    async fn forged_state(&self, rng: &mut Rng, victim: &Victim) -> Option<Value> {
        let other = if rng.percent(25) { self.victim(rng, usize::MAX).await } else { None };
        // A query may come without the whole history.
        let whole = self.read(victim.approval.clone()).await?;
        let (plan, seats) = (unsealed(&whole.plan()?), whole.seats());
        let (mark, is_final) = (self.account.mark(), rng.percent(60));
        let mut state = self.forger.state(whole.chain(), &plan, &seats, (&mark, is_final));
        if let Some(other) = other.and_then(|other| other.plan()) {
            state["submission"] = unsealed(&other)["submission"].clone();
        }
        if rng.bool() {
            by_operator(&mut state);
        }
        if rng.percent(30)
            && let Some(concluded) = whole.concluded()
        {
            state["jws"] = concluded["jws"].clone();
        }
        Some(state)
    }

    /// The first task: the plan, and perhaps the links, are the adversary's.
    async fn reply_to_first(&self, rng: &mut Rng, victim: &Victim) -> (Attack, Option<Reply>) {
        let attack = Attack::TaskForgedPlan;
        let Some(other) = self.victim(rng, usize::MAX).await else { return (attack, None) };
        let (Some(marker), Some(links)) = (other.plan_marker(), other.links_marker()) else {
            return (attack, None);
        };
        let Some(sealed) = other.plan() else { return (attack, None) };
        let mut plan = unsealed(&sealed);
        let own = &victim.approval;
        let mark = self.account.mark();
        plan["submission"] = own.submission.clone();
        plan["digest"] = json!(own.digest());
        plan["submitter"] = json!(own.submitter());
        plan["stages"][0]["reviewers"] = json!([format!("{mark}.{}@example.com", own.workflow)]);
        let seal = text(&sealed["seal"]);
        let forged = self.forger.sealed(rng, Sealing::Plan, victim.chain(), &plan, &seal);
        let forged = if rng.percent(25) { sealed } else { forged };
        let mut commands = vec![marker.with(&json!({"plan": forged})).record()];
        if rng.percent(30) {
            commands.push(links.as_of(names::ACTIVITY_ISSUE_LINKS, 2).record());
        }
        (attack, Some((commands, true)))
    }

    /// A later task of an approval.
    async fn reply(&self, rng: &mut Rng, victim: &Victim) -> (Attack, Option<Reply>) {
        let events = history::read(&victim.events);
        let (workflow, stages) = (victim.id().to_owned(), victim.approval.stages.clone());
        let submission = Submission { workflow, stages, team: None };
        let is_decided = checker::status(&submission, &events) != "PENDING";
        let (attack, reply) = match rng.usize(..20) {
            _ if is_decided && victim.concluded().is_none() && rng.percent(70) => {
                (Attack::TaskForgedOutcome, self.forged_conclusion(rng, victim))
            }
            0..4 => (Attack::TaskForgedResult, self.forged_result(rng, victim)),
            4..8 => {
                let call = self.forged_call(rng, victim, victim.chain());
                let schedule = |(activity, input): (String, _)| {
                    let on = self.queue_of(&activity);
                    (vec![schedule_activity(&on, "forged", &activity, vec![input])], false)
                };
                (Attack::TaskForgedActivity, call.map(schedule))
            }
            8..15 => (Attack::TaskForgedContinuation, self.forged_continuation(rng, victim)),
            _ => (Attack::TaskWithheld, None),
        };
        (attack, reply)
    }

    /// The marker of a conclusion that nobody has drawn, where our worker is about to draw one.
    fn forged_conclusion(&self, rng: &mut Rng, victim: &Victim) -> Option<Reply> {
        let sealed = victim.plan()?;
        let (mark, seal) = (self.account.mark(), text(&sealed["seal"]));
        let (plan, seats) = (unsealed(&sealed), victim.seats());
        let outcome = self.forger.outcome(victim.chain(), &plan, &seats, &mark);
        let forged = self.forger.sealed(rng, Sealing::Outcome, victim.chain(), &outcome, &seal);
        let marker = victim.plan_marker()?.as_of(names::ACTIVITY_CONCLUDE, victim.next_seq());
        let concluded = json!({"outcome": forged, "jws": outcome["jws"]});
        Some((vec![marker.with(&concluded).record()], true))
    }

    fn forged_result(&self, rng: &mut Rng, victim: &Victim) -> Option<Reply> {
        let plan = unsealed(&victim.plan()?);
        let forged = |mark: &str| self.forger.outcome(victim.chain(), &plan, &victim.seats(), mark);
        let outcome = match victim.concluded() {
            Some(concluded) if rng.bool() => {
                // What is signed in it stays genuine.
                let mut outcome = unsealed(&concluded["outcome"]);
                outcome["jws"] = concluded["jws"].clone();
                let is_approved = outcome["status"] == "APPROVED";
                outcome["status"] = json!(if is_approved { "REJECTED" } else { "APPROVED" });
                outcome
            }
            _ => forged(&self.account.mark()),
        };
        Some((vec![complete_workflow(&outcome)], false))
    }

    /// The next run begins with votes that nobody has cast, without some that were, after its deadline, or
    /// withdrawn; or with the submission, but for other reviewers.
    fn forged_continuation(&self, rng: &mut Rng, victim: &Victim) -> Option<Reply> {
        let (sealed, chain) = (victim.plan()?, victim.chain());
        let digest = text(&unsealed(&sealed)["digest"]);
        let mut journal = victim.asked();
        if journal.is_empty() {
            return None;
        }
        journal.truncate(1);
        let style = rng.usize(..6);
        let mark = self.account.mark();
        if style == 5 {
            let mut submission = victim.approval.submission.clone();
            let reviewers = submission.pointer_mut("/approval/stages/0/reviewers")?;
            *reviewers = json!([format!("{mark}.{}@example.com", victim.id())]);
            let input = json_payload(&submission);
            return Some((vec![continue_as_approval(&self.queue, input)], false));
        }
        for seat in victim.seats().iter().filter(|seat| seat["stage"] == 0) {
            let proven = victim.proven();
            let own = proven.iter().find(|(_, decision)| decision["link"] == seat["link"]);
            let (verdict, decision) = match (style, own) {
                (0, Some((name, decision))) if rng.percent(60) => {
                    let approves = name == names::SIGNAL_APPROVE;
                    (if approves { Verdict::Approve } else { Verdict::Reject }, decision.clone())
                }
                (0 | 3 | 4, _) => continue,
                (1, _) => (Verdict::Approve, json!({"link": seat["link"], "comment": ""})),
                _ => {
                    let vote = (Verdict::Approve, &*mark);
                    (Verdict::Approve, self.forger.decision(chain, &digest, seat, vote))
                }
            };
            if style > 0 {
                // Without the real keys it is shown as an operator's, until it is to be concluded.
                let of = text(&seat["reviewer"]);
                self.account.make_up(victim.id(), OperatorAct::Vote { of, approves: true });
            }
            journal.push(voted(&decision, verdict));
        }
        if style == 4 {
            self.account.make_up(victim.id(), OperatorAct::Withdraw);
            journal.push(withdrawn(&mark));
        }
        if style == 3 {
            // The deadline is over.
            self.account.hurry(victim.id());
            let now = Timestamp::now();
            let over = now - SignedDuration::from_secs(1);
            journal[0]["asked"]["due"] = json!({"deadline": over.to_string()});
            journal.push(json!({"timePassed": {"at": now.to_string()}}));
        }
        let evidence = evidence(chain, &sealed, &journal);
        let state = continued(chain, &victim.approval.submission, &evidence);
        Some((vec![continue_as_approval(&self.queue, state)], false))
    }

    /// Polls for one activity after the other, with pauses, and completes it without having done it.
    pub(super) async fn take_activities(&self, mut rng: Rng, suffix: &str) {
        let rogue = self.grpc.rogue(&format!("{}{suffix}", self.queue));
        loop {
            sleep(rng.millis(700..3_000)).await;
            let Ok(Ok(task)) = timeout(PATIENCE, rogue.poll_activity()).await else { continue };
            if !task.task_token.is_empty() {
                self.complete(&mut rng, &rogue, task).await;
            }
        }
    }

    async fn complete(&self, rng: &mut Rng, rogue: &Rogue, task: PollActivityTaskQueueResponse) {
        let activity = task.activity_type.unwrap_or_default().name;
        let attack = match activity.as_str() {
            "request_approval" => Attack::RequestSwallowed,
            "announce_decision" => Attack::NoticeSwallowed,
            "process_decision" => Attack::WebhookSwallowed,
            _ => return,
        };
        let id = task.workflow_execution.unwrap_or_default().workflow_id;
        let known = self.approvals().into_iter().find(|known| known.workflow == id);
        let Some(known) = known else { return };
        let outcome = self.read(known).await.and_then(|victim| {
            let (plan, mark) = (unsealed(&victim.plan()?), self.account.mark());
            Some(self.forger.outcome(victim.chain(), &plan, &victim.seats(), &mark))
        });
        let lie = match outcome {
            Some(outcome) if rng.percent(70) => outcome,
            _ => json!("accepted: 250 OK"),
        };
        let completed = taken(rogue.try_complete(task.task_token, vec![json_payload(&lie)])).await;
        self.account.count(attack, completed.is_some());
    }
}

/// Says of each vote that an operator has given it.
fn by_operator(state: &mut Value) {
    let stages = state["stages"].as_array_mut().into_iter().flatten();
    let seats = stages.filter_map(|stage| stage["reviewers"].as_array_mut()).flatten();
    for vote in seats.map(|seat| &mut seat["vote"]) {
        (vote["by"], vote["identity"], vote["proof"]) =
            (json!("operator"), json!("op@desk"), Value::Null);
    }
}
