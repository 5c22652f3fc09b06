//! Who is asked when somebody is away.

use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};

use crate::approval::{EmailAddress, Quorum};

/// A reviewer's days away, and their deputy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    pub reviewer: EmailAddress,
    /// Without one, the others are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deputy: Option<EmailAddress>,
    /// Their first day away.
    pub from: Date,
    /// Their last day away, inclusive.
    pub to: Date,
}

/// Somebody who is asked: a reviewer, or the deputy of one who is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitee {
    /// The reviewer or the deputy.
    pub reviewer: EmailAddress,
    /// The absent reviewer, for a deputy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    /// Why a reviewer who is away is asked all the same.
    #[serde(
        rename = "although",
        skip_serializing_if = "Option::is_none",
        serialize_with = "in_words"
    )]
    pub kept: Option<Kept>,
}

fn in_words<S: Serializer>(kept: &Option<Kept>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&kept.as_ref().map(Kept::to_string))
}

impl From<EmailAddress> for Invitee {
    fn from(reviewer: EmailAddress) -> Self {
        Self { reviewer, on_behalf_of: None, kept: None }
    }
}

/// Why a reviewer is asked although away. Some have the deputy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    #[error("{0}, who would stand in, is the submitter")]
    Submitter(EmailAddress),
    /// The deputy has a place already, and nobody has two votes.
    #[error("{0}, who would stand in, is asked already")]
    AskedAlready(EmailAddress),
    /// Deputies stand in for each other, and all of them are away.
    #[error("all who would stand in are away too")]
    AllAway,
    /// Nobody stands in, and without them too few would be asked.
    #[error("nobody stands in, and too few others are left")]
    TooFewLeft,
}

/// Who is asked on that date: one invitee for each reviewer, without the submitter and those who are
/// `asked` already.
///
/// A reviewer who is away is replaced by their deputy, a deputy who is away by theirs. A reviewer whom nobody
/// replaces is left out if the others are enough for the quorum. Else they are asked all the same, as is a
/// reviewer whose deputy cannot be asked: their place is not lost, so the quorum stays in reach.
pub fn invitees(
    reviewers: &[EmailAddress],
    asked: &[EmailAddress],
    absences: &[Absence],
    on: Date,
    submitter: &EmailAddress,
    quorum: Quorum,
) -> Vec<Invitee> {
    let mut listed: Vec<&EmailAddress> = Vec::new();
    for reviewer in reviewers {
        if reviewer != submitter && !asked.contains(reviewer) && !listed.contains(&reviewer) {
            listed.push(reviewer);
        }
    }
    let away = unrepresented(listed.iter().copied(), absences, on);
    if quorum.is_in_reach(listed.len() - away.len()) {
        listed.retain(|reviewer| !away.contains(reviewer));
    }
    let mut taken: Vec<EmailAddress> =
        asked.iter().chain(listed.iter().copied()).cloned().collect();
    let invitee = |reviewer: &EmailAddress| {
        let mut invitee = Invitee::from(reviewer.clone());
        match deputy(reviewer, absences, on) {
            Deputy::NotNeeded => {}
            Deputy::AllAway => invitee.kept = Some(Kept::AllAway),
            Deputy::Nobody => invitee.kept = Some(Kept::TooFewLeft),
            Deputy::Is(deputy) if deputy == submitter => {
                invitee.kept = Some(Kept::Submitter(deputy.clone()));
            }
            Deputy::Is(deputy) if taken.contains(deputy) => {
                invitee.kept = Some(Kept::AskedAlready(deputy.clone()));
            }
            Deputy::Is(deputy) => {
                taken.push(deputy.clone());
                invitee.on_behalf_of = Some(invitee.reviewer);
                invitee.reviewer = deputy.clone();
            }
        }
        invitee
    };
    listed.into_iter().map(invitee).collect()
}

/// Who stands in for a reviewer.
enum Deputy<'a> {
    /// The reviewer is there.
    NotNeeded,
    Is(&'a EmailAddress),
    /// They, or their deputy who is away too, have none.
    Nobody,
    /// The deputies form a cycle.
    AllAway,
}

