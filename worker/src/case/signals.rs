//! Signals as people send them: each is read, or refused with a reason. No payload makes it panic.

use countersign_protos::{
    answers, ignored, names,
    payload::{self, Encoding, Payload, PayloadError},
    submission, text,
    v1::{self, Proof, Submission},
};
use serde::{Deserialize, Serialize};

use crate::approval::{Ballot, Claim, Delegation, EmailAddress, Verdict};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Signal {
    Decision(Ballot),
    Delegate(Delegation),
    Reassign {
        from: EmailAddress,
        to: EmailAddress,
        identity: String,
    },
    /// `None` reminds all who have not decided.
    Remind {
        reviewer: Option<EmailAddress>,
        identity: String,
    },
    /// `None` gives all who have not decided a new link.
    Reissue {
        reviewer: Option<EmailAddress>,
        identity: String,
    },
    /// The reason may be empty.
    Withdraw {
        reason: String,
        by: Claimant,
    },
    Revise {
        submission: Box<Submission>,
        by: Claimant,
    },
}

/// Who has sent what the submitter or an operator may send, as they claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claimant {
    /// The hash of the submitter's approval ID; empty for an operator.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) link: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
    pub(crate) identity: String,
}

impl Signal {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Signal::Decision(ballot) => ballot.verdict.terms().name,
            Signal::Reassign { .. } | Signal::Delegate(_) => names::SIGNAL_REASSIGN,
            Signal::Remind { .. } => names::SIGNAL_REMIND,
            Signal::Reissue { .. } => names::SIGNAL_REISSUE,
            Signal::Withdraw { .. } => names::SIGNAL_WITHDRAW,
            Signal::Revise { .. } => names::SIGNAL_REVISE,
        }
    }

    /// Its size as the next run gets it. What cannot be written has none that fits.
    pub(super) fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }

    /// Whom it is about, as its sender has written: one address or, of a reassignment, both.
    pub(super) fn whom(&self) -> Option<String> {
        match self {
            Signal::Decision(Ballot { claim: Claim::Reviewer(reviewer), .. }) => {
                Some(reviewer.to_string())
            }
            Signal::Reassign { from, to, .. } => Some(format!("{from} to {to}")),
            Signal::Delegate(delegation) => Some(ignored::delegated_to(delegation.to.as_str())),
            Signal::Remind { reviewer, .. } | Signal::Reissue { reviewer, .. } => {
                reviewer.as_ref().map(ToString::to_string)
            }
            Signal::Decision(Ballot { claim: Claim::Link(_), .. })
            | Signal::Withdraw { .. }
            | Signal::Revise { .. } => None,
        }
    }
}

