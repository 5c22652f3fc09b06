//! What holds of an approval for every sequence of events.

mod alphabet;
mod states;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, Mutex},
};

use countersign_protos::{
    Chain, GenuineLink, LinkContext, LinkKeys, Statement, TEST_KEYS, comment_hash,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{
    approval::*,
    policy::{Absence, Invitee, invitees},
};

#[derive(Debug, Clone)]
enum Event {
    /// Whoever is to be asked is asked, or stood in for: who is away, and by whom.
    Open {
        away: Vec<(EmailAddress, EmailAddress)>,
    },
    /// Anybody is asked, for anybody.
    Invite {
        invited: Vec<(EmailAddress, Option<EmailAddress>)>,
    },
    /// By the link of a person; some of these do not exist.
    ClickLink {
        link: String,
        verdict: Verdict,
    },
    /// Named by an operator; person 0 is the submitter, some are nobody.
    Signal {
        person: EmailAddress,
        verdict: Verdict,
    },
    Tick,
    /// A request came through, or never will.
    Reached {
        link: String,
        reached: bool,
    },
    Reassign {
        from: EmailAddress,
        to: EmailAddress,
    },
    /// One person gets a new link, or all who have not decided.
    Reissue {
        reviewer: Option<EmailAddress>,
    },
    /// By whoever has signed it, perhaps by another link than theirs.
    Delegate {
        delegation: Delegation,
    },
    Withdraw,
}

/// Every third person is with Gmail, and every third one has letters that look like ASCII's.
const SPELLINGS: [[&str; 3]; 3] = [
    ["person#@example.com", "Person#+boss@Example.com", "person#+a+b@example.com"],
    ["person#@gmail.com", "per.son#@gmail.com", "P.erson#+x@GoogleMail.com"],
    ["cop#@example.com", "сор#@example.com", "СОР#+1@example.com"],
];

/// Read once: every test needs thousands of them.
static PEOPLE: LazyLock<Vec<[EmailAddress; 3]>> = LazyLock::new(|| {
    let spellings = |i: usize| {
        SPELLINGS[i % 3]
            .map(|address| address.replace('#', &i.to_string()).parse().expect("an address"))
    };
    (0..9).map(spellings).collect()
});

fn spelt(i: usize, spelling: usize) -> EmailAddress {
    PEOPLE[i][spelling].clone()
}

fn person(i: usize) -> EmailAddress {
    spelt(i, 0)
}

/// One of so many people, by any of their addresses.
fn people(number: usize) -> impl Strategy<Value = EmailAddress> + Clone {
    (0..number, 0..3usize).prop_map(|(i, spelling)| spelt(i, spelling))
}

/// Which person an address is of.
fn number(person: &EmailAddress) -> usize {
    let digit = person.as_str().chars().find_map(|c| c.to_digit(10));
    digit.expect("everybody has a number") as usize
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Approve), Just(Verdict::Reject)]
}

fn levels() -> impl Strategy<Value = Level> {
    let reviewers = proptest::sample::subsequence((0..6).collect::<Vec<_>>(), 1..=5);
    (reviewers, 0..3usize, any::<bool>()).prop_map(|(reviewers, spelling, keep_earlier)| Level {
        reviewers: reviewers.into_iter().map(|i| spelt(i, (i + spelling) % 3)).collect(),
        keep_earlier,
        fallback: false,
    })
}

fn plans() -> impl Strategy<Value = Vec<StagePlan>> {
    let on_deadline =
        prop_oneof![Just(OnDeadline::Expire), Just(OnDeadline::Reject), Just(OnDeadline::Approve)];
    let levels = proptest::collection::vec(levels(), 1..4);
    let plan = (levels, 0..7usize, on_deadline, any::<bool>());
    let plan = plan.prop_map(|(mut levels, quorum, on_deadline, fallback)| {
        if let [_, .., last] = &mut levels[..] {
            last.fallback = fallback;
        }
        let others = levels[0].reviewers.iter().filter(|other| **other != person(0)).count();
        let quorum = match quorum {
            0 => Quorum::All,
            n if n > others => Quorum::Any,
            n => Quorum::at_least(n).expect("positive"),
        };
        StagePlan { name: "stage".into(), quorum, on_deadline, levels }
    });
    proptest::collection::vec(plan, 1..4)
}

