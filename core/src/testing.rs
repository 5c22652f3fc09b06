//! What unit tests share.

use crate::approval::EmailAddress;

/// `ann` for `ann@example.com`.
pub(crate) fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

pub(crate) fn addresses(names: &[&str]) -> Vec<EmailAddress> {
    names.iter().map(|name| address(name)).collect()
}
