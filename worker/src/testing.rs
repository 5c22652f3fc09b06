//! What unit tests share.

use countersign_protos::{Chain, LinkKeys};

use crate::{
    approval::{EmailAddress, Invited, Whom},
    policy::{Plan, schedule},
    recorded::{Issue, Issued, Sealed},
};

/// `ann` for `ann@example.com`.
pub(crate) fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

/// Not those of any approval.
pub(crate) fn keys() -> LinkKeys {
    countersign_protos::TEST_KEYS[0].parse().expect("a key")
}

/// As `validate_submission` records it.
pub(crate) fn sealed(plan: &Plan, chain: Chain<'_>) -> Sealed<Plan> {
    Sealed::new(plan, chain, keys().first()).expect("JSON")
}

/// What `issue_links` returns where nobody is away.
pub(crate) fn issued(issue: &Issue, links: &[&str]) -> Issued {
    let plan = issue.plan.unverified().expect("a plan");
    let calendar = plan.calendar.clone().unwrap_or_default();
    let (reviewers, time) = match &issue.to_ask.whom {
        Whom::Replacement(_, to) | Whom::Reissue { reviewer: to, .. } => {
            (std::slice::from_ref(to), None)
        }
        Whom::Level(level) => {
            let stage = &plan.stages[issue.to_ask.stage];
            let (reviewers, time) = stage.level(*level).expect("a level");
            (reviewers, Some(time))
        }
    };
    let invite = |(reviewer, link): (&EmailAddress, &&str)| {
        Invited::new(reviewer.clone(), (*link).to_owned())
    };
    Issued {
        opened_at: issue.opened_at,
        invited: reviewers.iter().zip(links).map(invite).collect(),
        due: time.map(|time| schedule(time, &calendar, issue.opened_at)),
    }
}