fn deputy<'a>(reviewer: &EmailAddress, absences: &'a [Absence], on: Date) -> Deputy<'a> {
    let away = |who: &EmailAddress| {
        absences
            .iter()
            .find(|absence| absence.reviewer == *who && (absence.from..=absence.to).contains(&on))
    };
    let Some(mut absence) = away(reviewer) else { return Deputy::NotNeeded };
    // Each step is another absence, unless they form a cycle.
    for _ in absences {
        let Some(deputy) = &absence.deputy else { return Deputy::Nobody };
        match away(deputy) {
            None => return Deputy::Is(deputy),
            Some(next) => absence = next,
        }
    }
    Deputy::AllAway
}

/// Those of these people who are away on that date, and in whose place nobody is.
pub(super) fn unrepresented<'a>(
    people: impl IntoIterator<Item = &'a EmailAddress>,
    absences: &[Absence],
    on: Date,
) -> Vec<&'a EmailAddress> {
    let is_away = |who: &&EmailAddress| matches!(deputy(who, absences, on), Deputy::Nobody);
    people.into_iter().filter(is_away).collect()
}

/// Why a stage or level that asks these people on that date has too few of them for its quorum.
pub(super) fn too_few_left(
    people: &[&EmailAddress],
    absences: &[Absence],
    on: Date,
    quorum: Quorum,
) -> Option<String> {
    let away = unrepresented(people.iter().copied(), absences, on);
    let left = people.len() - away.len();
    if away.is_empty() || quorum.is_in_reach(left) {
        return None;
    }
    let names: Vec<&str> = away.iter().map(|who| who.as_str()).collect();
    let be = |number: usize| if number == 1 { "is" } else { "are" };
    let left = match left {
        0 => "nobody is left".to_owned(),
        left => {
            let needed = quorum.approvals(left);
            format!("only {left} of the {needed} approvers needed {} left", be(left))
        }
    };
    let are = be(away.len());
    Some(format!("{left} on {on}: {} {are} away without a deputy", names.join(" and ")))
}

/// The absences that can matter to these reviewers: their own, their deputies', and so on.
pub fn concerning(reviewers: &[EmailAddress], absences: &[Absence], from: Date) -> Vec<Absence> {
    let people = with_deputies(reviewers, absences);
    let concerns = |absence: &&Absence| absence.to >= from && people.contains(&absence.reviewer);
    absences.iter().filter(concerns).cloned().collect()
}

/// The most bytes that these reviewers can take in a search attribute, whoever stands in. Each address
/// adds two quotes and a comma.
pub fn most_bytes<'a>(
    reviewers: impl IntoIterator<Item = &'a EmailAddress>,
    absences: &[Absence],
) -> usize {
    let longest = |reviewer: &EmailAddress| {
        let people = with_deputies(std::slice::from_ref(reviewer), absences);
        people.iter().map(|person| person.as_str().len() + 3).max().unwrap_or(0)
    };
    reviewers.into_iter().map(longest).sum()
}

