//! The adversary's own account: what it tried, what of it took effect, and what it has to answer for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parking_lot::Mutex;

use crate::judge::{Approval, OperatorAct};

/// What marks a forgery wherever it turns up; a number follows.
pub(crate) const MARK: &str = "forged-";

/// A kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attack {
    StartForgedState,
    StartForgedContinuation,
    StartCopy,
    StartOtherDocument,
    StartClaim,
    StartForeignType,
    VoteByAddress,
    VoteByHash,
    VoteWithCopiedProof,
    VoteWithForgedProof,
    Reassign,
    Remind,
    Withdraw,
    Reset,
    ActivityOfOtherType,
    ActivityOfOwnApproval,
    ActivityOfReusedId,
    ActivityAlone,
    TaskWithheld,
    TaskForgedPlan,
    TaskForgedOutcome,
    TaskForgedResult,
    TaskForgedActivity,
    TaskForgedContinuation,
    RequestSwallowed,
    NoticeSwallowed,
    WebhookSwallowed,
    QueryForged,
}

impl Attack {
    const ALL: [Attack; 28] = [
        Attack::StartForgedState,
        Attack::StartForgedContinuation,
        Attack::StartCopy,
        Attack::StartOtherDocument,
        Attack::StartClaim,
        Attack::StartForeignType,
        Attack::VoteByAddress,
        Attack::VoteByHash,
        Attack::VoteWithCopiedProof,
        Attack::VoteWithForgedProof,
        Attack::Reassign,
        Attack::Remind,
        Attack::Withdraw,
        Attack::Reset,
        Attack::ActivityOfOtherType,
        Attack::ActivityOfOwnApproval,
        Attack::ActivityOfReusedId,
        Attack::ActivityAlone,
        Attack::TaskWithheld,
        Attack::TaskForgedPlan,
        Attack::TaskForgedOutcome,
        Attack::TaskForgedResult,
        Attack::TaskForgedActivity,
        Attack::TaskForgedContinuation,
        Attack::RequestSwallowed,
        Attack::NoticeSwallowed,
        Attack::WebhookSwallowed,
        Attack::QueryForged,
    ];

    /// The kind of access that it takes, as its name begins.
    fn way(self) -> &'static str {
        let name = self.name();
        let first_word = || name.split(' ').next().unwrap_or(name);
        name.split_once(':').map_or_else(first_word, |(way, _)| way)
    }

    /// Whether the server goes along with it, and our worker has to refuse it. It was tried once that has
    /// happened.
    fn is_refused_by_workers(self) -> bool {
        matches!(
            self,
            Attack::ActivityOfOtherType | Attack::ActivityOfOwnApproval | Attack::ActivityAlone
        )
    }

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Attack::StartForgedState => "start: a first run with the state of an earlier one",
            Attack::StartForgedContinuation => {
                "start: a foreign workflow that goes on as an approval"
            }
            Attack::StartCopy => "start: a copy under another workflow ID",
            Attack::StartOtherDocument => "start: another document that claims real links",
            Attack::StartClaim => "start: a foreign workflow that claims real links",
            Attack::StartForeignType => "start: a foreign workflow on our task queue",
            Attack::VoteByAddress => "signal: a vote by address",
            Attack::VoteByHash => "signal: a vote by a link's hash",
            Attack::VoteWithCopiedProof => "signal: a vote with a copied proof",
            Attack::VoteWithForgedProof => "signal: a vote with a forged proof",
            Attack::Reassign => "signal: reassign",
            Attack::Remind => "signal: remind",
            Attack::Withdraw => "signal: withdraw",
            Attack::Reset => "reset to before the links, or to before a vote",
            Attack::ActivityOfOtherType => "activity of a workflow of another type",
            Attack::ActivityOfOwnApproval => "activity of an approval of its own",
            Attack::ActivityOfReusedId => "activity under the ID of a closed approval",
            Attack::ActivityAlone => "activity without a workflow",
            Attack::TaskWithheld => "workflow task: withheld",
            Attack::TaskForgedPlan => "workflow task: a forged plan",
            Attack::TaskForgedOutcome => "workflow task: a forged outcome",
            Attack::TaskForgedResult => "workflow task: a forged result",
            Attack::TaskForgedActivity => "workflow task: a forged activity",
            Attack::TaskForgedContinuation => "workflow task: a forged state for the next run",
            Attack::RequestSwallowed => "activity task: a request that is not mailed",
            Attack::NoticeSwallowed => "activity task: a notice that is not mailed",
            Attack::WebhookSwallowed => {
                "activity task: a webhook that is not sent, with a forged answer"
            }
            Attack::QueryForged => "query: a forged state",
        }
    }
}