/// Reads the payloads of the signal of this name, whose sender claims this identity.
///
/// # Errors
/// Why they cannot be read. The reasons quote nothing but addresses: it might be somebody's approval ID.
pub(super) fn read(name: &str, payloads: &[Payload], identity: &str) -> Result<Signal, String> {
    let identity = text::identity(identity);
    match name {
        names::SIGNAL_APPROVE => decision(Verdict::Approve, payloads, identity),
        names::SIGNAL_REJECT => decision(Verdict::Reject, payloads, identity),
        names::SIGNAL_REQUEST_CHANGES => decision(Verdict::RequestChanges, payloads, identity),
        names::SIGNAL_REASSIGN => reassignment(payloads, identity),
        names::SIGNAL_REMIND => {
            let read: v1::Reminder = expecting(ONE_OR_ALL, payloads, payload::decode_optional)?;
            Ok(Signal::Remind { reviewer: one_or_all(&read.reviewer)?, identity })
        }
        names::SIGNAL_REISSUE => {
            let read: v1::Reissue = expecting(ONE_OR_ALL, payloads, payload::decode_optional)?;
            Ok(Signal::Reissue { reviewer: one_or_all(&read.reviewer)?, identity })
        }
        names::SIGNAL_WITHDRAW => {
            let expected = "nothing, or a JSON object with `reason`";
            let read: v1::Withdrawal = expecting(expected, payloads, payload::decode_optional)?;
            let by = Claimant { link: read.link.trim().to_owned(), proof: read.proof, identity };
            Ok(Signal::Withdraw { reason: text::comment(&read.reason), by })
        }
        names::SIGNAL_REVISE => revision(payloads, identity),
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> String {
    match text::did_you_mean(name, names::SIGNALS) {
        Some(meant) => format!("there is no such signal; did you mean {meant}?"),
        None => format!("there is no such signal; there are {}", names::SIGNALS.join(", ")),
    }
}

const ONE_OR_ALL: &str = "nothing, or a JSON object with `reviewer`";

fn one_or_all(reviewer: &str) -> Result<Option<EmailAddress>, String> {
    let one = Some(reviewer.trim()).filter(|reviewer| !reviewer.is_empty());
    one.map(|reviewer| address("reviewer", reviewer)).transpose()
}

fn expecting<T>(
    expected: &str,
    payloads: &[Payload],
    decode: fn(&[Payload]) -> Result<T, PayloadError>,
) -> Result<T, String> {
    let encoding = || payloads.first().and_then(|first| Encoding::of(&first.metadata).ok());
    decode(payloads).map_err(|why| match (&why, encoding()) {
        (PayloadError::Data(_), Some(binary @ Encoding::BinaryProtobuf)) => {
            format!("expected {expected}; got {}, which cannot be read", binary.as_str())
        }
        (PayloadError::Data(_), _) => format!("expected {expected}"),
        _ => why.to_string(),
    })
}

fn address(field: &str, text: &str) -> Result<EmailAddress, String> {
    text.trim().parse().map_err(|_| ignored::not_an_address(field))
}

/// By an operator, who names the reviewer, or by the reviewer's link.
fn reassignment(payloads: &[Payload], identity: String) -> Result<Signal, String> {
    let expected = "a JSON object with `reviewer` and `to`";
    let read: v1::Reassignment = expecting(expected, payloads, payload::decode)?;
    let link = read.link.trim();
    if link.is_empty() {
        let (from, to) = (address("reviewer", &read.reviewer)?, address("to", &read.to)?);
        return Ok(Signal::Reassign { from, to, identity });
    }
    if !read.reviewer.trim().is_empty() {
        return Err(both(&read.reviewer));
    }
    let missing = "`proof` is missing, without which a `link` delegates nothing";
    Ok(Signal::Delegate(Delegation {
        link: link.to_owned(),
        to: address("to", &read.to)?,
        reason: text::comment(&read.reason),
        left_out: None,
        proof: read.proof.ok_or(missing)?,
    }))
}

/// Why a signal has no effect that is both by a link and for a reviewer.
fn both(reviewer: &str) -> String {
    let whom = address("reviewer", reviewer).map(|whom| format!(" ({whom})"));
    format!("both `link` and `reviewer` are given{}", whom.unwrap_or_default())
}

fn decision(verdict: Verdict, payloads: &[Payload], identity: String) -> Result<Signal, String> {
    let expected = "a JSON object with `link` or `reviewer`, and optionally `comment`, `version` (a number) and \
                    `answers` (an object of strings, numbers, true and false)";
    let decision: v1::Decision = expecting(expected, payloads, answers::decision)?;
    let claim = match (decision.link.trim(), decision.reviewer.trim()) {
        ("", "") => return Err("neither `link` nor `reviewer` is given".into()),
        (link, "") => Claim::Link(link.to_owned()),
        ("", reviewer) => Claim::Reviewer(address("reviewer", reviewer)?),
        (_, reviewer) => return Err(both(reviewer)),
    };
    let v1::Decision { comment, proof, answers, version, .. } = decision;
    // Whatever else stands there proves nothing, and would be kept for good, of any size.
    let proof = proof.filter(Proof::is_well_formed);
    let ballot = Ballot::new(claim, verdict, text::comment(&comment));
    Ok(Signal::Decision(Ballot { proof, identity, answers, version, ..ballot }))
}

fn revision(payloads: &[Payload], identity: String) -> Result<Signal, String> {
    let (v1::Revision { submission, link, proof }, problems) = submission::read_revision(payloads);
    if !problems.is_empty() {
        return Err(ignored::unusable(&problems));
    }
    let submission = Box::new(submission.ok_or("no submission is given")?);
    // JSON has no room for it, as which an activity gets the submission.
    if submission.submitted_at.as_ref().is_some_and(|at| text::timestamp(at).is_none()) {
        return Err("$.submittedAt is not in the years 1 to 9999".into());
    }
    let by = Claimant { link: link.trim().to_owned(), proof, identity };
    Ok(Signal::Revise { submission, by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(data: &str) -> Vec<Payload> {
        vec![encoded("json/plain", data)]
    }

    fn encoded(encoding: &str, data: &str) -> Payload {
        let metadata = [("encoding".to_owned(), encoding.into())].into();
        Payload { metadata, data: data.into() }
    }

    fn nobody() -> Claimant {
        Claimant { link: String::new(), proof: None, identity: String::new() }
    }

    #[test]
    fn an_operator_revises_by_a_submission_alone_and_the_submitter_by_link_and_proof() {
        let alone = json(r#"{"submissionId": "PO-1"}"#);
        let submission = || {
            let submission = Submission { submission_id: "PO-1".into(), ..Default::default() };
            Box::new(submission)
        };
        let by = Claimant { identity: "op".into(), ..nobody() };
        let read_as = |payloads: &[Payload]| read(names::SIGNAL_REVISE, payloads, "op");
        assert_eq!(
            read_as(&alone),
            Ok(Signal::Revise { submission: submission(), by: by.clone() })
        );
        let by_link = r#"{"submission": {"submissionId": "PO-1"}, "link": " hash", "proof": {"signature": "s"}}"#;
        let proof = Some(Proof { signature: "s".into(), at: None });
        let by = Claimant { link: "hash".into(), proof: proof.clone(), ..by };
        let revised = Signal::Revise { submission: submission(), by: by.clone() };
        assert_eq!(read_as(&json(by_link)), Ok(revised.clone()));
        let written = serde_json::to_string(&revised).expect("JSON");
        assert_eq!(serde_json::from_str::<Signal>(&written).expect("it is held"), revised);
        let withdrawn = read(
            names::SIGNAL_WITHDRAW,
            &json(r#"{"link": "hash", "proof": {"signature": "s"}, "reason": "typo"}"#),
            "op",
        );
        assert_eq!(withdrawn, Ok(Signal::Withdraw { reason: "typo".into(), by }));
    }

    #[test]
    fn of_a_vote_only_what_can_be_a_proof_is_kept() {
        let proof = |signature: &str, at: &str| {
            let vote = format!(
                r#"{{"reviewer": "ann@example.com", "proof": {{"signature": "{signature}", "at": "{at}"}}}}"#
            );
            match read(names::SIGNAL_APPROVE, &json(&vote), "op") {
                Ok(Signal::Decision(ballot)) => ballot.proof,
                other => panic!("no decision: {other:?}"),
            }
        };
        let now = "2026-11-24T09:00:00Z";
        assert!(proof(&"A".repeat(86), now).is_some());
        assert_eq!(proof(&"A".repeat(87), now), None);
        assert_eq!(proof("", now), None);
    }

    #[test]
    fn what_cannot_be_read_as_a_revision_is_said_and_not_for_ever() {
        let read_as = |payloads: &[Payload]| {
            read(names::SIGNAL_REVISE, payloads, "").expect_err("it cannot be read")
        };
        let wrong = read_as(&json(r#"{"document": {"amount": true}, "approvals": 1}"#));
        assert_eq!(
            wrong,
            "the submission cannot be used: $.approvals is not known; did you mean `approval`?; \
             $.document.amount must be a number, not true or false"
        );
        assert_eq!(read_as(&json(r#"{"submission": null}"#)), "no submission is given");
        let year_10000 = v1::Revision {
            submission: Some(Submission {
                submitted_at: Some(pbjson_types::Timestamp { seconds: 253_402_300_800, nanos: 0 }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let late = payload::encode(&year_10000, Encoding::BinaryProtobuf);
        assert_eq!(read_as(&[late]), "$.submittedAt is not in the years 1 to 9999");
        assert!(read_as(&[]).contains("expected one input, got none"));
        assert!(
            read_as(&[encoded("binary/protobuf", "\u{ff}")]).contains("not the expected message")
        );
        let many: Vec<String> =
            (0..300).map(|i| format!("\"{i}{}\": 1", "x".repeat(500))).collect();
        let said = read_as(&json(&format!("{{{}}}", many.join(", "))));
        assert!(said.ends_with("; and 290 more") && said.chars().count() < 2_500, "{said}");
    }

    /// As SDKs with typed objects send them, and people.
    #[test]
    fn what_is_null_is_absent_and_a_nil_argument_is_none() {
        let reviewer = || address("reviewer", "manager@example.com").expect("an address");
        for decided in [
            r#"{"reviewer":"manager@example.com","comment":null}"#,
            r#"{"link":null,"reviewer":"manager@example.com","comment":null}"#,
            r#"{"reviewer":"manager@example.com","version":null}"#,
            r#"{"reviewer":" Manager@Example.com "}"#,
            "{\"reviewer\":\"\u{a0}manager@example.com\\n\",\"link\":\" \"}",
        ] {
            let (claim, comment) = (Claim::Reviewer(reviewer()), String::new());
            let ballot = Ballot::new(claim, Verdict::Approve, comment);
            let decoded = decision(Verdict::Approve, &json(decided), String::new());
            assert_eq!(decoded, Ok(Signal::Decision(ballot)), "{decided}");
        }
        let nil = [vec![], json("null"), vec![encoded("binary/null", "")]];
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reason":null}"#)]) {
            assert_eq!(
                read(names::SIGNAL_WITHDRAW, nothing, ""),
                Ok(Signal::Withdraw { reason: String::new(), by: nobody() }),
                "{nothing:?}"
            );
        }
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reviewer":null}"#)]) {
            assert_eq!(
                read(names::SIGNAL_REMIND, nothing, ""),
                Ok(Signal::Remind { reviewer: None, identity: String::new() }),
                "{nothing:?}"
            );
            assert_eq!(
                read(names::SIGNAL_REISSUE, nothing, ""),
                Ok(Signal::Reissue { reviewer: None, identity: String::new() }),
                "{nothing:?}"
            );
        }
        for nothing in &nil {
            let missing = Err("expected one input, got none".to_owned());
            assert_eq!(decision(Verdict::Reject, nothing, String::new()), missing, "{nothing:?}");
            assert_eq!(read(names::SIGNAL_REASSIGN, nothing, ""), missing, "{nothing:?}");
        }
        assert_eq!(
            read(names::SIGNAL_REISSUE, &json(r#"{"reviewer": " Manager@Example.com"}"#), ""),
            Ok(Signal::Reissue { reviewer: Some(reviewer()), identity: String::new() })
        );
        let to =
            json(r#"{"reviewer": " manager@example.com", "to": "cy@example.com ", "x": null}"#);
        let cy = address("to", "cy@example.com").expect("an address");
        assert_eq!(
            read(names::SIGNAL_REASSIGN, &to, ""),
            Ok(Signal::Reassign { from: reviewer(), to: cy, identity: String::new() })
        );
    }

    #[test]
    fn a_reassignment_by_a_link_is_a_delegation_and_needs_its_proof() {
        let read = |data: &str| read(names::SIGNAL_REASSIGN, &json(data), "op");
        let proof = r#""proof": {"signature": "s", "at": "2026-11-24T09:00:00Z"}"#;
        let delegated = read(&format!(
            r#"{{"link": " hash", "to": "Cy@example.com", "reason": " away\n", {proof}}}"#
        ));
        let Ok(Signal::Delegate(delegation)) = &delegated else { panic!("{delegated:?}") };
        let Delegation { link, to, reason, left_out, proof: read_proof } = delegation;
        let read_as = (&**link, to.as_str(), &**reason, left_out, &*read_proof.signature);
        assert_eq!(read_as, ("hash", "cy@example.com", "away", &None, "s"));
        for (data, why) in [
            (r#"{"link": "hash", "to": "cy@example.com"}"#.to_owned(), "`proof` is missing"),
            (
                format!(r#"{{"link": "hash", "to": "cy", {proof}}}"#),
                "`to` is not an e-mail address",
            ),
            (
                format!(r#"{{"link": "hash", "reviewer": "ann@example.com", {proof}}}"#),
                "both `link` and `reviewer` are given (ann@example.com)",
            ),
        ] {
            let refused = read(&data).expect_err("it delegates nothing");
            assert!(refused.starts_with(why), "{refused}");
        }
    }

    #[test]
    fn an_encoding_that_cannot_be_read_is_named() {
        let sealed = [encoded("binary/encrypted", "\u{1}\u{2}")];
        let named = "encoding \"binary/encrypted\"";
        for why in [
            decision(Verdict::Approve, &sealed, String::new()).expect_err("unreadable"),
            read(names::SIGNAL_REASSIGN, &sealed, "").expect_err("unreadable"),
            read(names::SIGNAL_REMIND, &sealed, "").expect_err("unreadable"),
            read(names::SIGNAL_REISSUE, &sealed, "").expect_err("unreadable"),
            read(names::SIGNAL_WITHDRAW, &sealed, "").expect_err("unreadable"),
            read(names::SIGNAL_REVISE, &sealed, "").expect_err("unreadable"),
        ] {
            assert!(why.contains(named), "{why}");
        }
    }
}
