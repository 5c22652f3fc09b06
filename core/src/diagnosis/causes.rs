//! What to do about a failure, by what it says: the words of mail servers, receivers, certificates and clouds.

use countersign_protos::text::clean_line;
use jiff::Timestamp;

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Temporal,
    /// What a Temporal that can be reached does not do.
    Store,
    /// An approval's workflow task.
    Task,
    Mail,
    Webhook,
    FollowUp,
    Signaler,
}

impl Area {
    /// Of an activity, by its type.
    pub fn of_activity(activity: &str) -> Self {
        match activity {
            "process_decision" => Area::Webhook,
            "start_workflow" => Area::FollowUp,
            _ => Area::Mail,
        }
    }

    /// What it is called, and the setting that leads to it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Area::Temporal | Area::Store | Area::Task => ("Temporal", "TEMPORAL_ADDRESS"),
            Area::Mail => ("the mail server", "COUNTERSIGN_NOTIFY"),
            Area::Webhook => ("the webhook's receiver", "COUNTERSIGN_WEBHOOK_URL"),
            Area::FollowUp => ("the follow-up's namespace", "the rule's namespace"),
            Area::Signaler => ("the signaler", "COUNTERSIGN_PUBLIC_URL"),
        }
    }
}

/// What a failure's text has in it, and what to do then. `{it}` failed, and `{setting}` leads to it. What follows
/// `{asked}` is for who is asked for a decision.
struct Cause {
    /// Empty: all.
    areas: &'static [Area],
    any_of: &'static [&'static str],
    remedy: &'static str,
}

const TEMPORAL: &[Area] = &[Area::Temporal];
const SERVER: &[Area] = &[Area::Temporal, Area::Store];
const STORE: &[Area] = &[Area::Store];
const TASK: &[Area] = &[Area::Task];
const MAIL: &[Area] = &[Area::Mail];
const WEBHOOK: &[Area] = &[Area::Webhook];

/// The cause of a failed workflow task that needs a search attribute which is not there.
pub(super) const BAD_ATTRIBUTES: &str = "BAD_SEARCH_ATTRIBUTES";

const STORE_FAILS: &str = "Temporal can be reached, and its database takes no writes or does not answer: its disk is \
                           full, or it is read-only, locked or overloaded. Temporal's own log says which.";

/// Nothing to do where the clock is known to be right.
pub(super) const OR_CLOCK: &str = " If it is still valid, this machine's clock is wrong: set it.";