/// The link of somebody's seat, each derived once.
fn genuine(stage: usize, round: usize, reviewer: &EmailAddress) -> (GenuineLink, String) {
    type Links = BTreeMap<(usize, usize, usize), (GenuineLink, String)>;
    static LINKS: Mutex<Links> = Mutex::new(BTreeMap::new());
    let mut links = LINKS.lock().expect("no test panics with it");
    let derive = || {
        let keys: LinkKeys = TEST_KEYS[0].parse().expect("a key");
        let chain = Chain { workflow_id: "properties", first_run_id: "run" };
        let reviewer = person(number(reviewer));
        let context = LinkContext::new(chain, "v1:0", reviewer.as_str());
        let (stage, round) = (stage as u32, round as u32);
        let link = keys.first().link(LinkContext { stage, round, ..context });
        let key = link.public_key();
        (link, key)
    };
    links.entry((stage, round, number(reviewer))).or_insert_with(derive).clone()
}

fn link(stage: usize, round: usize, reviewer: &EmailAddress) -> String {
    genuine(stage, round, reviewer).0.hash().as_str().to_owned()
}

/// Somebody with a link.
fn invited(stage: usize, round: u32, reviewer: EmailAddress) -> Invited {
    let (link, key) = genuine(stage, round as usize, &reviewer);
    Invited { key, ..Invited::new(reviewer, link.hash().as_str().to_owned()) }
}

/// Delegations by links, some of which do not exist; every fourth is signed by another one.
fn delegations() -> impl Strategy<Value = Delegation> {
    let place = (0..3usize, prop_oneof![3 => Just(0), 1 => 0..8usize], 0..7usize);
    (place, people(9), 0..4usize).prop_map(|((stage, round, i), to, forged)| {
        let link = link(stage, round, &person(i));
        let signer = if forged == 0 { (i + 1) % 7 } else { i };
        let reason = "away".to_owned();
        let statement = Statement::Delegate { to: to.as_str(), reason: &comment_hash(&reason) };
        let proof = genuine(stage, round, &person(signer)).0.prove(statement, start());
        Delegation { link, to, reason, left_out: None, proof }
    })
}

fn links() -> impl Strategy<Value = String> {
    (0..3usize, prop_oneof![2 => Just(0), 1 => 0..8usize], 0..7usize)
        .prop_map(|(stage, round, i)| link(stage, round, &person(i)))
}

/// Invitations as no rule makes them, each with where in a sequence it comes.
fn invitations() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let seat = (people(7), proptest::option::of(people(7)));
    let seat =
        seat.prop_map(|(who, for_whom)| (who.clone(), for_whom.filter(|other| *other != who)));
    let invited = proptest::collection::vec(seat, 0..4);
    let event = invited.prop_map(|invited| Event::Invite { invited });
    proptest::collection::vec((0..60usize, event), 1..4)
}

/// Events, each with the seconds that pass before it: often none.
fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    // Anybody's deputy may be anybody, themselves and the submitter too.
    let away = proptest::collection::vec((people(9), people(7)), 0..4);
    let event = prop_oneof![
        3 => away.prop_map(|away| Event::Open { away }),
        6 => (links(), verdicts()).prop_map(|(link, verdict)| Event::ClickLink { link, verdict }),
        6 => (people(8), verdicts()).prop_map(|(person, verdict)| Event::Signal { person, verdict }),
        2 => Just(Event::Tick),
        2 => (links(), any::<bool>()).prop_map(|(link, reached)| Event::Reached { link, reached }),
        2 => (people(7), people(9)).prop_map(|(from, to)| Event::Reassign { from, to }),
        2 => proptest::option::of(people(9)).prop_map(|reviewer| Event::Reissue { reviewer }),
        3 => delegations().prop_map(|delegation| Event::Delegate { delegation }),
        1 => Just(Event::Withdraw),
    ];
    proptest::collection::vec((prop_oneof![3 => Just(0), 1 => 0..20i64], event), 0..60)
}

