//! What is said to be possible, against what has an effect.

use std::collections::BTreeMap;

use super::*;

impl World {
    /// What is said to be possible is what has an effect.
    pub(super) fn check_possible(&self) {
        let Version { plan, approval } = self.current();
        let zed: EmailAddress = "zed@example.com".parse().expect("an address");
        let is_leaving = |hash: &str| approval.is_about_to_supersede(&Claim::Link(hash.to_owned()));
        let own = self.mailed.iter().filter(|one| one.digest == plan.digest && !one.is_submitters);
        let own = own.filter(|one| !is_leaving(one.link.hash().as_str()));
        let mut people: BTreeMap<&str, BTreeSet<EmailAddress>> = BTreeMap::new();
        for Mailed { link, .. } in own {
            let hash = || link.hash().as_str().to_owned();
            let seats = approval.stages().iter().flat_map(Stage::seats);
            let Some(seat) = seats.into_iter().find(|seat| seat.link == hash()) else { continue };
            for verdict in Verdict::ALL {
                let ballot = signed(link, (verdict, "because"), self.answers(), self.now);
                let receipt = approval.clone().vote(ballot, self.now);
                if receipt == Receipt::Counted {
                    people.entry(verdict.terms().name).or_default().insert(seat.reviewer.clone());
                }
            }
            let (to, reason, left_out) = (zed.clone(), "away".to_owned(), None);
            let statement = Statement::Delegate { to: to.as_str(), reason: &comment_hash(&reason) };
            let proof = link.prove(statement, self.now);
            let delegation = Delegation { link: hash(), to, reason, left_out, proof };
            if approval.clone().delegate(delegation, self.now).is_ok() {
                people.entry("delegate").or_default().insert(seat.reviewer.clone());
            }
        }
        let possible = approval.possible();
        for action in ["approve", "reject", "request_changes", "delegate"] {
            let said = possible.iter().find(|it| it.action == action);
            let said: Option<BTreeSet<EmailAddress>> =
                said.map(|it| it.people.iter().copied().cloned().collect());
            assert_eq!(
                said.unwrap_or_default(),
                people.remove(action).unwrap_or_default(),
                "{action}"
            );
        }
        let by_operator =
            |action: &str| possible.iter().any(|it| it.action == action && it.operator);
        let anybody = |can: &dyn Fn(EmailAddress) -> bool| (0..PEOPLE.len()).map(person).any(can);
        let decides = anybody(&|who| {
            let claim = Claim::Reviewer(who);
            let ballot = Ballot::new(claim.clone(), Verdict::Approve, "because".into());
            let (answers, version) = (self.answers(), plan.version());
            let ballot = Ballot { answers, version, ..ballot };
            !approval.is_about_to_supersede(&claim)
                && approval.clone().vote(ballot, self.now) == Receipt::Counted
        });
        let reassigns = anybody(&|who| {
            approval.clone().reassign(who, zed.clone(), "op".into(), self.now).is_ok()
        });
        let op = || Reviser::Operator("op".into());
        for (action, can) in [
            ("approve", decides),
            ("reassign", reassigns),
            ("reissue", approval.clone().reissue(None, "op".into(), self.now).is_ok()),
            ("withdraw", approval.clone().withdraw(String::new(), "op".into(), self.now).is_ok()),
            ("revise", approval.may_revise(&op(), &Submission::default()).is_ok()),
        ] {
            assert_eq!(by_operator(action), can, "{action} {approval:?}");
        }
    }
}
