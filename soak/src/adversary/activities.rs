//! Attacks by activities: the adversary has ours run, with what it has copied, changed or forged.

use countersign_e2e::{complete_workflow, json_payload, list, schedule_activity, text};
use countersign_protos::{Chain, Sealing, Verdict, names};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, WorkflowType},
    history::v1::history_event::Attributes,
};
use tokio::time::timeout;

use super::{
    Adversary, PATIENCE,
    account::Attack,
    forger::{evidence, reassigned, unsealed, voted, withdrawn},
    starts::ROGUE,
    taken,
    victim::Victim,
};
use crate::rng::{Draw, Rng};

/// An activity's type and input.
pub(super) type Call = (String, Payload);

impl Adversary<'_> {
    pub(super) async fn call_activity(&self, rng: &mut Rng, victim: &Victim) {
        let copied = victim.scheduled();
        let Some(call) = copied.get(rng.usize(..copied.len().max(1))).cloned() else { return };
        let own = self.new_id(rng, "rogue");
        let reused = victim.id().to_owned();
        let kind = names::WORKFLOW_TYPE;
        let (attack, done) = match rng.usize(..10) {
            0..2 => {
                let done = self.run(rng, ROGUE, &own, |_| Some(call)).await;
                (Attack::ActivityOfOtherType, done)
            }
            2..6 => {
                let mut forging = rng.fork();
                let forge = |run: &str| {
                    // A notice may be one of another approval.
                    let chain = match forging.bool() {
                        true => victim.chain(),
                        false => Chain { workflow_id: &own, first_run_id: run },
                    };
                    self.forged_call(&mut forging, victim, chain)
                };
                (Attack::ActivityOfOwnApproval, self.run(rng, kind, &own, forge).await)
            }
            6..9 => {
                let mut forging = rng.fork();
                let forge = |_: &str| match forging.percent(50) {
                    true => Some(call),
                    false => self.forged_call(&mut forging, victim, victim.chain()),
                };
                (Attack::ActivityOfReusedId, self.run(rng, kind, &reused, forge).await)
            }
            _ => {
                let (activity, input) = call;
                let start = self.grpc.try_start_activity(&self.queue, &activity, vec![input]);
                // Whether it was started: it is refused by the worker.
                (Attack::ActivityAlone, taken(start).await.map(|()| false))
            }
        };
        if let Some(done) = done {
            self.account.count(attack, done);
        }
    }

    /// A call of one of our activities with a forged plan, outcome or history.
    pub(super) fn forged_call(
        &self,
        rng: &mut Rng,
        victim: &Victim,
        chain: Chain<'_>,
    ) -> Option<Call> {
        let (sealed, mark, seats) = (victim.plan()?, self.account.mark(), victim.seats());
        let seal = text(&sealed["seal"]);
        let mut plan = unsealed(&sealed);
        match rng.usize(..4) {
            0 => {
                plan["submission"]["document"]["title"] = json!(format!("Ten cars, {mark}"));
                let forged = self.forger.sealed(rng, Sealing::Plan, chain, &plan, &seal);
                let seat = seats.get(rng.usize(..seats.len().max(1)))?;
                let link = self.forger.link(chain, plan["digest"].as_str()?, seat);
                let request = json!({
                    "plan": forged, "firstRunId": chain.first_run_id, "stage": seat["stage"],
                    "round": seat["round"], "reviewer": seat["reviewer"],
                    "link": link.hash().as_str(), "deadline": null, "onDeadline": "expire",
                    "reminder": false,
                });
                Some(("request_approval".to_owned(), json_payload(&request)))
            }
            1 => {
                let outcome = self.forger.outcome(chain, &plan, &seats, &mark);
                let outcome = self.forger.sealed(rng, Sealing::Outcome, chain, &outcome, &seal);
                let delivery = json!({"outcome": outcome, "firstRunId": chain.first_run_id});
                Some(("process_decision".to_owned(), json_payload(&delivery)))
            }
            2 => {
                let outcome = self.forger.outcome(chain, &plan, &seats, &mark);
                let copied = victim.concluded().map_or(seal, |it| text(&it["outcome"]["seal"]));
                let outcome = self.forger.sealed(rng, Sealing::Outcome, chain, &outcome, &copied);
                let about =
                    json!({"outcome": {"outcome": outcome, "firstRunId": chain.first_run_id}});
                let submitter = json!(victim.approval.submitter());
                Some(notice(rng, chain, &submitter, about))
            }
            _ => self.forged_notice(rng, victim, chain, &mark),
        }
    }

    /// A notice about what nobody did: votes, with proofs in the control, or acts of operators. Or about a state
    /// that is another one, or for somebody else.
    fn forged_notice(
        &self,
        rng: &mut Rng,
        victim: &Victim,
        chain: Chain<'_>,
        mark: &str,
    ) -> Option<Call> {
        let (sealed, seats) = (victim.plan()?, victim.seats());
        let mut journal = victim.asked();
        journal.truncate(1);
        let mut voter = seats.iter().find(|seat| seat["stage"] == 0)?.clone();
        let seat = seats.get(rng.usize(..seats.len().max(1)))?;
        let (mut kind, mut recipient) = ("superseded", seat["reviewer"].clone());
        let submitter = victim.approval.submitter();
        // The control has to come through, which acts of operators do not with any keys.
        let style = if self.forger.is_control() { 0 } else { rng.usize(..11) };
        match style {
            6 => journal.push(withdrawn(mark)),
            7 => journal.push(reassigned(&seat["reviewer"], mark)),
            // No rule has submitters told of the start, and mail has reached somebody.
            8 => (kind, recipient) = ("started", json!(submitter)),
            9 => (kind, recipient) = ("unreachable", json!(submitter)),
            // It may be so, and is said to somebody whose address looks like the submitter's.
            10 => {
                let refused =
                    |seat: &Value| json!({"reached": {"link": seat["link"], "reached": false}});
                let asked = journal[0]["asked"]["invited"].take();
                journal.extend(list(&asked).map(refused));
                journal[0]["asked"]["invited"] = asked;
                (kind, recipient) = ("unreachable", json!(submitter.replace('@', "+x@")));
            }
            _ => {
                let digest = text(&unsealed(&sealed)["digest"]);
                if style == 1 {
                    voter["reviewer"] = json!(format!("mallory.{}@example.com", victim.id()));
                    let link = self.forger.link(chain, &digest, &voter);
                    voter["link"] = json!(link.hash().as_str());
                    voter["key"] = json!(link.public_key());
                    journal[0]["asked"]["invited"][0] = voter.clone();
                }
                let vote = (Verdict::Approve, mark);
                let mut decision = self.forger.decision(chain, &digest, &voter, vote);
                if style == 2 {
                    decision["proof"] = Value::Null;
                }
                journal.push(voted(&decision, Verdict::Approve));
                if rng.bool() {
                    (kind, recipient) = ("decidedByOperator", voter["reviewer"].clone());
                }
            }
        }
        let about = json!({kind: evidence(chain, &sealed, &journal)});
        Some(notice(rng, chain, &recipient, about))
    }

    /// Starts a workflow on a task queue of its own, which has one of our activities run. Whether that has
    /// completed; `None` if it did not come to it.
    async fn run(
        &self,
        rng: &mut Rng,
        kind: &str,
        id: &str,
        call: impl FnOnce(&str) -> Option<Call>,
    ) -> Option<bool> {
        let queue = self.new_id(rng, "queue");
        let kind = Some(WorkflowType { name: kind.to_owned() });
        let start =
            self.grpc.try_start_with(&queue, id, vec![], |start| start.workflow_type = kind);
        let run = taken(start).await?;
        let rogue = self.grpc.rogue(&queue);
        let task = timeout(PATIENCE, rogue.poll()).await.ok()?.ok()?;
        let Some((activity, input)) = call(&run) else {
            let end = vec![complete_workflow(&Value::Null)];
            return taken(rogue.try_answer(task.task_token, end, false)).await.and(None);
        };
        let on = self.queue_of(&activity);
        let schedule = schedule_activity(&on, "1", &activity, vec![input]);
        taken(rogue.try_answer(task.task_token, vec![schedule], false)).await?;
        let task = timeout(2 * PATIENCE, rogue.poll()).await.ok()?.ok()?;
        let events = task.history.unwrap_or_default().events;
        let completed = |attributes: &Attributes| {
            matches!(attributes, Attributes::ActivityTaskCompletedEventAttributes(_))
        };
        let done = events.iter().any(|event| event.attributes.as_ref().is_some_and(completed));
        let end = vec![complete_workflow(&Value::Null)];
        let _ = taken(rogue.try_answer(task.task_token, end, false)).await;
        Some(done)
    }

    /// The task queue on which a worker runs an activity.
    pub(super) fn queue_of(&self, activity: &str) -> String {
        match activity {
            "process_decision" => format!("{}-webhook", self.queue),
            _ => self.queue.clone(),
        }
    }
}

/// A call that has a notice mailed.
fn notice(rng: &mut Rng, chain: Chain<'_>, recipient: &Value, about: Value) -> Call {
    let notice = json!({
        "workflowId": chain.workflow_id, "number": rng.u8(..), "recipient": recipient,
        "about": about,
    });
    ("announce_decision".to_owned(), json_payload(&notice))
}