/// Asks whoever is to be asked, as the plan says, or their deputies.
fn ask(approval: &mut Approval, away: &[(EmailAddress, EmailAddress)], now: Timestamp) {
    let Some(ToAsk { stage, round, whom, taken }) = approval.to_ask() else { return };
    let plan = approval.stages()[stage].plan();
    let (reviewers, due) = match whom {
        Whom::Replacement(_, to) => (vec![to], None),
        // Nobody requests changes here: all versions are in another file.
        Whom::Submitter => return,
        Whom::Reissue { reviewer, on_behalf_of, instead_of, .. } => {
            let again = Invited { on_behalf_of, instead_of, ..invited(stage, round, reviewer) };
            approval.ask(vec![again], None, now);
            return;
        }
        Whom::Level(level) => {
            let seconds = |seconds| now + SignedDuration::from_secs(seconds);
            let due = Due { deadline: seconds(30), reminders: vec![seconds(7), seconds(20)] };
            (plan.levels[level].reviewers.clone(), Some(due))
        }
    };
    let today = jiff::civil::date(2027, 1, 15);
    let absence = |(reviewer, deputy): &(EmailAddress, EmailAddress)| {
        let (reviewer, deputy) = (reviewer.clone(), Some(deputy.clone()));
        Absence { reviewer, deputy, from: today, to: today }
    };
    let absences: Vec<Absence> = away.iter().map(absence).collect();
    let invitees =
        invitees(&reviewers, &taken, &absences, today, approval.submitter(), Quorum::Any);
    let invited = |invitee: Invitee| Invited {
        on_behalf_of: invitee.on_behalf_of,
        ..invited(stage, round, invitee.reviewer)
    };
    approval.ask(invitees.into_iter().map(invited).collect(), due, now);
}

fn apply(approval: &mut Approval, event: &Event, now: Timestamp) -> Option<Receipt> {
    let comment = String::new();
    match event {
        Event::Open { away } => {
            ask(approval, away, now);
            None
        }
        Event::Invite { invited } => {
            let ToAsk { stage, round, whom, .. } = approval.to_ask()?;
            let those = invited.iter().cloned();
            let those = those.map(|(reviewer, on_behalf_of)| Invited {
                on_behalf_of,
                ..self::invited(stage, round, reviewer)
            });
            let deadline = now + SignedDuration::from_secs(30);
            let due = matches!(whom, Whom::Level(_)).then(|| Due { deadline, reminders: vec![] });
            approval.ask(those.collect(), due, now);
            None
        }
        Event::ClickLink { link, verdict } => {
            let claim = Claim::Link(link.clone());
            Some(approval.vote(Ballot::new(claim, *verdict, comment), now))
        }
        Event::Signal { person, verdict } => {
            let claim = Claim::Reviewer(person.clone());
            Some(approval.vote(Ballot::new(claim, *verdict, comment), now))
        }
        Event::Tick => {
            approval.tick(now);
            None
        }
        Event::Reached { link, reached } => {
            approval.reached(link, *reached);
            None
        }
        Event::Reassign { from, to } => {
            let _ = approval.reassign(from.clone(), to.clone(), String::new(), now);
            None
        }
        Event::Reissue { reviewer } => {
            let _ = approval.reissue(reviewer.clone(), String::new(), now);
            None
        }
        Event::Delegate { delegation } => {
            let _ = approval.delegate(delegation.clone(), now);
            None
        }
        Event::Withdraw => {
            let _ = approval.withdraw("no longer needed".into(), String::new(), now);
            None
        }
    }
}

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("in range")
}

/// Reviewers may delegate to some of the people, by some of their addresses.
fn delegating() -> Restrictions {
    let delegate_to = vec!["example.com".to_owned(), "gmail.com".to_owned()];
    Restrictions { delegate_to, ..Restrictions::default() }
}

/// Plays a sequence and shows every state in between.
fn play(
    plans: Vec<StagePlan>,
    events: &[(i64, Event)],
    see: impl FnMut(&Approval, &Approval, Option<Receipt>, Timestamp),
) -> Approval {
    play_on(Approval::restricted(person(0), plans, delegating()), events, see)
}

