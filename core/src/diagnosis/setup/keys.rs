//! Which keys workers and the signaler have, compared.

use std::{collections::BTreeSet, iter};

use jiff::Timestamp;

use super::{Finding, Own, Signaler, WorkerIdentity, identities, listed};

pub(super) fn keys(
    own: &Own,
    alive: &[(String, Option<WorkerIdentity>)],
    signaler: &Result<Signaler, String>,
) -> Finding {
    let mine = &own.identity.keys;
    let mut all: Vec<(String, &[String], Option<Timestamp>)> =
        vec![("this machine".to_owned(), mine, None)];
    all.extend(identities(alive).map(|identity| {
        (format!("the worker {}", identity.process), identity.keys.as_slice(), Some(identity.since))
    }));
    if let Ok(Signaler { keys: Some(keys), .. }) = signaler {
        all.push((format!("the signaler at {}", own.public_url), keys, None));
    }
    let known: BTreeSet<&String> = all.iter().flat_map(|(_, keys, _)| keys.iter()).collect();
    let first = mine.first().cloned().unwrap_or_default();
    if all.iter().any(|(_, keys, _)| known.iter().any(|key| !keys.contains(key))) {
        return Finding::problem(
            "keys",
            format!(
                "{}: {}",
                what_follows(own, alive, signaler, &all),
                who_signs_with_what(&all)
            ),
            "Give all workers and signalers the same COUNTERSIGN_LINK_KEYS, and restart each whose keys were wrong. \
             In a change of keys, first append the new one everywhere, then put it in front (docs/OPERATE.md, \
             \"Change link keys\").",
        )
        .since(all.iter().filter_map(|(_, _, since)| *since).max());
    }
    let signers: BTreeSet<&String> = all.iter().filter_map(|(_, keys, _)| keys.first()).collect();
    match signers.len() {
        0 | 1 => Finding::good(
            "keys",
            format!("{} have {first} (signs) and the same others", everybody(&all)),
        ),
        _ => Finding::note(
            "keys",
            "all have the same keys, and not the same one in front",
            "During a change of keys this is as it should be: put the new one in front everywhere.",
        ),
    }
}

/// What does not work while keys differ.
fn what_follows(
    own: &Own,
    alive: &[(String, Option<WorkerIdentity>)],
    signaler: &Result<Signaler, String>,
    all: &[(String, &[String], Option<Timestamp>)],
) -> String {
    let workers: Vec<&WorkerIdentity> = identities(alive).collect();
    let published = signaler.as_ref().ok().and_then(|signaler| signaler.keys.as_ref());
    let is_refused = |signs: &WorkerIdentity| {
        let signs = signs.keys.first();
        published.zip(signs).is_some_and(|(keys, signs)| !keys.contains(signs))
    };
    let refused: Vec<String> = workers
        .iter()
        .filter(|worker| is_refused(worker))
        .map(|worker| format!("the worker {}", worker.process))
        .collect();
    match refused.len() {
        0 if workers.is_empty() && is_refused(&own.identity) => {
            "the signaler refuses every link that a worker with these settings mails".to_owned()
        }
        0 => who_lacks_what(all),
        count if count == workers.len() => {
            "the signaler refuses every link that workers mail".to_owned()
        }
        1 => format!("the signaler refuses every link that {} mails", listed(&refused)),
        _ => format!("the signaler refuses every link that {} mail", listed(&refused)),
    }
}

fn who_lacks_what(all: &[(String, &[String], Option<Timestamp>)]) -> String {
    let known: BTreeSet<&String> = all.iter().flat_map(|(_, keys, _)| keys.iter()).collect();
    let lacks = |keys: &[String]| known.iter().any(|key| !keys.contains(key));
    let lacking: Vec<String> =
        all.iter().filter(|(_, keys, _)| lacks(keys)).map(|(who, ..)| who.clone()).collect();
    match &lacking[..] {
        [one] => format!("{one} lacks a key that others have, and refuses links under it"),
        all => format!("{} lack keys that others have, and refuse links under them", listed(all)),
    }
}

fn who_signs_with_what(all: &[(String, &[String], Option<Timestamp>)]) -> String {
    let mut groups: Vec<(&[String], Vec<String>)> = Vec::new();
    for (who, keys, _) in all {
        match groups.iter_mut().find(|(others, _)| others == keys) {
            Some((_, alike)) => alike.push(who.clone()),
            None => groups.push((*keys, vec![who.clone()])),
        }
    }
    let says = groups.iter().map(|(keys, alike)| {
        let (sign, have) = if alike.len() == 1 { ("signs", "has") } else { ("sign", "have") };
        match keys {
            [first, others @ ..] if !others.is_empty() => {
                format!("{} {sign} with {first} and {have} {}", listed(alike), listed(others))
            }
            _ => format!("{} {sign} with {}", listed(alike), listed(keys)),
        }
    });
    says.collect::<Vec<_>>().join("; ")
}

/// Signalers do not publish theirs.
pub(super) fn payload_keys(own: &Own, alive: &[(String, Option<WorkerIdentity>)]) -> Finding {
    let mine = ("this machine".to_owned(), &own.identity.payload_keys[..], None);
    let workers = identities(alive).map(|identity| {
        let who = format!("the worker {}", identity.process);
        (who, &identity.payload_keys[..], Some(identity.since))
    });
    let all: Vec<(String, &[String], Option<Timestamp>)> =
        iter::once(mine).chain(workers).collect();
    let named = |(who, keys, _): &(String, &[String], Option<Timestamp>)| match keys {
        [] => format!("{who} has none"),
        keys => format!("{who} has {}", listed(keys)),
    };
    let sets: BTreeSet<BTreeSet<&String>> =
        all.iter().map(|(_, keys, _)| keys.iter().filter(|key| *key != "none").collect()).collect();
    let firsts: BTreeSet<Option<&String>> = all.iter().map(|(_, keys, _)| keys.first()).collect();
    let says = all.iter().map(named).collect::<Vec<_>>().join("; ");
    match (sets.len(), firsts.len(), own.identity.payload_keys.first()) {
        (1, 1, None) => Finding::good("payload keys", "there are none: payloads are not encrypted"),
        (1, 1, Some(first)) => Finding::good(
            "payload keys",
            format!("{} have {first} (encrypts) and the same others", everybody(&all)),
        ),
        (1, ..) => Finding::note(
            "payload keys",
            format!("all have the same keys, and not the same one in front: {says}"),
            "During a change of keys this is as it should be: put the same one in front everywhere.",
        ),
        _ => Finding::problem(
            "payload keys",
            format!("{says}: who lacks a key cannot read what it has encrypted, and approvals wait"),
            "Give all workers and signalers the same COUNTERSIGN_PAYLOAD_KEYS_FILE: first append what is missing \
             everywhere, then put a new key in front (docs/OPERATE.md, \"Encrypt payloads\").",
        )
        .since(all.iter().filter_map(|(_, _, since)| *since).max()),
    }
}

fn everybody(all: &[(String, &[String], Option<Timestamp>)]) -> String {
    listed(&all.iter().map(|(who, ..)| who.clone()).collect::<Vec<_>>())
}