#[derive(Default)]
struct Entries {
    /// How often each attack was tried, and took effect.
    attacks: BTreeMap<Attack, (usize, usize)>,
    acts: HashMap<String, Vec<OperatorAct>>,
    made_up: HashMap<String, Vec<OperatorAct>>,
    hurried: HashSet<String>,
    runs: HashMap<String, Vec<String>>,
    approvals: Vec<Approval>,
    marks: usize,
}

/// What the adversary did.
#[derive(Default)]
pub(crate) struct Account(Mutex<Entries>);

impl Account {
    /// Counts an attack, and whether the server or the product went along with it.
    pub(super) fn count(&self, attack: Attack, took_effect: bool) {
        let mut entries = self.0.lock();
        let (tried, effective) = entries.attacks.entry(attack).or_default();
        *tried += 1;
        *effective += usize::from(took_effect);
    }

    /// Enters what it does as an operator, before it does it.
    pub(super) fn enter(&self, workflow: &str, act: OperatorAct) {
        self.0.lock().acts.entry(workflow.to_owned()).or_default().push(act);
    }

    /// Enters what it claims in a workflow's state that an operator has done.
    pub(super) fn make_up(&self, workflow: &str, act: OperatorAct) {
        self.0.lock().made_up.entry(workflow.to_owned()).or_default().push(act);
    }

    /// Enters that it claims in a workflow's state that a deadline has passed.
    pub(super) fn hurry(&self, workflow: &str) {
        self.0.lock().hurried.insert(workflow.to_owned());
    }

    /// Enters a run that it has made by a reset.
    pub(super) fn note_run(&self, workflow: &str, run: String) {
        self.0.lock().runs.entry(workflow.to_owned()).or_default().push(run);
    }

    /// Enters an approval that it has started.
    pub(super) fn own(&self, approval: Approval) {
        self.0.lock().approvals.push(approval);
    }

    /// A mark that no other forgery has.
    pub(super) fn mark(&self) -> String {
        let mut entries = self.0.lock();
        entries.marks += 1;
        format!("{MARK}{}", entries.marks)
    }

    /// The runs of a workflow that it has made by resets.
    pub(crate) fn runs(&self, workflow: &str) -> Vec<String> {
        self.0.lock().runs.get(workflow).cloned().unwrap_or_default()
    }

    /// The approvals that it has started.
    pub(crate) fn approvals(&self) -> Vec<Approval> {
        self.0.lock().approvals.clone()
    }

    /// What it did as an operator, by workflow ID.
    pub(crate) fn acts(&self) -> HashMap<String, Vec<OperatorAct>> {
        self.0.lock().acts.clone()
    }

    /// What it claimed in states that operators have done, by workflow ID.
    pub(crate) fn made_up(&self) -> HashMap<String, Vec<OperatorAct>> {
        self.0.lock().made_up.clone()
    }

    /// The workflows in whose states it claimed that a deadline has passed.
    pub(crate) fn hurried(&self) -> HashSet<String> {
        self.0.lock().hurried.clone()
    }

    /// What a run should have had and has not: a full one each attack, with effect unless our workers refuse
    /// it. A short one has some of each way, but perhaps no query: most go to workers that have the run cached.
    pub(crate) fn missing(&self, is_full: bool) -> Vec<&'static str> {
        let attacks = self.attacks();
        let was_had = |attack: &Attack| {
            let (tried, effective) = attacks.get(attack).copied().unwrap_or_default();
            if attack.is_refused_by_workers() { tried > 0 } else { effective > 0 }
        };
        if is_full {
            let missing = Attack::ALL.into_iter().filter(|attack| !was_had(attack));
            return missing.map(Attack::name).collect();
        }
        let had = Attack::ALL.into_iter().filter(was_had);
        let had: BTreeSet<&str> = had.chain([Attack::QueryForged]).map(Attack::way).collect();
        let all: BTreeSet<&'static str> = Attack::ALL.into_iter().map(Attack::way).collect();
        all.into_iter().filter(|way| !had.contains(way)).collect()
    }

    /// Each attack, how often it was tried, and how often it took effect.
    pub(crate) fn attacks(&self) -> BTreeMap<Attack, (usize, usize)> {
        self.0.lock().attacks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_an_attack_is_missing_says_so() {
        let account = Account::default();
        let ways = ["activity", "activity task", "reset", "signal", "start", "workflow task"];
        assert_eq!(account.missing(false), ways);
        assert_eq!(account.missing(true), Attack::ALL.map(Attack::name));
        for attack in Attack::ALL {
            account.count(attack, false);
        }
        assert_eq!(account.missing(false), ways[1..], "none has taken effect");
        assert_eq!(account.missing(true).len(), 25);
        for attack in Attack::ALL {
            account.count(attack, attack != Attack::Withdraw);
        }
        assert_eq!(account.missing(false), Vec::<&str>::new());
        assert_eq!(account.missing(true), [Attack::Withdraw.name()]);
    }
}
