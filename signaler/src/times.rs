//! Which parts of a page's text are times, for `<time>`. Pure.

use std::collections::BTreeMap;

use countersign_protos::text;
use jiff::tz::TimeZone;

use crate::wording::Case;

/// Part of a text: a time, or what is between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// To the minute, in UTC; empty if the text is no time.
    pub(crate) datetime: String,
}

/// The times that an approval's page may show, as they are shown, each with what `<time datetime>` says.
pub(crate) struct Times(BTreeMap<String, String>);

impl Times {
    pub(crate) fn of(case: Case<'_>) -> Self {
        let state = case.state;
        let stages = state.stages.iter().flat_map(|stage| {
            let votes = stage.reviewers.iter().filter_map(|reviewer| reviewer.vote.as_ref());
            let decided = votes.filter_map(|vote| vote.decided_at.as_ref());
            decided.chain(&stage.deadline)
        });
        let submitted = state.submission.iter().filter_map(|it| it.submitted_at.as_ref());
        let request = state.change_request.as_ref();
        let requested = request.and_then(|it| it.vote.as_ref()?.decided_at.as_ref());
        let until = request.and_then(|it| it.deadline.as_ref());
        let revised = state.earlier_versions.iter().filter_map(|it| it.revised_at.as_ref());
        let all = stages.chain(submitted).chain(&state.decided_at).chain(&state.times_out_at);
        let all = all.chain(requested).chain(until).chain(revised);
        let shown = all.filter_map(|time| {
            let utc = text::timestamp(time)?.to_zoned(TimeZone::UTC);
            let datetime = utc.strftime("%Y-%m-%dT%H:%MZ").to_string();
            Some((case.moment(Some(time)), datetime))
        });
        Self(shown.collect())
    }

    /// Takes a text apart at its times.
    pub(crate) fn mark(&self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut push = |text: &str, datetime: &str| {
            if !text.is_empty() {
                pieces.push(Piece { text: text.to_owned(), datetime: datetime.to_owned() });
            }
        };
        let mut rest = text;
        while let Some((at, shown, datetime)) = self.first_in(rest) {
            push(&rest[..at], "");
            push(shown, datetime);
            rest = &rest[at + shown.len()..];
        }
        push(rest, "");
        pieces
    }

    fn first_in(&self, text: &str) -> Option<(usize, &str, &str)> {
        let found = self.0.iter().filter_map(|(shown, datetime)| {
            Some((text.find(shown.as_str())?, shown.as_str(), datetime.as_str()))
        });
        found.min()
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{
        ApprovalId,
        v1::{ApprovalState, StageState},
    };

    use super::*;
    use crate::answer::Answer;

    #[test]
    fn times_in_a_text_are_found_and_all_else_stays() {
        let at = |seconds| Some(pbjson_types::Timestamp { seconds, nanos: 0 });
        let state = ApprovalState {
            time_zone: "America/Los_Angeles".into(),
            // Tuesday, 01:00 UTC.
            decided_at: at(1_796_086_800),
            stages: vec![StageState { deadline: at(1_796_086_860), ..StageState::default() }],
            ..ApprovalState::default()
        };
        let id: ApprovalId = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse().expect("an approval ID");
        let link = id.hash();
        let (answer, changes, pressed, act) = (Answer::Decided, &[][..], None, None);
        let times = Times::of(Case { answer, state: &state, link: &link, changes, pressed, act });
        let text = "It ended on Mon 30 Nov 2026, 17:00 PST. Until Mon 30 Nov 2026, 17:01 PST, <b>";
        let pieces = times.mark(text);
        let parts: Vec<_> = pieces.iter().map(|one| (&*one.text, &*one.datetime)).collect();
        assert_eq!(
            parts,
            [
                ("It ended on ", ""),
                ("Mon 30 Nov 2026, 17:00 PST", "2026-12-01T01:00Z"),
                (". Until ", ""),
                ("Mon 30 Nov 2026, 17:01 PST", "2026-12-01T01:01Z"),
                (", <b>", ""),
            ]
        );
        assert_eq!(times.mark(""), []);
    }
}
