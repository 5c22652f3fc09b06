//! What is held in every state.

use super::*;

impl World {
    /// What was mailed with this link.
    fn mailed(&self, hash: &str) -> Vec<&Mailed> {
        self.mailed.iter().filter(|mailed| mailed.link.hash().as_str() == hash).collect()
    }

    /// Each vote is for the latest version, by somebody who was asked for that one.
    pub(super) fn check_votes(&self) {
        let Version { plan, approval } = self.current();
        for (seat, vote) in approval.stages().iter().flat_map(Stage::votes) {
            let mailed = self.mailed(&seat.link);
            assert!(!mailed.is_empty(), "{seat:?}");
            for one in mailed {
                assert_eq!(one.digest, plan.digest, "what they saw is not what is decided");
                assert!(!one.is_submitters);
            }
            let asked = &plan.submission.fields;
            let given = answers::by_name(&vote.answers);
            assert!(answers::check(asked, vote.verdict, &given).is_ok(), "{vote:?}");
            let is_silent = vote.comment.is_empty();
            assert!(vote.verdict != Verdict::RequestChanges || !is_silent, "they say what");
        }
    }

    pub(super) fn check_people(&self) {
        let submitter = &self.current().plan.submitter;
        for stage in self.current().approval.stages() {
            let active = stage
                .seats()
                .iter()
                .filter(|seat| seat.vote.is_some() || seat.status != SeatStatus::Superseded);
            let people: Vec<&EmailAddress> = active.flat_map(Seat::people).collect();
            assert!(!people.contains(&submitter), "the submitter decides");
            let each: BTreeSet<_> = people.iter().collect();
            assert_eq!(each.len(), people.len(), "somebody twice");
        }
        if self.current().plan.restrictions.different_people {
            let votes = self.current().approval.stages().iter().flat_map(Stage::votes);
            let people: Vec<&EmailAddress> = votes.flat_map(|(seat, _)| seat.people()).collect();
            let each: BTreeSet<_> = people.iter().collect();
            assert_eq!(each.len(), people.len(), "one person decides two stages");
        }
    }

    pub(super) fn check_versions(&self) {
        let digests: BTreeSet<&str> =
            self.versions.iter().map(|version| version.plan.digest.as_str()).collect();
        assert_eq!(digests.len(), self.versions.len());
        assert!(self.versions.len() <= 1 + MAX_REVISIONS as usize);
        for (before, version) in self.versions.iter().enumerate() {
            assert_eq!(version.plan.version() as usize, before + 1);
            let recorded = version.plan.earlier.iter().map(|earlier| &earlier.digest);
            let earlier = self.versions[..before].iter().map(|earlier| &earlier.plan.digest);
            assert!(recorded.eq(earlier), "the history stands in the plan");
        }
    }

    /// What is recorded proves what is so.
    pub(super) fn check_recomputed(&self) {
        let Version { plan, approval } = self.current();
        let leaves = Leaves { chain: CHAIN, plan, key: &self.key };
        let again = leaves.recompute(start(), approval.journal().to_vec());
        assert_eq!(again.as_ref(), Ok(approval));
    }
}