/// The first one that fits counts.
const CAUSES: &[Cause] = &[
    // The server has answered before.
    Cause { areas: STORE, any_of: &["no answer within", "eadline"], remedy: STORE_FAILS },
    Cause {
        areas: SERVER,
        any_of: &["rate limit exceeded"],
        remedy: "Temporal has refused the call over a limit: try again. countersign-worker doctor counts such refusals, \
                 and says what to raise.",
    },
    Cause {
        areas: TASK,
        any_of: &["NON_DETERMINISTIC_ERROR"],
        remedy: "A worker of another version replays it: let only workers of one version poll the task queue.",
    },
    Cause {
        areas: TASK,
        any_of: &["PENDING_ACTIVITIES_LIMIT_EXCEEDED"],
        remedy: "The namespace allows too few pending activities for this many reviewers: raise \
                 limit.numPendingActivities.error in Temporal's dynamic configuration (100 are enough).",
    },
    Cause {
        areas: TASK,
        any_of: &[BAD_ATTRIBUTES],
        remedy: "The namespace lacks a search attribute of ours: countersign-worker doctor names the command.",
    },
    Cause {
        areas: &[],
        any_of: &["certificate expired", "certificate has expired", "certificate: Expired"],
        remedy: "Have the certificate of {it} renewed. If it is still valid, this machine's clock is wrong: set it.",
    },
    Cause {
        areas: &[],
        any_of: &["not valid yet", "NotValidYet", "not yet valid"],
        remedy: "The certificate of {it} becomes valid later: this machine's clock is wrong, or the certificate \
                 was installed too early. Set the clock.",
    },
    Cause {
        areas: TEMPORAL,
        any_of: &["CertificateExpired"],
        remedy: "This side's certificate has expired: renew the file in TEMPORAL_TLS_CLIENT_CERT_PATH.",
    },
    // What has been told already.
    Cause {
        areas: TEMPORAL,
        any_of: &[": set TEMPORAL_", ": check TEMPORAL_"],
        remedy: "Correct the settings that are named here, on all workers and signalers.",
    },
    Cause {
        areas: &[],
        any_of: &["NotValidForName", "not valid for name"],
        remedy: "The certificate of {it} is for another name: {setting} must use a name that the certificate has.",
    },
    Cause {
        areas: &[],
        any_of: &["UnknownIssuer", "CaUsedAsEndEntity", "self-signed", "unknown authority"],
        remedy: "This machine does not trust who has issued the certificate of {it}: have it issued by a known \
                 authority, or name the authority's file in SSL_CERT_FILE.",
    },
    Cause {
        areas: &[],
        any_of: &["LinkKeyMissing", "not in COUNTERSIGN_LINK_KEYS"],
        remedy: "This worker lacks a link key that others have: give all workers and signalers the same \
                 COUNTERSIGN_LINK_KEYS and restart them; countersign-worker doctor compares their fingerprints.",
    },
    Cause {
        areas: &[],
        any_of: &["COUNTERSIGN_PAYLOAD_KEYS_FILE", "Encoded failure"],
        remedy: "It is encrypted with a key that is not here: give this command, all workers and all signalers the \
                 same COUNTERSIGN_PAYLOAD_KEYS_FILE; countersign-worker doctor compares their fingerprints.",
    },
    Cause {
        areas: MAIL,
        any_of: &["answered AUTH", "with 535", "with 534", "5.7.8"],
        remedy: "The mail server refuses user and password: correct them in COUNTERSIGN_NOTIFY on all workers, \
                 and restart these. Mails then go out by themselves.",
    },
    Cause {
        areas: MAIL,
        any_of: &["confirmed a subscription", "the topic has no subscription"],
        remedy: "Subscribe the address: countersign-worker subscribe ADDRESS; they confirm the mail that SNS \
                 sends them.{asked} Then ask them again: temporal workflow signal --workflow-id ID --name reissue",
    },
    Cause {
        areas: MAIL,
        any_of: &["RequestExpired", "Signature expired", "RequestTimeTooSkewed"],
        remedy: "Amazon refuses what is signed by a wrong clock: set this machine's clock, such as by NTP. Mails that \
                 wait then go out by themselves.",
    },
    Cause {
        areas: MAIL,
        any_of: &[
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "AuthorizationError",
            "AccessDenied",
            "credentials",
            "NotAuthorized",
            "UnrecognizedClient",
        ],
        remedy: "Amazon SNS refuses the worker's credentials or permissions: give its role sns:Publish and \
                 sns:ListSubscriptionsByTopic on the topic, or renew its credentials. Mails that wait then go out by \
                 themselves.",
    },
    Cause {
        areas: MAIL,
        any_of: &["Amazon SNS: NotFound", "Topic does not exist"],
        remedy: "The topic does not exist: create it, or correct its ARN in COUNTERSIGN_NOTIFY. Mails that wait then go \
                 out by themselves.",
    },
    Cause {
        areas: MAIL,
        any_of: &["COUNTERSIGN_MAIL_RATE"],
        remedy: "The mail waits for its turn: raise COUNTERSIGN_MAIL_RATE if the mail provider allows it.",
    },
    Cause {
        areas: &[],
        any_of: &[
            "No space left",
            "disk is full",
            "disk full",
            "SQLITE_FULL",
            "could not extend file",
            "StorageFull",
            "out of disk",
            "read-only file system",
            "Disk quota exceeded",
        ],
        remedy: "Its disk is full: free space or enlarge it. What is being tried again then goes through by \
                 itself.",
    },
    Cause {
        areas: MAIL,
        any_of: &["with 530", "STARTTLS"],
        remedy: "The mail server wants TLS or a login first: write \
                 smtp://USER:PASSWORD@HOST?tls=required in COUNTERSIGN_NOTIFY. Mails that wait then go out by \
                 themselves.",
    },
    Cause {
        areas: MAIL,
        any_of: &["Relay access denied", "5.7.1", "not permitted", "Sender address rejected"],
        remedy: "The mail server takes no mail from this host or for this sender: have it allowed there, or \
                 correct COUNTERSIGN_MAIL_FROM.",
    },
    Cause {
        areas: MAIL,
        any_of: &["with 452", "5.2.2", "4.2.2", "mailbox full", "over quota"],
        remedy: "The recipient's mailbox is full: they free space in it.{asked} Or ask somebody else: temporal workflow \
                 signal --workflow-id ID --name reassign",
    },
    Cause {
        areas: MAIL,
        any_of: &["5.1.1", "with 550", "No such mailbox", "User unknown", "mailbox unavailable"],
        remedy: "The mail server does not know the recipient: correct the address.{asked} Ask the right one: \
                 temporal workflow signal --workflow-id ID --name reassign",
    },
    Cause {
        areas: WEBHOOK,
        any_of: &["no COUNTERSIGN_WEBHOOK_URL"],
        remedy: "This worker has no webhook, unlike the one that planned the approval: give all workers the same \
                 COUNTERSIGN_WEBHOOK_URL and COUNTERSIGN_WEBHOOK_SECRET.",
    },
    Cause {
        areas: WEBHOOK,
        any_of: &["answered 410"],
        remedy: "The receiver wants no more outcomes, and this one is not sent again: whoever runs it has it answer \
                 otherwise before others are decided.",
    },
    Cause {
        areas: WEBHOOK,
        any_of: &["answered 401", "answered 403"],
        remedy: "The receiver refuses the delivery: it may lack the secret of COUNTERSIGN_WEBHOOK_SECRET, or its \
                 clock or this machine's may be wrong by minutes. Outcomes that wait are then delivered by \
                 themselves.",
    },
    Cause {
        areas: WEBHOOK,
        any_of: &["answered 3", "answered 404", "answered 405"],
        remedy: "COUNTERSIGN_WEBHOOK_URL names no receiver of outcomes: correct its host and path. Redirects are \
                 not followed. Outcomes that wait are then delivered by themselves.",
    },
    Cause {
        areas: WEBHOOK,
        any_of: &["answered 4", "answered 5"],
        remedy: "The receiver does not take the outcome: see its log for why. It is sent again, at most five \
                 minutes later; temporal activity reset sends it at once.",
    },
    Cause {
        areas: SERVER,
        any_of: &["PermissionDenied", "Unauthenticated", "unauthorized", "Unauthorized"],
        remedy: "Temporal refuses these credentials: check TEMPORAL_API_KEY or TEMPORAL_TLS_CLIENT_CERT_PATH, \
                 whether they have expired, and that they are for this namespace.",
    },
    Cause {
        areas: &[],
        any_of: &[
            "dns error",
            "failed to lookup",
            "Name or service not known",
            "No such host",
            "DNS resolution",
            "name resolution",
        ],
        remedy: "The name of {it} leads nowhere: correct {setting}, or this machine's name server.",
    },
    Cause {
        areas: &[],
        any_of: &["onnection refused"],
        remedy: "{it} does not listen there: start it, or correct host and port in {setting}.",
    },
    Cause {
        areas: &[],
        any_of: &[
            "HandshakeFailure",
            "InvalidContentType",
            "corrupt message",
            "wrong version number",
            "CertificateRequired",
        ],
        remedy: "{it} does not speak TLS there, or wants another kind of it: correct {setting}.",
    },
    Cause {
        areas: &[],
        any_of: &[
            "timed out",
            "did not answer",
            "no connection within",
            "no answer within",
            "deadline has elapsed",
            "No route to host",
            "unreachable",
            "Timeout expired",
        ],
        remedy: "Nothing answers: check that {it} runs, and that a firewall lets this machine reach it.",
    },
    Cause {
        areas: &[],
        any_of: &["eartbeat timeout", "TIMEOUT_TYPE_HEARTBEAT", "TIMEOUT_TYPE_START_TO_CLOSE"],
        remedy: "The worker that tried it last has stopped: another one tries it again by itself. If it stays so, look at \
                 why workers stop.",
    },
];

