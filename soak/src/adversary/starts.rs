//! Attacks by starts: of our workflow from forged states, of copies, and of workflows that claim to be
//! approvals.

use countersign_e2e::{continue_as_approval, json_payload};
use countersign_protos::{Sealing, Verdict, names};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::{
    Payload, SearchAttributes, WorkflowType,
};
use tokio::time::timeout;

use super::{
    Adversary, PATIENCE,
    account::Attack,
    forger::{continued, evidence, unsealed, voted},
    taken,
    victim::Victim,
};
use crate::{
    judge::Approval,
    rng::{Draw, Rng},
    temporal::persistently,
};

/// The type of the adversary's own workflows.
pub(super) const ROGUE: &str = "Rogue";

impl Adversary<'_> {
    pub(super) async fn start(&self, rng: &mut Rng, victim: &Victim) {
        match rng.usize(..20) {
            0..4 => {
                let Some(state) = self.copied_state(rng, victim) else { return };
                let id = self.new_id(rng, "state");
                let started =
                    taken(self.grpc.try_start_with(&self.queue, &id, vec![state], |_| ()));
                self.account.count(Attack::StartForgedState, started.await.is_some());
            }
            4..8 => self.start_continuation(rng, victim).await,
            8..11 => {
                let document = victim.approval.submission.clone();
                self.start_own(rng, victim, Attack::StartCopy, document).await;
            }
            11..14 => {
                let mut submission = victim.approval.submission.clone();
                submission["document"]["title"] = json!("Ten cars");
                submission["document"]["amount"] = json!("500000.00");
                self.start_own(rng, victim, Attack::StartOtherDocument, submission).await;
            }
            14..17 => self.start_foreign(rng, victim, Attack::StartClaim).await,
            _ => self.start_foreign(rng, victim, Attack::StartForeignType).await,
        }
    }

    /// The state of another approval, with votes that nobody has cast.
    fn copied_state(&self, rng: &mut Rng, victim: &Victim) -> Option<Payload> {
        let plan = victim.plan()?;
        let mut journal = victim.asked();
        for seat in victim.seats() {
            let decision = json!({"link": seat["link"], "comment": ""});
            journal.push(voted(
                &decision,
                if rng.bool() { Verdict::Approve } else { Verdict::Reject },
            ));
        }
        let evidence = evidence(victim.chain(), &plan, &journal);
        Some(continued(victim.chain(), &victim.approval.submission, &evidence))
    }

    /// A workflow of its own goes on as an approval that everybody has approved.
    async fn start_continuation(&self, rng: &mut Rng, victim: &Victim) {
        let Some(sealed) = victim.plan() else { return };
        let (id, mark) = (self.new_id(rng, "continuation"), self.account.mark());
        let kind = Some(WorkflowType { name: ROGUE.to_owned() });
        let start = self.grpc.try_start_with(&id, &id, vec![], |start| start.workflow_type = kind);
        let Some(run) = taken(start).await else { return };
        let chain = countersign_protos::Chain { workflow_id: &id, first_run_id: &run };
        let mut plan = unsealed(&sealed);
        plan["submission"]["document"]["title"] = json!(mark);
        let seal = sealed["seal"].as_str().unwrap_or_default();
        let forged = self.forger.sealed(rng, Sealing::Plan, chain, &plan, seal);
        let digest = plan["digest"].as_str().unwrap_or_default();
        let mut journal = Vec::new();
        // With the real keys the links have to be those of this chain.
        if let Some(mut issued) = victim.issued().into_iter().next() {
            let seats = issued["invited"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
            for seat in &mut *seats {
                let link = self.forger.link(chain, digest, seat);
                seat["link"] = json!(link.hash().as_str());
                seat["key"] = json!(link.public_key());
            }
            let votes: Vec<Value> = seats
                .iter()
                .map(|seat| self.forger.decision(chain, digest, seat, (Verdict::Approve, &mark)))
                .map(|decision| voted(&decision, Verdict::Approve))
                .collect();
            let (invited, due, at) = (&issued["invited"], &issued["due"], &issued["openedAt"]);
            journal.push(json!({"asked": {"invited": invited, "due": due, "at": at}}));
            journal.extend(votes);
        }
        let submission = &plan["submission"];
        let state = continued(chain, submission, &evidence(chain, &forged, &journal));
        let rogue = self.grpc.rogue(&id);
        let task = timeout(PATIENCE, rogue.poll()).await;
        let Ok(Ok(task)) = task else { return };
        let command = continue_as_approval(&self.queue, state);
        let answered = taken(rogue.try_answer(task.task_token, vec![command], false)).await;
        self.account.count(Attack::StartForgedContinuation, answered.is_some());
    }

    /// An approval of its own, which is genuine, and claims the links of another one.
    async fn start_own(&self, rng: &mut Rng, victim: &Victim, attack: Attack, submission: Value) {
        let (id, claims) = (self.new_id(rng, "own"), claims(victim));
        // What Temporal has taken must be known: it mails, though the answer was lost.
        let start = persistently(|| {
            let (input, claims) = (vec![json_payload(&submission)], claims.clone());
            self.grpc.try_start_with(&self.queue, &id, input, |start| {
                start.request_id = id.clone();
                start.search_attributes = Some(claims);
            })
        });
        let started = start.await;
        self.account.count(attack, started.is_ok());
        if let Ok(first_run_id) = started {
            let stages = victim.approval.stages.clone();
            self.account.own(Approval { workflow: id, first_run_id, submission, stages });
        }
    }

    /// A workflow of another type, which claims the links of an approval.
    async fn start_foreign(&self, rng: &mut Rng, victim: &Victim, attack: Attack) {
        let id = self.new_id(rng, "foreign");
        let queue = if attack == Attack::StartClaim { &id } else { &self.queue };
        let kind = if rng.percent(30) { names::WORKFLOW_TYPE } else { ROGUE };
        let kind = if attack == Attack::StartClaim { kind } else { ROGUE };
        let start = self.grpc.try_start_with(queue, &id, vec![], |start| {
            start.workflow_type = Some(WorkflowType { name: kind.to_owned() });
            start.search_attributes = Some(claims(victim));
        });
        self.account.count(attack, taken(start).await.is_some());
    }
}

/// Search attributes as those of a decided approval with these links.
fn claims(victim: &Victim) -> SearchAttributes {
    let fields = [
        (names::ATTRIBUTE_STATUS, json!("APPROVED")),
        (names::ATTRIBUTE_LINKS, json!(victim.hashes())),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), json_payload(&value)));
    SearchAttributes { indexed_fields: fields.into() }
}