/// These people, their deputies, and so on.
fn with_deputies(people: &[EmailAddress], absences: &[Absence]) -> Vec<EmailAddress> {
    let mut people = people.to_vec();
    let mut i = 0;
    while let Some(person) = people.get(i).cloned() {
        let own = absences.iter().filter(|absence| absence.reviewer == person);
        for deputy in own.filter_map(|absence| absence.deputy.as_ref()) {
            if !people.contains(deputy) {
                people.push(deputy.clone());
            }
        }
        i += 1;
    }
    people
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{address, addresses};

    fn date(day: &str) -> Date {
        format!("2026-12-{day}").parse().expect("a date")
    }

    fn away(reviewer: &str, deputy: &str, from: &str, to: &str) -> Absence {
        let (reviewer, deputy) = (address(reviewer), Some(address(deputy)));
        Absence { reviewer, deputy, from: date(from), to: date(to) }
    }

    fn alone(reviewer: &str, from: &str, to: &str) -> Absence {
        Absence { deputy: None, ..away(reviewer, reviewer, from, to) }
    }

    /// As `deputy for reviewer`.
    fn asked(reviewers: &[&str], before: &[&str], absences: &[Absence], on: &str) -> Vec<String> {
        asked_by(Quorum::Any, reviewers, before, absences, on)
    }

    fn asked_by(
        quorum: Quorum,
        reviewers: &[&str],
        before: &[&str],
        absences: &[Absence],
        on: &str,
    ) -> Vec<String> {
        let (reviewers, before) = (addresses(reviewers), addresses(before));
        let name = |who: &EmailAddress| who.as_str().trim_end_matches("@example.com").to_owned();
        invitees(&reviewers, &before, absences, date(on), &address("sue"), quorum)
            .iter()
            .map(|invitee| match &invitee.on_behalf_of {
                Some(absent) => format!("{} for {}", name(&invitee.reviewer), name(absent)),
                None => name(&invitee.reviewer),
            })
            .collect()
    }

    #[test]
    fn a_deputy_is_asked_from_the_first_day_to_the_last() {
        let absences = [away("ann", "bob", "07", "11")];
        for (on, who) in
            [("06", "ann"), ("07", "bob for ann"), ("11", "bob for ann"), ("12", "ann")]
        {
            assert_eq!(asked(&["ann"], &[], &absences, on), [who], "{on}");
        }
    }

    #[test]
    fn a_deputy_who_is_away_is_represented_too() {
        let absences = [away("ann", "bob", "07", "11"), away("bob", "cy", "10", "20")];
        assert_eq!(asked(&["ann"], &[], &absences, "09"), ["bob for ann"]);
        assert_eq!(asked(&["ann"], &[], &absences, "10"), ["cy for ann"]);
    }

    #[test]
    fn deputies_in_a_circle_leave_the_reviewers_in_their_places() {
        let absences = [away("ann", "bob", "07", "11"), away("bob", "ann", "07", "11")];
        assert_eq!(asked(&["ann", "bob"], &[], &absences, "08"), ["ann", "bob"]);
        let own = [away("ann", "ann", "07", "11")];
        assert_eq!(asked(&["ann"], &[], &own, "08"), ["ann"]);
    }

    #[test]
    fn the_submitter_stands_in_for_nobody() {
        let absences = [away("ann", "sue", "07", "11")];
        assert_eq!(asked(&["ann", "sue"], &[], &absences, "08"), ["ann"]);
        let (ann, sue) = (addresses(&["ann"]), address("sue"));
        let invitees = invitees(&ann, &[], &absences, date("08"), &sue, Quorum::Any);
        let kept = invitees[0].kept.as_ref().map(Kept::to_string);
        assert_eq!(kept.as_deref(), Some("sue@example.com, who would stand in, is the submitter"));
    }

    #[test]
    fn nobody_gets_two_places_and_no_place_is_lost() {
        let absences = [away("ann", "cy", "07", "11"), away("bob", "cy", "07", "11")];
        assert_eq!(asked(&["ann", "bob"], &[], &absences, "08"), ["cy for ann", "bob"]);
        assert_eq!(asked(&["ann", "cy"], &[], &absences, "08"), ["ann", "cy"]);
        assert_eq!(asked(&["ann"], &["cy"], &absences, "08"), ["ann"]);
        assert_eq!(asked(&["ann", "dee"], &["dee"], &absences, "12"), ["ann"]);
    }

    #[test]
    fn without_a_deputy_the_others_of_the_group_are_asked() {
        let absences = [alone("ann", "07", "11"), away("bob", "ann", "10", "11")];
        assert_eq!(asked(&["ann", "cy", "dee"], &[], &absences, "08"), ["cy", "dee"]);
        assert_eq!(asked(&["ann", "cy", "dee"], &[], &absences, "12"), ["ann", "cy", "dee"]);
        let all = asked_by(Quorum::All, &["ann", "cy", "dee"], &[], &absences, "08");
        assert_eq!(all, ["cy", "dee"], "all others");
        // Nor is anybody there for Bob, whose deputy is away without one.
        assert_eq!(asked(&["bob", "cy"], &[], &absences, "10"), ["cy"]);
    }

    #[test]
    fn where_too_few_are_left_those_who_are_away_are_asked_all_the_same() {
        let absences = [alone("ann", "07", "11"), alone("bob", "07", "11")];
        assert_eq!(asked(&["ann", "bob"], &[], &absences, "08"), ["ann", "bob"]);
        assert_eq!(asked(&["ann", "cy"], &["cy"], &absences, "08"), ["ann"]);
        let two = Quorum::at_least(2).expect("positive");
        let of_two = asked_by(two, &["ann", "cy"], &[], &absences, "08");
        assert_eq!(of_two, ["ann", "cy"], "two are needed");
        assert_eq!(asked_by(two, &["ann", "cy", "dee"], &[], &absences, "08"), ["cy", "dee"]);
        let (ann, sue) = (addresses(&["ann"]), address("sue"));
        let kept = invitees(&ann, &[], &absences, date("08"), &sue, Quorum::Any).remove(0).kept;
        assert_eq!(kept, Some(Kept::TooFewLeft));
    }

    #[test]
    fn it_is_said_who_is_away_where_too_few_are_left() {
        let absences = [alone("ann", "07", "11"), alone("bob", "10", "11")];
        let people = addresses(&["ann", "bob", "cy"]);
        let why = |people: &[EmailAddress], on: &str, quorum: Quorum| {
            let people: Vec<&EmailAddress> = people.iter().collect();
            too_few_left(&people, &absences, date(on), quorum)
        };
        let two = Quorum::at_least(2).expect("positive");
        assert_eq!(why(&people, "11", Quorum::All), None, "Cy is left");
        assert_eq!(why(&people, "08", two), None);
        let said = "only 1 of the 2 approvers needed is left on 2026-12-11: ann@example.com and \
                    bob@example.com are away without a deputy";
        assert_eq!(why(&people, "11", two).as_deref(), Some(said));
        let said = "nobody is left on 2026-12-07: ann@example.com is away without a deputy";
        assert_eq!(why(&people[..1], "07", Quorum::Any).as_deref(), Some(said));
    }

    #[test]
    fn only_absences_that_can_matter_are_recorded() {
        let absences = [
            away("ann", "bob", "07", "11"),
            away("bob", "cy", "10", "20"),
            away("dee", "ann", "07", "11"),
            alone("cy", "12", "12"),
            away("ann", "dee", "01", "02"),
        ];
        assert_eq!(concerning(&addresses(&["ann"]), &absences, date("05")), absences[..4]);
    }

    proptest! {
        #[test]
        fn whatever_the_absences_each_place_is_one_persons_and_never_the_submitters(
            reviewers in proptest::collection::vec(0..8_usize, 0..6),
            before in proptest::collection::vec(0..8_usize, 0..3),
            absences in proptest::collection::vec(
                (0..8_usize, proptest::option::of(0..8_usize), 1..15_i8, 1..15_i8), 0..12
            ),
            on in 1..15_i8,
            needed in 0..4_usize,
        ) {
            let person = |i: usize| address(["sue", "a", "b", "c", "d", "e", "f", "g"][i]);
            let people = |numbers: Vec<usize>| numbers.into_iter().map(person).collect::<Vec<_>>();
            let (reviewers, before) = (people(reviewers), people(before));
            let absences: Vec<Absence> = absences
                .into_iter()
                .map(|(reviewer, deputy, from, to)| Absence {
                    reviewer: person(reviewer),
                    deputy: deputy.map(person),
                    from: jiff::civil::date(2026, 12, from),
                    to: jiff::civil::date(2026, 12, to),
                })
                .collect();
            let on = jiff::civil::date(2026, 12, on);
            let submitter = address("sue");
            let quorum = Quorum::at_least(needed).unwrap_or(Quorum::All);
            let invited = invitees(&reviewers, &before, &absences, on, &submitter, quorum);
            let mut places = before.clone();
            for invitee in &invited {
                prop_assert!(invitee.reviewer != submitter);
                prop_assert!(!places.contains(&invitee.reviewer), "{invitee:?} twice");
                places.push(invitee.reviewer.clone());
            }
            let mut expected: Vec<_> =
                reviewers.iter().filter(|r| **r != submitter && !before.contains(r)).collect();
            expected.sort();
            expected.dedup();
            let left_out = unrepresented(expected.iter().copied(), &absences, on);
            match invited.len() == expected.len() {
                true => prop_assert!(left_out.is_empty() || !quorum.is_in_reach(expected.len() - left_out.len())),
                false => prop_assert!(quorum.is_in_reach(invited.len())),
            }
            // Recording only what concerns the reviewers changes nothing.
            let recorded = concerning(&reviewers, &absences, on);
            prop_assert_eq!(invitees(&reviewers, &before, &recorded, on, &submitter, quorum), invited);
        }
    }
}