/// What to do about a failure in an area.
pub fn remedy(area: Area, says: &str) -> String {
    match steps(area, says) {
        (first, Some(then)) => format!("{first} {then}"),
        (first, None) => first,
    }
}

/// The same in two steps: what to do, and then for who is asked for a decision. Who only gets notices is not asked.
pub(super) fn steps(area: Area, says: &str) -> (String, Option<String>) {
    let (it, setting) = area.names();
    let text = match cause(area, says) {
        Some(cause) if cause.areas.is_empty() && !cause.remedy.contains("itself") => {
            format!("{}{}", cause.remedy, goes_on(area))
        }
        Some(cause) => cause.remedy.to_owned(),
        None => otherwise(area).to_owned(),
    };
    let text = text.replace("{it}", it).replace("{setting}", setting);
    match text.split_once("{asked} ") {
        Some((first, then)) => (capitalised(first), Some(then.to_owned())),
        None => (capitalised(&text), None),
    }
}

/// Whether two failures in an area have the same cause, as far as their causes are known.
pub(super) fn is_same_cause(area: Area, one: &str, other: &str) -> bool {
    let remedy = |says| cause(area, says).map(|cause| cause.remedy);
    remedy(one).is_some() && remedy(one) == remedy(other)
}

/// What is tried again once its cause is gone.
fn goes_on(area: Area) -> &'static str {
    match area {
        Area::Mail => " Mails that wait then go out by themselves.",
        Area::Webhook => {
            " Outcomes that wait are then delivered by themselves, within five minutes."
        }
        Area::FollowUp => " It is then started by itself.",
        _ => "",
    }
}

