//! Helpers for unit tests.

use crate::{
    approval::{EmailAddress, Invited},
    policy::schedule,
    recorded::{Issue, Issued},
};

/// `ann` for `ann@example.com`.
pub(crate) fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

/// What `issue_links` returns if nobody is away.
pub(crate) fn issued(issue: &Issue, links: &[&str]) -> Issued {
    let invite = |(reviewer, link): (&EmailAddress, &&str)| Invited {
        reviewer: reviewer.clone(),
        on_behalf_of: None,
        link: (*link).to_owned(),
    };
    let calendar = issue.calendar.clone().unwrap_or_default();
    Issued {
        invited: issue.reviewers.iter().zip(links).map(invite).collect(),
        due: issue.time.as_ref().map(|time| schedule(time, &calendar, issue.opened_at)),
    }
}
