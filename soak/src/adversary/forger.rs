//! Forgeries, as good as the adversary's keys. With the real ones they pass, which is the control.

use countersign_e2e::{json_payload, list, text};
use countersign_protos::{
    Chain, Claims, GenuineLink, LinkContext, LinkKeys, Sealing, Verdict, execution_key,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::rng::Rng;

/// Makes what only holders of the link keys can make, or something that looks like it.
pub(super) struct Forger {
    keys: LinkKeys,
    /// Whether these are the real keys.
    is_control: bool,
}

impl Forger {
    pub(super) fn new(keys: LinkKeys, is_control: bool) -> Forger {
        Forger { keys, is_control }
    }

    /// Whether what it makes passes.
    pub(super) fn is_control(&self) -> bool {
        self.is_control
    }

    /// A sealed value. Without the real keys, its seal is one of something else, or is made with another
    /// key, under the real one's name or not.
    pub(super) fn sealed(
        &self,
        rng: &mut Rng,
        what: Sealing,
        chain: Chain<'_>,
        value: &Value,
        copied: &str,
    ) -> Value {
        let json = value.to_string();
        let own = self.keys.first().seal(what, chain, &text(&value["digest"]), json.as_bytes());
        let name = |seal: &str| seal.split('.').nth(1).map(str::to_owned).unwrap_or_default();
        let seal = match rng.usize(..10) {
            _ if self.is_control => own,
            0..5 => copied.to_owned(),
            5..9 => own.replace(&name(&own), &name(copied)),
            _ => own,
        };
        json!({"json": json, "seal": seal})
    }

    /// The link for a seat, as a history has it.
    pub(super) fn link(&self, chain: Chain<'_>, digest: &str, seat: &Value) -> GenuineLink {
        let number = |name: &str| seat[name].as_u64().unwrap_or_default() as u32;
        self.keys.first().link(LinkContext {
            stage: number("stage"),
            round: number("round"),
            on_behalf_of: seat["onBehalfOf"].as_str().unwrap_or_default(),
            instead_of: seat["insteadOf"].as_str().unwrap_or_default(),
            ..LinkContext::new(chain, digest, seat["reviewer"].as_str().unwrap_or_default())
        })
    }

    /// A decision for a seat, with a proof.
    pub(super) fn decision(
        &self,
        chain: Chain<'_>,
        digest: &str,
        seat: &Value,
        (verdict, comment): (Verdict, &str),
    ) -> Value {
        let proof = self.link(chain, digest, seat).sign(verdict, comment, Timestamp::now());
        json!({"link": seat["link"], "comment": comment, "proof": proof})
    }

    /// An outcome in which everybody whom the plan names has approved, signed.
    pub(super) fn outcome(
        &self,
        chain: Chain<'_>,
        plan: &Value,
        seats: &[Value],
        mark: &str,
    ) -> Value {
        let (now, submission, digest) =
            (Timestamp::now().to_string(), &plan["submission"], text(&plan["digest"]));
        let stage = |(position, stage): (usize, &Value)| {
            let vote = |reviewer: &Value| {
                let own =
                    |seat: &&Value| seat["stage"] == position && seat["reviewer"] == *reviewer;
                let link = seats.iter().find(own).map(|seat| seat["link"].clone());
                json!({
                    "reviewer": reviewer, "verdict": "APPROVE", "comment": mark, "decidedAt": now,
                    "link": link.unwrap_or_else(|| json!("")), "by": "link",
                })
            };
            let votes: Vec<Value> = list(&stage["reviewers"]).map(vote).collect();
            json!({"name": stage["name"], "status": "APPROVED", "decisions": votes})
        };
        let stages: Vec<Value> = list(&plan["stages"]).enumerate().map(stage).collect();
        let claims = Claims {
            workflow_id: chain.workflow_id.to_owned(),
            first_run_id: chain.first_run_id.to_owned(),
            submission_id: text(&submission["submissionId"]),
            status: "APPROVED".to_owned(),
            basis: "people".to_owned(),
            operator: false,
            digest: digest.clone(),
            action_digest: String::new(),
            execution_key: execution_key(chain, &digest),
            decided_at: now.clone(),
        };
        json!({
            "status": "APPROVED", "submissionId": submission["submissionId"],
            "submissionType": submission["submissionType"], "decidedAt": now,
            "reason": format!("Approved, {mark}."), "submitter": submission["submitter"],
            "document": submission["document"], "stages": stages, "digest": digest,
            "executionKey": claims.execution_key, "basis": "people",
            "jws": self.keys.first().sign(&claims),
        })
    }

    /// A state in which everybody has approved, as an answer to the query.
    pub(super) fn state(
        &self,
        chain: Chain<'_>,
        plan: &Value,
        seats: &[Value],
        (mark, is_final): (&str, bool),
    ) -> Value {
        let (digest, now) = (text(&plan["digest"]), Timestamp::now());
        let status = if is_final { "APPROVED" } else { "PENDING" };
        let reviewer = |seat: &Value| {
            let proof = self.link(chain, &digest, seat).sign(Verdict::Approve, mark, now);
            let vote = json!({
                "reviewer": seat["reviewer"], "verdict": "APPROVE", "comment": mark, "by": "link",
                "decidedAt": now.to_string(), "link": seat["link"], "proof": proof,
            });
            json!({
                "reviewer": seat["reviewer"], "link": seat["link"], "round": seat["round"],
                "delivery": "SENT", "vote": vote,
            })
        };
        let stage = |(position, stage): (usize, &Value)| {
            let own = seats.iter().filter(|seat| seat["stage"] == position);
            let reviewers: Vec<Value> = own.map(reviewer).collect();
            json!({
                "name": stage["name"], "status": status, "quorum": stage["quorum"],
                "openedAt": now.to_string(), "reviewers": reviewers,
            })
        };
        let stages: Vec<Value> = list(&plan["stages"]).enumerate().map(stage).collect();
        let outcome = self.outcome(chain, plan, seats, mark);
        let mut state = json!({
            "status": status, "submission": plan["submission"], "stages": stages, "digest": digest,
        });
        if is_final {
            state["decidedAt"] = json!(now.to_string());
            state["jws"] = outcome["jws"].clone();
        }
        state
    }
}

/// A vote in a journal.
pub(super) fn voted(decision: &Value, verdict: Verdict) -> Value {
    let mut ballot = json!({
        "claim": {"Link": decision["link"]}, "verdict": verdict, "comment": decision["comment"],
        "identity": "countersign-signaler",
    });
    if decision["proof"].is_object() {
        ballot["proof"] = decision["proof"].clone();
    }
    json!({"voted": {"ballot": ballot, "at": Timestamp::now().to_string()}})
}

/// A withdrawal in a journal.
pub(super) fn withdrawn(mark: &str) -> Value {
    let at = Timestamp::now().to_string();
    json!({"withdrawn": {"reason": mark, "identity": "help desk", "at": at}})
}

/// A replacement in a journal.
pub(super) fn reassigned(from: &Value, mark: &str) -> Value {
    let (to, at) = (format!("{mark}@example.com"), Timestamp::now().to_string());
    json!({"reassigned": {"from": from, "to": to, "identity": "help desk", "at": at}})
}

/// What proves an outcome, or is meant to.
pub(super) fn evidence(chain: Chain<'_>, plan: &Value, journal: &[Value]) -> Value {
    let began = journal.first().map(|asked| asked["asked"]["at"].clone());
    let began =
        began.filter(Value::is_string).unwrap_or_else(|| json!(Timestamp::now().to_string()));
    json!({"plan": plan, "firstRunId": chain.first_run_id, "began": began, "journal": journal})
}

/// A state as a run leaves it to the next one, with a notice of an operator's vote that is to be sent.
pub(super) fn continued(chain: Chain<'_>, submission: &Value, evidence: &Value) -> Payload {
    let journal = &evidence["journal"];
    let notice = json!({
        "recipient": journal[0]["asked"]["invited"][0]["reviewer"], "kind": "DecidedByOperator",
        "entries": journal.as_array().map_or(0, Vec::len),
    });
    let is_asked = notice["recipient"].is_string();
    let undelivered = if is_asked { json!({"0": notice}) } else { json!({}) };
    let open = json!({
        "evidence": evidence, "workflowId": chain.workflow_id, "encoding": "JsonPlain",
        "deliveries": {}, "notices": {"undelivered": undelivered, "count": 1},
    });
    let mut state = submission.clone();
    state["case"] = json!({"inbox": {}, "open": open});
    let mut payload = json_payload(&state);
    payload.metadata.insert("messageType".to_owned(), b"countersign.Continued".to_vec());
    payload
}

/// The JSON in a sealed value.
pub(super) fn unsealed(sealed: &Value) -> Value {
    serde_json::from_str(&text(&sealed["json"])).unwrap_or_default()
}