/// As [`play`], where one person decides at most one stage.
fn play_with_different_people(plans: Vec<StagePlan>, events: &[(i64, Event)]) -> Approval {
    let restrictions = Restrictions { different_people: true, ..delegating() };
    let approval = Approval::restricted(person(0), plans, restrictions);
    play_on(approval, events, |_, _, _, _| {})
}

fn play_on(
    mut approval: Approval,
    events: &[(i64, Event)],
    mut see: impl FnMut(&Approval, &Approval, Option<Receipt>, Timestamp),
) -> Approval {
    let mut now = start();
    for (pause, event) in events {
        now += SignedDuration::from_secs(*pause);
        let before = approval.clone();
        let receipt = apply(&mut approval, event, now);
        see(&before, &approval, receipt, now);
    }
    approval
}

/// Each person is in these seats once: as whom it is for, or as whom they stand in for.
fn each_once_and_not_the_submitter<'a>(approval: &Approval, seats: impl Iterator<Item = &'a Seat>) {
    let mut numbers: Vec<usize> = seats.flat_map(Seat::people).map(number).collect();
    assert!(!numbers.contains(&number(approval.submitter())), "{numbers:?}");
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "{approval:?}");
}

fn counts(stage: &Stage, verdict: Verdict) -> usize {
    stage.votes().iter().filter(|(_, vote)| vote.verdict == verdict).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_final_status_never_changes(plans in plans(), events in events()) {
        play(plans, &events, |before, after, _, _| {
            if before.is_final() {
                assert_eq!(before, after);
            }
        });
    }

    #[test]
    fn everything_ends_in_exactly_one_final_status_once_time_goes_on(
        plans in plans(), events in events(), different_people in any::<bool>()
    ) {
        let mut approval = match different_people {
            true => play_with_different_people(plans, &events),
            false => play(plans, &events, |_, _, _, _| {}),
        };
        let mut now = start() + SignedDuration::from_secs(10_000);
        // Each step asks somebody, reminds, passes a deadline, or ends: there are not many.
        for _ in 0..100 {
            ask(&mut approval, &[], now);
            if let Some(due) = approval.next_deadline() {
                now = now.max(due);
                approval.tick(now);
            }
        }
        prop_assert!(approval.is_final());
        prop_assert_eq!(approval.next_deadline(), None);
        prop_assert_eq!(approval.to_ask(), None);
    }

    #[test]
    fn nobody_votes_twice_and_the_submitter_never(plans in plans(), events in events()) {
        let approval = play(plans, &events, |before, after, receipt, _| {
            let votes = |approval: &Approval| -> usize {
                approval.stages().iter().map(|stage| stage.votes().len()).sum()
            };
            let counted = usize::from(receipt == Some(Receipt::Counted));
            assert_eq!(votes(after), votes(before) + counted);
            if receipt.is_some() && counted == 0 {
                assert_eq!(before, after, "what does not count changes nothing");
            }
        });
        for stage in approval.stages() {
            let votes = stage.votes();
            each_once_and_not_the_submitter(&approval, votes.iter().map(|(seat, _)| *seat));
        }
    }

    #[test]
    fn nobody_votes_twice_whomever_the_shell_invites(
        plans in plans(), mut events in events(), invitations in invitations()
    ) {
        for (at, invitation) in invitations {
            events.insert(at.min(events.len()), (0, invitation));
        }
        let approval = play(plans, &events, |_, _, _, _| {});
        for stage in approval.stages() {
            each_once_and_not_the_submitter(&approval, stage.seats().iter().filter(|seat| {
                seat.status != SeatStatus::Superseded
            }));
        }
    }

    #[test]
    fn nobody_decides_two_stages_where_different_people_are_asked(
        plans in plans(), mut events in events(), invitations in invitations()
    ) {
        for (at, invitation) in invitations {
            events.insert(at.min(events.len()), (0, invitation));
        }
        let approval = play_with_different_people(plans, &events);
        let votes = approval.stages().iter().flat_map(Stage::votes);
        each_once_and_not_the_submitter(&approval, votes.map(|(seat, _)| seat));
        let asked = approval.stages().iter().flat_map(|stage| {
            let people: BTreeSet<usize> = stage.seats().iter().flat_map(Seat::people).map(number).collect();
            people
        });
        let mut asked: Vec<usize> = asked.collect();
        let all = asked.len();
        asked.sort_unstable();
        asked.dedup();
        prop_assert_eq!(asked.len(), all, "nobody is asked in two");
    }

    #[test]
    fn a_stage_is_decided_by_exactly_its_quorum_or_by_its_deadline(
        plans in plans(), events in events()
    ) {
        let approval = play(plans, &events, |_, _, _, _| {});
        for stage in approval.stages() {
            let seats = stage.electorate();
            let quorum = stage.plan().quorum;
            let approvals = counts(stage, Verdict::Approve);
            let rejections = counts(stage, Verdict::Reject);
            match stage.end() {
                None => {
                    prop_assert!(approvals < quorum.approvals(seats).max(1));
                    prop_assert!(rejections < quorum.rejections(seats).max(1));
                }
                Some(_) if stage.ended_by_deadline() => {
                    prop_assert!(approvals < quorum.approvals(seats).max(1));
                    prop_assert!(rejections < quorum.rejections(seats).max(1));
                }
                Some((End::Approved, _)) => prop_assert_eq!(approvals, quorum.approvals(seats)),
                Some((End::Rejected, _)) => prop_assert_eq!(rejections, quorum.rejections(seats)),
                Some((End::Expired, _)) => prop_assert!(false, "only a deadline expires"),
            }
        }
    }

    #[test]
    fn only_the_order_counts_not_how_events_fall_into_instants(
        plans in plans(), events in events()
    ) {
        // Without ticks time decides nothing, so the same order squeezed into one instant gives
        // the same votes.
        let events: Vec<_> =
            events.into_iter().filter(|(_, event)| !matches!(event, Event::Tick)).collect();
        let squeezed: Vec<_> = events.iter().map(|(_, event)| (0, event.clone())).collect();
        let mut spread_receipts = vec![];
        let mut squeezed_receipts = vec![];
        play(plans.clone(), &events, |_, _, receipt, _| spread_receipts.push(receipt));
        play(plans, &squeezed, |_, _, receipt, _| squeezed_receipts.push(receipt));
        prop_assert_eq!(spread_receipts, squeezed_receipts);
    }

    #[test]
    fn an_open_stage_has_asked_somebody_or_asks_others(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, _| {
            let Some(stage) = after.open_stage() else { return };
            let reached = stage.undecided().any(|seat| seat.status == SeatStatus::Asked);
            let are_others = stage.level() + 1 < stage.plan().levels.len();
            assert!(reached || after.to_ask().is_some() || !are_others);
            let waits = stage.undecided().next().is_some() && after.to_ask().is_none();
            assert_eq!(after.is_unreachable(), waits && !reached);
            assert!(after.next_deadline().is_some() || after.to_ask().is_some(), "it goes on");
        });
    }

    #[test]
    fn whoever_a_level_names_may_decide_when_it_is_asked(plans in plans(), events in events()) {
        play(plans, &events, |before, after, _, _| {
            for (before, stage) in before.stages().iter().zip(after.stages()) {
                let level = |stage: &Stage| (stage.opened_at().is_some(), stage.level());
                if level(before) == level(stage) {
                    continue;
                }
                for reviewer in &stage.plan().levels[stage.level()].reviewers {
                    let may = stage.represents(reviewer);
                    assert!(may || reviewer == after.submitter(), "{reviewer}");
                }
            }
        });
    }

    #[test]
    fn asking_others_decides_nothing_and_no_link_is_issued_twice(
        plans in plans(), events in events()
    ) {
        let votes = |a: &Approval| a.stages().iter().map(|s| s.votes().len()).sum::<usize>();
        let told = |a: &Approval| {
            let ticked = a.stages().iter().any(Stage::ended_by_deadline);
            ticked || matches!(a.status(), Status::Withdrawn(_))
        };
        let approval = play(plans, &events, |before, after, _, _| {
            let ended = |a: &Approval| a.stages().iter().filter(|s| s.end().is_some()).count();
            assert!(ended(before) == ended(after) || votes(before) < votes(after) || told(after));
        });
        let seats = approval.stages().iter().enumerate().flat_map(|(stage, open)| {
            open.seats().iter().map(move |seat| (stage, seat.round, &seat.reviewer))
        });
        let mut links: Vec<_> = seats.collect();
        let all = links.len();
        links.sort();
        links.dedup();
        prop_assert_eq!(links.len(), all);
    }

    #[test]
    fn a_new_link_changes_nobodys_place_and_no_vote_or_deadline(
        plans in plans(), events in events()
    ) {
        play(plans, &events, |before, after, _, _| {
            let Some(ToAsk { stage, whom, .. }) = before.to_ask() else { return };
            let Whom::Reissue { reviewer, .. } = whom else { return };
            let (before, after) = (&before.stages()[stage], &after.stages()[stage]);
            if before.seats().len() == after.seats().len() {
                return;
            }
            let people = |stage: &Stage| {
                let mut people: Vec<usize> = stage.represented().map(number).collect();
                people.sort_unstable();
                people
            };
            assert_eq!(people(before), people(after));
            assert_eq!(before.votes(), after.votes());
            assert_eq!((before.electorate(), before.end()), (after.electorate(), after.end()));
            assert_eq!(before.deadline(), after.deadline());
            let link = |stage: &Stage| {
                let own = stage.undecided().find(|seat| seat.reviewer == reviewer);
                own.map(|seat| seat.link.clone())
            };
            assert_ne!(link(before), link(after), "of {reviewer}");
        });
    }

    #[test]
    fn a_delegation_is_its_reviewers_own_and_asks_nobody_twice(plans in plans(), events in events()) {
        let mut approval = Approval::restricted(person(0), plans, delegating());
        let mut now = start();
        for (pause, event) in &events {
            now += SignedDuration::from_secs(*pause);
            let before = approval.clone();
            apply(&mut approval, event, now);
            let Event::Delegate { delegation } = event else { continue };
            let mut seats = before.open_stage().into_iter().flat_map(Stage::undecided);
            let own = seats.find(|seat| seat.link == delegation.link);
            let proven = own.is_some_and(|own| delegation.is_proven(&own.key));
            assert!(proven || approval == before, "{delegation:?}");
            let votes = |approval: &Approval| -> usize {
                approval.stages().iter().map(|stage| stage.votes().len()).sum()
            };
            assert_eq!(votes(&approval), votes(&before), "it decides nothing");
            assert_eq!(approval.is_final(), before.is_final());
        }
        for stage in approval.stages() {
            for (position, seat) in stage.seats().iter().enumerate() {
                let Some(Arranged::Delegation { delegation, .. }) = &seat.arranged else { continue };
                let earlier = &stage.seats()[..position];
                let from = earlier.iter().find(|from| from.link == delegation.link);
                prop_assert!(from.is_some_and(|from| from.status == SeatStatus::Superseded));
                prop_assert!(seat.people().any(|person| *person == delegation.to));
                prop_assert_ne!(&seat.reviewer, approval.submitter());
                let again = earlier.iter().find(|earlier| earlier.reviewer == seat.reviewer);
                let is_new_link = again.is_none_or(|again| again.arranged == seat.arranged);
                prop_assert!(is_new_link, "{} was asked before", seat.reviewer);
            }
        }
    }

    #[test]
    fn nobody_is_asked_twice_at_once_and_the_submitter_never(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, _| {
            for stage in after.stages() {
                let active = stage.seats().iter().filter(|seat| seat.status != SeatStatus::Superseded);
                each_once_and_not_the_submitter(after, active);
            }
        });
    }

    #[test]
    fn stages_open_one_after_the_other(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, _| {
            let open = after.stages().iter().filter(|s| s.opened_at().is_some() && s.end().is_none());
            assert!(open.count() <= 1);
            for pair in after.stages().windows(2) {
                if pair[1].opened_at().is_some() {
                    assert!(matches!(pair[0].end(), Some((End::Approved, _))));
                }
            }
        });
    }

    #[test]
    fn the_next_deadline_is_never_in_the_past_after_a_tick(plans in plans(), events in events()) {
        play(plans, &events, |_, after, _, now| {
            let mut ticked = after.clone();
            ticked.tick(now);
            assert!(ticked.next_deadline().is_none_or(|due| due > now));
        });
    }
}
