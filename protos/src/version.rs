//! Versions of a submission. They count from 1, which is what was submitted; each revision makes the next one.
//!
//! The first one is absent in messages, whose fields are then 0: [`version_field`] writes them, and [`version_of`] reads
//! them, as `version()` of a message does.

use crate::v1;

/// What was submitted.
pub const FIRST_VERSION: u32 = 1;

/// How often a submission can be revised.
pub const MAX_REVISIONS: u32 = 5;

/// The version that follows these, all that were before.
pub fn version_after<T>(earlier: &[T]) -> u32 {
    FIRST_VERSION + earlier.len() as u32
}

/// Whether another version can follow this one.
pub fn can_be_revised(version: u32) -> bool {
    version < FIRST_VERSION + MAX_REVISIONS
}

/// The version that a message's field has.
pub fn version_of(field: u32) -> u32 {
    field.max(FIRST_VERSION)
}

/// What a message's field has for a version.
pub fn version_field(version: u32) -> u32 {
    if version == FIRST_VERSION { 0 } else { version }
}

/// Whether a decision with this field is for the version that is asked about. A link is of one version alone. By an
/// address, any but the first one has to be named: whoever decides may have seen another one.
pub fn is_for_version(field: u32, by_link: bool, asked: u32) -> bool {
    by_link && field == 0 || version_of(field) == asked
}

impl v1::Decision {
    /// See [`is_for_version`].
    pub fn is_for(&self, version: u32) -> bool {
        is_for_version(self.version, !self.link.trim().is_empty(), version)
    }
}

impl v1::ApprovalState {
    /// The version that is asked about.
    pub fn version(&self) -> u32 {
        version_of(self.version)
    }
}

impl v1::Outcome {
    /// The version that was decided.
    pub fn version(&self) -> u32 {
        version_of(self.version)
    }
}

impl v1::EarlierVersion {
    /// Which one it is.
    pub fn version(&self) -> u32 {
        version_of(self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_is_absent_in_messages_and_a_message_may_name_it() {
        for (version, field) in [(1, 0), (2, 2), (6, 6)] {
            assert_eq!((version_field(version), version_of(field)), (field, version));
        }
        let named = v1::Outcome { version: 1, ..<_>::default() };
        assert_eq!((named.version(), v1::Outcome::default().version()), (1, 1));
    }

    #[test]
    fn five_revisions_lead_to_version_6() {
        let mut versions = vec![FIRST_VERSION];
        while can_be_revised(version_after(&versions) - 1) {
            versions.push(version_after(&versions));
        }
        assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn an_address_decides_the_version_that_is_named_and_without_one_only_the_first() {
        for (named, by_link, asked, expected) in [
            (0, false, 1, true),
            (0, false, 2, false),
            (0, true, 2, true),
            (1, false, 1, true),
            (1, false, 2, false),
            (2, false, 1, false),
            (2, false, 2, true),
            (2, true, 3, false),
        ] {
            let link = String::from(if by_link { " hash" } else { " " });
            let decision = v1::Decision { link, version: named, ..<_>::default() };
            assert_eq!(decision.is_for(asked), expected, "{decision:?} for {asked}");
        }
    }
}
