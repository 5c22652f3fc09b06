//! Attacks by signals, which anybody can send.

use countersign_e2e::{json_payload, text};
use countersign_protos::Verdict;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Adversary, MARK, account::Attack, forger::unsealed, taken, victim::Victim};
use crate::{
    judge::OperatorAct,
    rng::{Draw, Rng},
};

const SIGNALER: &str = "countersign-signaler";

impl Adversary<'_> {
    pub(super) async fn signal(&self, rng: &mut Rng, victim: &Victim) {
        let seats = victim.seats();
        let Some(seat) = seats.get(rng.usize(..seats.len().max(1))) else { return };
        let approves = rng.percent(70);
        let (attack, signal) = match rng.usize(..20) {
            0..3 => (Attack::VoteByAddress, json!({"reviewer": seat["reviewer"]})),
            3..6 => (Attack::VoteByHash, json!({"link": seat["link"]})),
            6..10 => match self.copied_decision(rng, seat).await {
                Some(decision) => (Attack::VoteWithCopiedProof, decision),
                None => return,
            },
            10..15 => (Attack::VoteWithForgedProof, self.forged_decision(victim, seat, approves)),
            15..18 => return self.reassign(rng, victim, seat).await,
            18 => {
                let sent = self.send(rng, victim, "remind", &json!({})).await;
                return self.account.count(Attack::Remind, sent);
            }
            _ if rng.percent(40) => {
                self.account.enter(victim.id(), OperatorAct::Withdraw);
                let sent = self.send(rng, victim, "withdraw", &json!({"reason": "No."})).await;
                return self.account.count(Attack::Withdraw, sent);
            }
            _ => return,
        };
        let of =
            text(if signal["link"].is_string() { &signal["link"] } else { &signal["reviewer"] });
        self.account.enter(victim.id(), OperatorAct::Vote { of, approves });
        let name = if approves { "approve" } else { "reject" };
        let sent = self.send(rng, victim, name, &signal).await;
        self.account.count(attack, sent);
    }

    /// Another approval's proof, or another link's of the same one, under this link's hash.
    async fn copied_decision(&self, rng: &mut Rng, seat: &Value) -> Option<Value> {
        let other = self.victim(rng, usize::MAX).await?;
        let proven = other.proven();
        let (_, mut decision) = proven.get(rng.usize(..proven.len().max(1)))?.clone();
        // The seat's own decision is the reviewer's own, whoever sends it again; and what the adversary has
        // forged is no copy.
        if decision["link"] == seat["link"] || text(&decision["comment"]).starts_with(MARK) {
            return None;
        }
        decision["link"] = seat["link"].clone();
        Some(decision)
    }

    fn forged_decision(&self, victim: &Victim, seat: &Value, approves: bool) -> Value {
        let digest = victim.plan().map(|plan| text(&unsealed(&plan)["digest"])).unwrap_or_default();
        let verdict = if approves { Verdict::Approve } else { Verdict::Reject };
        let mark = self.account.mark();
        self.forger.decision(victim.chain(), &digest, seat, (verdict, &mark))
    }

    /// Has itself asked, or a stranger, the submitter or another reviewer, in somebody's place.
    async fn reassign(&self, rng: &mut Rng, victim: &Victim, seat: &Value) {
        let from = text(&seat["reviewer"]);
        let to = match rng.usize(..6) {
            0 => victim.approval.submitter(),
            1 => victim.approval.stages[0].reviewers[0].clone(),
            _ => format!("mallory{}.{}@example.com", rng.u8(..9), victim.id()),
        };
        let act = OperatorAct::Reassign { from: from.clone(), to: to.clone() };
        self.account.enter(victim.id(), act);
        let sent = self.send(rng, victim, "reassign", &json!({"reviewer": from, "to": to})).await;
        self.account.count(Attack::Reassign, sent);
    }

    /// Resets an approval to its first workflow task, or to another one.
    pub(super) async fn reset(&self, rng: &mut Rng, victim: &Victim) {
        let tasks = victim.completed_tasks();
        let place = if rng.bool() { 0 } else { rng.usize(..tasks.len().max(1)) };
        let Some(task) = tasks.get(place) else { return };
        let reset = taken(self.grpc.try_reset(victim.id(), *task)).await;
        self.account.count(Attack::Reset, reset.is_some());
        if let Some(run) = reset {
            self.account.note_run(victim.id(), run);
        }
    }

    /// Whether Temporal took a signal, with an identity that somebody else has claimed.
    async fn send(&self, rng: &mut Rng, victim: &Victim, name: &str, input: &Value) -> bool {
        let identities = victim.identities();
        let copied = identities.get(rng.usize(..identities.len().max(1)));
        let identity = copied.map_or(SIGNALER, String::as_str);
        let (id, input) = (Uuid::from_u128(rng.u128(..)).to_string(), vec![json_payload(input)]);
        taken(self.grpc.try_signal_from(identity, &id, victim.id(), name, input)).await.is_some()
    }
}
