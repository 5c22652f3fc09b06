//! Who is asked when somebody is away.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::approval::EmailAddress;

/// That somebody is away, and who is asked instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// Who is away.
    pub reviewer: EmailAddress,
    /// Who is asked instead.
    pub deputy: EmailAddress,
    /// The first day away.
    pub from: Date,
    /// The last day away.
    pub to: Date,
}

/// Somebody who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitee {
    /// Who.
    pub reviewer: EmailAddress,
    /// For whom, who is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
}

impl From<EmailAddress> for Invitee {
    fn from(reviewer: EmailAddress) -> Self {
        Self { reviewer, on_behalf_of: None }
    }
}

/// A reviewer's place in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who takes it.
    pub invitee: Invitee,
    /// Why a reviewer who is away is asked all the same.
    pub kept: Option<Kept>,
}

/// Why nobody stands in for a reviewer who is away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// The deputy submits.
    #[error("{0}, who would stand in, is the submitter")]
    Submitter(EmailAddress),
    /// The deputy has a place already, and nobody has two votes.
    #[error("{0}, who would stand in, is asked already")]
    AskedAlready(EmailAddress),
    /// Deputies stand in for each other, and all of them are away.
    #[error("all who would stand in are away too")]
    AllAway,
}

/// Who is asked on that date: one invitee for each reviewer but the submitter and those who are
/// `asked` already.
///
/// A reviewer who is away is replaced by their deputy, a deputy who is away by theirs. Who cannot be
/// replaced is asked all the same: their place is not lost, so that the quorum stays in reach.
pub fn stand_ins(
    reviewers: &[EmailAddress],
    asked: &[EmailAddress],
    absences: &[Absence],
    on: Date,
    submitter: &EmailAddress,
) -> Vec<Invitee> {
    places(reviewers, asked, absences, on, submitter)
        .into_iter()
        .map(|place| place.invitee)
        .collect()
}

/// As [`stand_ins`], with the reasons.
pub fn places(
    reviewers: &[EmailAddress],
    asked: &[EmailAddress],
    absences: &[Absence],
    on: Date,
    submitter: &EmailAddress,
) -> Vec<Place> {
    let mut listed: Vec<&EmailAddress> = Vec::new();
    for reviewer in reviewers {
        if reviewer != submitter && !asked.contains(reviewer) && !listed.contains(&reviewer) {
            listed.push(reviewer);
        }
    }
    let mut taken: Vec<EmailAddress> =
        asked.iter().chain(listed.iter().copied()).cloned().collect();
    let place = |reviewer: &EmailAddress| {
        let Some(deputy) = deputy(reviewer, absences, on) else {
            return Place { invitee: reviewer.clone().into(), kept: None };
        };
        let kept = match deputy {
            Some(deputy) if deputy == submitter => Kept::Submitter(deputy.clone()),
            Some(deputy) if taken.contains(deputy) => Kept::AskedAlready(deputy.clone()),
            None => Kept::AllAway,
            Some(deputy) => {
                taken.push(deputy.clone());
                let on_behalf_of = Some(reviewer.clone());
                return Place {
                    invitee: Invitee { reviewer: deputy.clone(), on_behalf_of },
                    kept: None,
                };
            }
        };
        Place { invitee: reviewer.clone().into(), kept: Some(kept) }
    };
    listed.into_iter().map(place).collect()
}

/// Who is there in place of somebody who is away; nobody where the deputies go round in a circle.
/// `None` for somebody who is there.
fn deputy<'a>(
    reviewer: &EmailAddress,
    absences: &'a [Absence],
    on: Date,
) -> Option<Option<&'a EmailAddress>> {
    let away = |who: &EmailAddress| {
        absences
            .iter()
            .find(|absence| absence.reviewer == *who && (absence.from..=absence.to).contains(&on))
    };
    let mut absence = away(reviewer)?;
    // Each step is another absence, unless it is a circle.
    for _ in absences {
        match away(&absence.deputy) {
            None => return Some(Some(&absence.deputy)),
            Some(next) => absence = next,
        }
    }
    Some(None)
}