/// The cause that fits, if one does.
fn cause(area: Area, says: &str) -> Option<&'static Cause> {
    let fits = |cause: &&Cause| {
        (cause.areas.is_empty() || cause.areas.contains(&area))
            && cause.any_of.iter().any(|text| says.contains(text))
    };
    CAUSES.iter().find(fits)
}

fn otherwise(area: Area) -> &'static str {
    match area {
        Area::Temporal => "Check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and TEMPORAL_TLS_*.",
        Area::Store => STORE_FAILS,
        Area::Task => "The worker's log says why.",
        Area::Mail => {
            "Ask who runs the mail server, and show them its answer. What it refuses for now is tried again by \
             itself."
        }
        Area::Webhook => {
            "See the receiver's log. The outcome is sent again by itself, at most five minutes later."
        }
        Area::FollowUp => {
            "Check that the namespace of the rule's follow-up exists and that the worker may start workflows \
             there. It is tried again by itself."
        }
        Area::Signaler => "Check that the signaler runs, and the proxy before it.",
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What follows the words `certificate expired` where rustls says it: times in seconds.
const EXPIRED: &str = ": verification time ";
const NOT_AFTER: &str = "not valid after ";

/// A failure's text on one line. When a certificate expired is written as a date, without the seconds that have passed
/// since then: so that all failures of one certificate say the same.
pub fn readable(says: &str) -> String {
    let says = clean_line(says);
    let shorter = expired_at(&says).and_then(|at| {
        let (before, rest) = says.split_once(EXPIRED)?;
        let (_, behind) = rest.split_once(NOT_AFTER)?.1.split_once(')')?;
        Some(format!("{before} at {}{behind}", super::utc(at)))
    });
    shorter.unwrap_or(says)
}

/// When the certificate of a failure has expired, as far as its text says it. rustls gives the second.
pub fn expired_at(says: &str) -> Option<Timestamp> {
    let (_, behind) = says.split_once(NOT_AFTER)?;
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    Timestamp::from_second(digits.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as servers and libraries write them.
    #[test]
    fn each_failure_has_the_remedy_of_its_cause() {
        for (area, says, remedy_has) in [
            (
                Area::Mail,
                "the mail server: Connection error: Connection refused (os error 111)",
                "The mail server does not listen there: start it, or correct host and port in COUNTERSIGN_NOTIFY. Mails \
                 that wait then go out by themselves.",
            ),
            (
                Area::Webhook,
                "the webhook cannot be reached: Connection refused (os error 111)",
                "Outcomes that wait are then delivered by themselves",
            ),
            (
                Area::Webhook,
                "the webhook answered 410 Gone, which means that it accepts no more outcomes",
                "has it answer otherwise before others are decided",
            ),
            (
                Area::Mail,
                "the mail server answered AUTH with 535 5.7.8 Authentication credentials invalid",
                "refuses user and password",
            ),
            (
                Area::Mail,
                "the mail server: invalid peer certificate: certificate expired: verification time \
                          1796117000 (UNIX), but certificate is not valid after 1796116000 (1000 seconds ago)",
                "Have the certificate of the mail server renewed",
            ),
            (
                Area::Webhook,
                "the webhook cannot be reached: invalid peer certificate: UnknownIssuer",
                "does not trust who has issued the certificate of the webhook's receiver",
            ),
            (Area::Webhook, "the webhook answered 503 Service Unavailable: later", "see its log"),
            (Area::Webhook, "the webhook answered 401 Unauthorized", "COUNTERSIGN_WEBHOOK_SECRET"),
            (
                Area::Webhook,
                "the webhook answered 301 Moved, a redirect to https://x",
                "Redirects are not",
            ),
            (Area::Webhook, "this worker has no COUNTERSIGN_WEBHOOK_URL, unlike the one", "same"),
            (
                Area::Mail,
                "Amazon SNS: bob@example.com has not confirmed a subscription to the topic",
                "sends them. Then ask them again: temporal workflow signal --workflow-id ID --name reissue",
            ),
            (
                Area::Mail,
                "Amazon SNS: the topic has no subscription: nobody was invited to it",
                "countersign-worker subscribe",
            ),
            (
                Area::Mail,
                "Amazon SNS: SignatureDoesNotMatch: Signature expired: 2026 is now earlier",
                "clock",
            ),
            (
                Area::Mail,
                "Amazon SNS: InvalidClientTokenId: The security token is invalid",
                "sns:Publish",
            ),
            (Area::Mail, "/var/mail/outbox: No space left on device (os error 28)", "disk is full"),
            (Area::Temporal, "database or disk is full (13)", "disk is full"),
            (
                Area::Mail,
                "the mail server answered RCPT with 550 5.1.1 No such mailbox",
                "reassign",
            ),
            (
                Area::Mail,
                "the mail server answered RCPT with 554 5.7.1 Relay access denied",
                "from this host",
            ),
            (
                Area::Mail,
                "the mail server answered MAIL with 530 5.7.0 Must issue a STARTTLS command first",
                "?tls=required",
            ),
            (
                Area::Mail,
                "its seal was made with the key \"x\", which is not in COUNTERSIGN_LINK_KEYS",
                "countersign-worker doctor",
            ),
            (Area::Temporal, "dns error: failed to lookup address information", "TEMPORAL_ADDRESS"),
            (Area::Temporal, "Request unauthorized.", "TEMPORAL_API_KEY"),
            (
                Area::Temporal,
                "Temporal at t:7233 expects TLS, and the connection has none: set TEMPORAL_TLS=true, and",
                "settings that are named",
            ),
            (
                Area::Temporal,
                "Temporal's certificate is not accepted (UnknownIssuer): set TEMPORAL_TLS_SERVER_CA_CERT_PATH",
                "settings that are named",
            ),
            (
                Area::Temporal,
                "Temporal's certificate is not accepted (certificate expired: verification time 1796117000 \
                          (UNIX), but certificate is not valid after 1796116000 (1000 seconds ago)): set TEMPORAL_TLS_",
                "Have the certificate of Temporal renewed",
            ),
            (
                Area::Temporal,
                "Temporal refuses the TLS connection (CertificateExpired): check TEMPORAL_TLS_CLIENT_CERT_PATH",
                "renew the file in TEMPORAL_TLS_CLIENT_CERT_PATH",
            ),
            (Area::Mail, "activity Heartbeat timeout", "has stopped"),
            (
                Area::Task,
                "BAD_SEARCH_ATTRIBUTES Namespace default has no mapping defined for ApprovalUndeliverable",
                "countersign-worker doctor names the command",
            ),
            (Area::Store, "shard status unknown", "read-only, locked"),
            (Area::Store, "no answer within 5s", "Temporal can be reached"),
            (Area::Store, "database or disk is full (13)", "free space"),
            (Area::Store, "Request unauthorized.", "TEMPORAL_API_KEY"),
            (Area::Temporal, "namespace rate limit exceeded", "countersign-worker doctor"),
            (Area::Task, "WORKFLOW_WORKER_UNHANDLED_FAILURE", "The worker's log"),
            (Area::Mail, "something else", "Ask who runs the mail server"),
        ] {
            let remedy = remedy(area, says);
            assert!(remedy.contains(remedy_has), "{says}: {remedy}");
            assert!(!remedy.contains('{') && remedy.chars().next().is_some_and(char::is_uppercase));
        }
    }

    #[test]
    fn when_a_certificate_has_expired_is_read_from_the_failure() {
        let says = "invalid peer certificate: certificate expired: verification time 1796117000 (UNIX), but \
                    certificate is not valid after 1796116000 (1000 seconds ago)";
        assert_eq!(expired_at(says), Timestamp::from_second(1_796_116_000).ok());
        assert_eq!(expired_at("invalid peer certificate: Expired"), None);
        let readable_text =
            "invalid peer certificate: certificate expired at 2026-12-01 09:06:40 UTC";
        assert_eq!(readable(says), readable_text);
        let within = format!("not accepted ({says}): set TEMPORAL_TLS_");
        assert_eq!(readable(&within), format!("not accepted ({readable_text}): set TEMPORAL_TLS_"));
        let other = "invalid peer certificate: Expired";
        assert_eq!(readable(other), other);
    }
}
