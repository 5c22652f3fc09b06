//! Whom mails to a topic reach, as far as its subscriptions say it.

use std::{
    collections::HashSet,
    error::Error,
    time::{Duration, Instant},
};

use aws_sdk_sns::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use tokio::sync::Mutex;

use super::{TopicArn, answers};
use crate::approval::EmailAddress;

/// How long a list is used. Filter policies take as long to change.
const FRESH: Duration = Duration::from_mins(15);
/// Nobody goes without a mail because of an older list, since they may just have confirmed.
const RECENT: Duration = Duration::from_mins(1);

/// A topic's subscriptions, listed when a mail needs them.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<Known>);

#[derive(Default)]
struct Known {
    listed: Option<Listed>,
    /// The latest call that failed, which takes nothing away from the list.
    failed: Option<(Instant, NotListed)>,
}

struct Listed {
    at: Instant,
    reach: Reach,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The topic has e-mail subscriptions alone, and these addresses have confirmed one. As mail is sent to them:
    /// a subscription's filter knows no other spelling.
    Confirmed(HashSet<String>),
    /// It has others too, or nobody may list them.
    Unknown,
}

/// Why the subscriptions were not listed.
#[derive(Debug, Clone)]
pub(super) struct NotListed {
    /// Whether a permission is missing.
    pub(super) is_denied: bool,
    /// Whether other credentials might be accepted.
    pub(super) doubts_credentials: bool,
    /// The cause, as operators read it.
    pub(super) why: String,
}

impl Subscriptions {
    /// Whether a mail to this address may arrive. Without the right to list subscriptions, any may.
    ///
    /// # Errors
    /// If they cannot be listed now: the mail is to wait.
    pub(super) async fn may_reach(
        &self,
        client: &Client,
        topic: &TopicArn,
        address: &EmailAddress,
    ) -> Result<bool, NotListed> {
        let asked = Instant::now();
        let mut known = self.0.lock().await;
        let Known { listed, failed } = &mut *known;
        let listing = listed.as_ref();
        if let Some(may) = listing.and_then(|listed| listed.may_reach(address, Instant::now())) {
            return Ok(may);
        }
        // One call answers all that have waited for it.
        if let Some((_, why)) = failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(why.clone());
        }
        let reach = match list(client, topic).await {
            Ok(reach) => reach,
            Err(NotListed { is_denied: true, .. }) => Reach::Unknown,
            Err(why) => {
                *failed = Some((Instant::now(), why.clone()));
                return Err(why);
            }
        };
        Ok(listed.insert(Listed { at: Instant::now(), reach }).reach.includes(address))
    }
}

impl Listed {
    /// `None` if the list is too old to say it.
    fn may_reach(&self, address: &EmailAddress, now: Instant) -> Option<bool> {
        let includes = self.reach.includes(address);
        let lasts = if includes { FRESH } else { RECENT };
        (now.duration_since(self.at) < lasts).then_some(includes)
    }
}

impl Reach {
    fn includes(&self, address: &EmailAddress) -> bool {
        match self {
            Reach::Confirmed(addresses) => addresses.contains(address.as_str()),
            Reach::Unknown => true,
        }
    }
}

/// How many of a topic's subscriptions are confirmed, of any kind, and how many are not yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) confirmed: usize,
    pub(super) pending: usize,
}

/// Counts the first thousand subscriptions.
pub(super) async fn count(client: &Client, topic: &TopicArn) -> Result<Count, NotListed> {
    const PAGES: usize = 10;
    let asked = client.list_subscriptions_by_topic().topic_arn(topic.as_str());
    let (mut pages, mut count) = (asked.into_paginator().send(), Count::default());
    for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        for subscription in page.map_err(not_listed)?.subscriptions() {
            match subscription.subscription_arn() {
                Some("PendingConfirmation") => count.pending += 1,
                Some(arn) if arn.starts_with("arn:") => count.confirmed += 1,
                _ => {}
            }
        }
    }
    Ok(count)
}

fn not_listed<E>(error: SdkError<E, HttpResponse>) -> NotListed
where
    E: Error + ProvideErrorMetadata + 'static,
{
    NotListed {
        is_denied: answers::denies(&error),
        doubts_credentials: answers::doubts_credentials(&error),
        why: format!("Amazon SNS: {}", answers::explain(&error)),
    }
}

/// Reads a topic's subscriptions; each call has a hundred of them.
pub(super) async fn list(client: &Client, topic: &TopicArn) -> Result<Reach, NotListed> {
    let asked = client.list_subscriptions_by_topic().topic_arn(topic.as_str());
    let mut pages = asked.into_paginator().send();
    let mut confirmed = HashSet::new();
    while let Some(page) = pages.next().await {
        for subscription in page.map_err(not_listed)?.subscriptions() {
            // Otherwise `PendingConfirmation` or `Deleted`.
            let arn = subscription.subscription_arn().unwrap_or_default();
            let is_mail = matches!(subscription.protocol(), Some("email" | "email-json"));
            if is_mail && arn.starts_with("arn:") {
                let endpoint = subscription.endpoint().unwrap_or_default();
                let address = endpoint.parse::<EmailAddress>();
                confirmed.extend(address.map(|address| address.as_str().to_owned()));
            } else if !is_mail && arn != "Deleted" {
                return Ok(Reach::Unknown);
            }
        }
    }
    Ok(Reach::Confirmed(confirmed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_for_fifteen_minutes_who_is_subscribed_and_for_one_who_is_not() {
        let confirmed = HashSet::from(["ann@example.com".to_owned()]);
        let now = Instant::now();
        let address = |text: &str| text.parse::<EmailAddress>().expect("an address");
        let (ann, bob) = (address("ann@example.com"), address("bob@example.com"));
        let after = |minutes: u64| now + Duration::from_mins(minutes) - Duration::from_secs(1);
        let list = Listed { at: now, reach: Reach::Confirmed(confirmed) };
        assert_eq!(list.may_reach(&ann, after(15)), Some(true));
        assert_eq!(list.may_reach(&ann, after(16)), None);
        assert_eq!(list.may_reach(&bob, after(1)), Some(false));
        assert_eq!(list.may_reach(&bob, after(2)), None, "they may have confirmed it by now");
        let denied = Listed { at: now, reach: Reach::Unknown };
        assert_eq!(denied.may_reach(&bob, after(15)), Some(true));
    }
}