/// The absences that can matter to these reviewers: their own, their deputies', and so on.
pub fn concerning(reviewers: &[EmailAddress], absences: &[Absence], from: Date) -> Vec<Absence> {
    let people = with_deputies(reviewers, absences);
    let concerns = |absence: &&Absence| absence.to >= from && people.contains(&absence.reviewer);
    absences.iter().filter(concerns).cloned().collect()
}

/// The bytes that these reviewers take in a search attribute at most, whoever stands in: each address
/// has two quotes and a comma.
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
        for absence in absences.iter().filter(|absence| absence.reviewer == person) {
            if !people.contains(&absence.deputy) {
                people.push(absence.deputy.clone());
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

    fn address(name: &str) -> EmailAddress {
        format!("{name}@example.com").parse().expect("an address")
    }

    fn addresses(names: &[&str]) -> Vec<EmailAddress> {
        names.iter().map(|name| address(name)).collect()
    }

    fn date(day: &str) -> Date {
        format!("2026-12-{day}").parse().expect("a date")
    }

    fn away(reviewer: &str, deputy: &str, from: &str, to: &str) -> Absence {
        let (reviewer, deputy) = (address(reviewer), address(deputy));
        Absence { reviewer, deputy, from: date(from), to: date(to) }
    }

    /// As `deputy for reviewer`.
    fn asked(reviewers: &[&str], before: &[&str], absences: &[Absence], on: &str) -> Vec<String> {
        let (reviewers, before) = (addresses(reviewers), addresses(before));
        let name = |who: &EmailAddress| who.as_str().trim_end_matches("@example.com").to_owned();
        stand_ins(&reviewers, &before, absences, date(on), &address("sue"))
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
        let places = places(&addresses(&["ann"]), &[], &absences, date("08"), &address("sue"));
        let kept = places[0].kept.as_ref().map(Kept::to_string);
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
    fn only_absences_that_can_matter_are_recorded() {
        let absences = [
            away("ann", "bob", "07", "11"),
            away("bob", "cy", "10", "20"),
            away("dee", "ann", "07", "11"),
            away("ann", "dee", "01", "02"),
        ];
        assert_eq!(concerning(&addresses(&["ann"]), &absences, date("05")), absences[..3]);
    }

    proptest! {
        #[test]
        fn whatever_the_absences_each_place_is_one_persons_and_never_the_submitters(
            reviewers in proptest::collection::vec(0..8_usize, 0..6),
            before in proptest::collection::vec(0..8_usize, 0..3),
            absences in proptest::collection::vec((0..8_usize, 0..8_usize, 1..15_i8, 1..15_i8), 0..12),
            on in 1..15_i8,
        ) {
            let person = |i: usize| address(["sue", "a", "b", "c", "d", "e", "f", "g"][i]);
            let people = |numbers: Vec<usize>| numbers.into_iter().map(person).collect::<Vec<_>>();
            let (reviewers, before) = (people(reviewers), people(before));
            let absences: Vec<Absence> = absences
                .into_iter()
                .map(|(reviewer, deputy, from, to)| Absence {
                    reviewer: person(reviewer),
                    deputy: person(deputy),
                    from: jiff::civil::date(2026, 12, from),
                    to: jiff::civil::date(2026, 12, to),
                })
                .collect();
            let on = jiff::civil::date(2026, 12, on);
            let submitter = address("sue");
            let invitees = stand_ins(&reviewers, &before, &absences, on, &submitter);
            let mut places = before.clone();
            for invitee in &invitees {
                prop_assert!(invitee.reviewer != submitter);
                prop_assert!(!places.contains(&invitee.reviewer), "{invitee:?} twice");
                places.push(invitee.reviewer.clone());
            }
            let mut expected: Vec<_> =
                reviewers.iter().filter(|r| **r != submitter && !before.contains(r)).collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(invitees.len(), expected.len());
            // Recording only what concerns the reviewers changes nothing.
            let recorded = concerning(&reviewers, &absences, on);
            prop_assert_eq!(stand_ins(&reviewers, &before, &recorded, on, &submitter), invitees);
        }
    }
}
