//! Rules, what they match, and which of them can never be reached.

use std::collections::{BTreeMap, BTreeSet};

use countersign_protos::{
    Json,
    submission::problem,
    text,
    v1::{Field, Problem, Submission},
};
use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use rust_decimal::Decimal;

use super::{
    FollowUps, TimePlan, Wait,
    arguments::Argument,
    bounds::{Bounds, smallest},
};
use crate::{
    approval::{EmailAddress, OnDeadline, Quorum, Verdict},
    money,
};

/// Which submissions a rule is for, and what it does with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub name: String,
    pub(super) when: When,
    pub(super) decision: Decision,
    /// Whether one person decides at most one of its stages.
    pub different_people: bool,
    /// Whether the submitter gets a mail when people are first asked, too.
    pub tell_submitter: bool,
    pub follow_ups: FollowUps,
    /// Whether a decision by link has to be confirmed.
    pub confirm: bool,
    /// The verdicts that count only with a comment.
    pub comment_required: Vec<Verdict>,
    /// The domains, in ASCII, to whose people its reviewers may delegate.
    pub delegate_to: Vec<String>,
    /// What those who decide fill in.
    pub fields: Vec<Field>,
    /// How long changes that were requested wait for the submitter.
    pub changes_within: Wait,
    /// Whether the submitter has a link of their own from the start.
    pub submitter_link: bool,
}

impl Rule {
    /// None where it decides without asking anybody.
    pub(super) fn stages(&self) -> &[RuleStage] {
        match &self.decision {
            Decision::Stages(stages) => stages,
            Decision::Verdict(_) => &[],
        }
    }

    /// Whom it names in its stages.
    pub(super) fn people(&self) -> impl Iterator<Item = &EmailAddress> {
        self.stages().iter().flat_map(RuleStage::asks).filter_map(|ask| match ask {
            Ask::Person(person) => Some(person),
            Ask::Manager | Ask::ManagersManager => None,
        })
    }

    /// Whether a stage names this person, who is not asked as the submitter.
    pub(super) fn asks(&self, stage: usize, person: &EmailAddress) -> bool {
        let is = |ask: &Ask| matches!(ask, Ask::Person(asked) if asked == person);
        self.stages().get(stage).is_some_and(|stage| stage.reviewers.iter().any(is))
    }
}

/// What a rule does with a submission.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Verdict(Verdict),
    Stages(Vec<RuleStage>),
}

/// A stage, for any submitter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RuleStage {
    pub(super) name: String,
    pub(super) reviewers: Vec<Ask>,
    pub(super) quorum: Quorum,
    pub(super) time: TimePlan,
    pub(super) on_deadline: OnDeadline,
    pub(super) escalations: Vec<Escalation>,
    /// Who is asked if mail reaches nobody else.
    pub(super) fallback: Vec<Ask>,
}

impl RuleStage {
    /// Whom its levels ask, the fallback too.
    pub(super) fn asks(&self) -> impl Iterator<Item = &Ask> {
        let later = self.escalations.iter().flat_map(|level| &level.reviewers);
        self.reviewers.iter().chain(later).chain(&self.fallback)
    }
}

impl RuleStage {
    /// Those of its levels, each of which begins with the one before.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Wait> {
        let later = self.escalations.iter().map(|level| level.time.deadline);
        std::iter::once(self.time.deadline).chain(later)
    }
}

/// A level of escalation, for any submitter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Escalation {
    pub(super) reviewers: Vec<Ask>,
    pub(super) time: TimePlan,
    pub(super) keep_earlier: bool,
}

/// Somebody to be asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    Person(EmailAddress),
    Manager,
    ManagersManager,
}

impl Ask {
    pub(super) const MANAGER: &'static str = "manager";
    pub(super) const MANAGERS_MANAGER: &'static str = "manager's manager";
}

/// A rule's conditions. Those that are empty match everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct When {
    pub(super) types: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) departments: Vec<String>,
    pub(super) submitters: Vec<EmailAddress>,
    pub(super) currencies: Vec<String>,
    pub(super) amounts: BTreeMap<String, Bounds<Decimal>>,
    pub(super) actions: Vec<String>,
    pub(super) risks: Vec<String>,
    pub(super) arguments: Vec<Argument>,
}

/// What conditions are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    pub(super) kind: &'a str,
    pub(super) category: &'a str,
    pub(super) department: &'a str,
    pub(super) submitter: Option<&'a EmailAddress>,
    /// Empty where there is no amount.
    pub(super) currency: &'a str,
    pub(super) amount: Option<Decimal>,
    pub(super) action: &'a str,
    pub(super) risk: &'a str,
    pub(super) arguments: Option<&'a Json>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    Type,
    Category,
    Department,
    Submitter,
    Money,
    Action,
    Risk,
    Arguments,
}

impl Aspect {
    pub(super) const ALL: [Aspect; 8] = [
        Aspect::Type,
        Aspect::Category,
        Aspect::Department,
        Aspect::Submitter,
        Aspect::Money,
        Aspect::Action,
        Aspect::Risk,
        Aspect::Arguments,
    ];
    /// Those of which it is known which submissions conditions tell apart.
    const TRANSPARENT: &'static [Aspect] = Self::ALL.split_at(7).0;
}

impl<'a> Facts<'a> {
    pub(super) fn of(submission: &'a Submission, submitter: &'a EmailAddress) -> Self {
        let document = submission.document.as_ref();
        let department = submission.submitter.as_ref().map(|who| who.department.trim());
        let action = document.and_then(|document| document.action.as_ref());
        Self {
            kind: submission.submission_type.trim(),
            category: document.map(|document| document.category.trim()).unwrap_or_default(),
            department: department.unwrap_or_default(),
            submitter: Some(submitter),
            currency: document.map(|document| document.currency.as_str()).unwrap_or_default(),
            amount: document.and_then(|document| Decimal::from_str_exact(&document.amount).ok()),
            action: action.map(|action| action.name.as_str()).unwrap_or_default(),
            risk: action.map(|action| action.risk.trim()).unwrap_or_default(),
            arguments: action.and_then(|action| action.arguments.as_ref()),
        }
    }
}

impl When {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        Aspect::ALL.iter().all(|aspect| self.admits(*aspect, facts))
    }

    /// Whether one aspect matches.
    pub(super) fn admits(&self, aspect: Aspect, facts: &Facts<'_>) -> bool {
        let one_of = |values: &[String], value: &str| {
            values.is_empty() || values.iter().any(|known| same(known, value))
        };
        match aspect {
            Aspect::Type => one_of(&self.types, facts.kind),
            Aspect::Category => one_of(&self.categories, facts.category),
            Aspect::Department => one_of(&self.departments, facts.department),
            Aspect::Submitter => {
                let is_named = |submitter| self.submitters.contains(submitter);
                self.submitters.is_empty() || facts.submitter.is_some_and(is_named)
            }
            Aspect::Money => {
                let currency = self.currencies.is_empty()
                    || self.currencies.iter().any(|code| code == facts.currency);
                let within = |bounds: &Bounds<Decimal>| {
                    facts.amount.is_some_and(|amount| bounds.contain(amount))
                };
                let amount =
                    self.amounts.is_empty() || self.amounts.get(facts.currency).is_some_and(within);
                currency && amount
            }
            Aspect::Action => one_of(&self.actions, facts.action),
            Aspect::Risk => one_of(&self.risks, facts.risk),
            Aspect::Arguments => self.arguments.iter().all(|it| it.admits(facts.arguments)),
        }
    }

    /// Why one aspect does not match.
    pub(super) fn refusal(&self, aspect: Aspect, facts: &Facts<'_>) -> String {
        let not_one_of = |what: &str, value: &str, values: &[String]| match value {
            "" => format!("it has no {what}; the rule is for {}", values.join(", ")),
            value => format!("its {what} is {value}, not {}", values.join(" or ")),
        };
        match aspect {
            Aspect::Type => not_one_of("type", facts.kind, &self.types),
            Aspect::Category => not_one_of("category", facts.category, &self.categories),
            Aspect::Department => not_one_of("department", facts.department, &self.departments),
            Aspect::Submitter => {
                let named: Vec<String> = self.submitters.iter().map(ToString::to_string).collect();
                let submitter = facts.submitter.map(EmailAddress::as_str).unwrap_or_default();
                not_one_of("submitter", submitter, &named)
            }
            Aspect::Money => match (self.amounts.get(facts.currency), facts.amount) {
                (Some(bounds), Some(amount)) => {
                    let amount = text::money(&amount.to_string(), facts.currency);
                    format!("its amount is {amount}, not {bounds}")
                }
                (_, amount) => {
                    let codes = self.amounts.keys().chain(&self.currencies).cloned();
                    let what = if amount.is_some() { "currency" } else { "amount" };
                    not_one_of(what, facts.currency, &codes.collect::<Vec<_>>())
                }
            },
            Aspect::Action => not_one_of("action", facts.action, &self.actions),
            Aspect::Risk => not_one_of("risk", facts.risk, &self.risks),
            Aspect::Arguments if facts.arguments.is_none() => "it has no arguments".to_owned(),
            Aspect::Arguments => {
                let refused = self.arguments.iter().filter(|it| !it.admits(facts.arguments));
                let reasons = refused.map(|it| it.refusal(facts.arguments));
                reasons.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// Whether two names are the same to people: [`as_read`].
fn same(one: &str, other: &str) -> bool {
    let read =
        |byte: u8| if matches!(byte, b'_' | b'-') { b' ' } else { byte.to_ascii_lowercase() };
    let alike = one.len() == other.len() && one.bytes().map(read).eq(other.bytes().map(read));
    alike || !(is_plain(one) && is_plain(other)) && as_read(one) == as_read(other)
}

/// Whether [`as_read`] changes only case and the single separators of a name. Most names are like that, and
/// are compared without it.
fn is_plain(name: &str) -> bool {
    let mut after_blank = !name.is_empty();
    for byte in name.bytes() {
        let is_blank = matches!(byte, b' ' | b'_' | b'-');
        if (is_blank && after_blank) || !(byte.is_ascii_graphic() || is_blank) {
            return false;
        }
        after_blank = is_blank;
    }
    !after_blank
}

/// A name as people read it: `expense_report` as `Expense Report`, STRASSE as Straße.
pub(super) fn as_read(text: &str) -> String {
    let folded = folded(text);
    let words: Vec<&str> = name_words(&folded).collect();
    // A dash alone is one.
    if words.is_empty() { folded } else { words.join(" ") }
}

/// The words of a name, separated by spaces, underscores and dashes of any kind.
fn name_words(name: &str) -> impl Iterator<Item = &str> {
    let is_blank = |c: char| {
        c.is_whitespace() || matches!(c, '_' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
    };
    name.split(is_blank).filter(|word| !word.is_empty())
}

/// A string case-folded, normalised and without invisible characters: two of them are a canonical caseless
/// match (the Unicode Standard, 3.13, D145) if these are equal.
pub(super) fn folded(text: &str) -> String {
    let decomposed = DecomposingNormalizerBorrowed::new_nfd();
    let text = text::clean_line(text);
    let folded = CaseMapper::new().fold_string(&decomposed.normalize(&text)).into_owned();
    ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned()
}

/// The key of an employee in [`Managers`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Employee {
    Address(EmailAddress),
    /// [`folded`]: an ID is not a name, and its dashes count.
    Id(String),
}

impl Employee {
    /// An address if it is one, else an ID.
    pub(super) fn named(text: &str) -> Self {
        let address = text.trim().parse();
        address.map_or_else(|_| Self::Id(folded(text)), Self::Address)
    }
}

/// Whether every submission that a rule matches is matched by an earlier one.
///
/// But for arguments of actions, this is exact: conditions distinguish only the values that rules name, so it is enough to try those, one
/// that no rule names, and for amounts each bound with its neighbours. Aspect by aspect, the earlier rules
/// that match so far are kept; if none is left, the rule can be reached. An earlier rule with a condition on
/// arguments counts as one that may not match.
pub(super) fn is_covered(rule: &When, earlier: &[&When]) -> bool {
    let mut certain = earlier.to_vec();
    certain.retain(|when| when.arguments.is_empty());
    covered(rule, &certain, Aspect::TRANSPARENT)
}

fn covered(rule: &When, earlier: &[&When], aspects: &[Aspect]) -> bool {
    let Some((aspect, rest)) = aspects.split_first() else { return !earlier.is_empty() };
    let mut tried = BTreeSet::new();
    !earlier.is_empty()
        && samples(*aspect, rule, earlier).iter().all(|facts| {
            let still: Vec<usize> =
                (0..earlier.len()).filter(|i| earlier[*i].admits(*aspect, facts)).collect();
            let still_earlier: Vec<&When> = still.iter().map(|i| earlier[*i]).collect();
            !tried.insert(still) || covered(rule, &still_earlier, rest)
        })
}

/// Facts that the rule admits, one of each kind that it and the earlier ones distinguish.
fn samples<'a>(aspect: Aspect, rule: &'a When, earlier: &[&'a When]) -> Vec<Facts<'a>> {
    let all = || [rule].into_iter().chain(earlier.iter().copied());
    let named = |values: fn(&When) -> &Vec<String>| {
        // No rule can name the empty string.
        all().flat_map(values).map(String::as_str).chain([""]).collect::<BTreeSet<&'a str>>()
    };
    let each =
        |values, facts: fn(&'a str) -> Facts<'a>| named(values).into_iter().map(facts).collect();
    let facts: Vec<Facts<'a>> = match aspect {
        Aspect::Type => each(|when| &when.types, |kind| Facts { kind, ..Facts::default() }),
        Aspect::Category => {
            each(|when| &when.categories, |category| Facts { category, ..Facts::default() })
        }
        Aspect::Department => {
            each(|when| &when.departments, |department| Facts { department, ..Facts::default() })
        }
        Aspect::Submitter => all()
            .flat_map(|when| when.submitters.iter().map(Some))
            .chain([None])
            .map(|submitter| Facts { submitter, ..Facts::default() })
            .collect(),
        Aspect::Action => each(|when| &when.actions, |action| Facts { action, ..Facts::default() }),
        Aspect::Risk => each(|when| &when.risks, |risk| Facts { risk, ..Facts::default() }),
        Aspect::Arguments => vec![Facts::default()],
        // What has no amount is like what has one in a currency that no rule names.
        Aspect::Money => {
            let mut currencies = named(|when| &when.currencies);
            currencies.extend(all().flat_map(|when| when.amounts.keys()).map(String::as_str));
            let amounts = |currency: &'a str| {
                let bounds = all().filter_map(|when| when.amounts.get(currency));
                let step = money::currency(currency).map_or(Decimal::ONE, smallest);
                let near = bounds
                    .flat_map(|bounds| bounds.low.into_iter().chain(bounds.high))
                    .flat_map(|(bound, _)| [bound - step, bound, bound + step]);
                near.chain([Decimal::ZERO])
                    .filter(|amount| *amount >= Decimal::ZERO)
                    .map(|amount| Facts { currency, amount: Some(amount), ..Facts::default() })
                    .collect::<Vec<_>>()
            };
            currencies.into_iter().flat_map(amounts).collect()
        }
    };
    facts.into_iter().filter(|facts| rule.admits(aspect, facts)).collect()
}

/// Who is above whom.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Managers {
    pub(super) employees: BTreeMap<Employee, EmailAddress>,
    /// By the department's name, [`as_read`].
    pub(super) departments: BTreeMap<String, EmailAddress>,
    pub(super) default: Option<EmailAddress>,
}

impl Managers {
    /// The manager who is named for a submitter or their department.
    ///
    /// # Errors
    /// If the employee ID belongs to somebody else: submitters write it themselves, and must not choose by
    /// it who decides.
    pub(super) fn own(
        &self,
        submission: &Submission,
        submitter: &EmailAddress,
    ) -> Result<Option<&EmailAddress>, Problem> {
        let Some(who) = &submission.submitter else { return Ok(None) };
        let by_id = self.employees.get(&Employee::named(&who.employee_id));
        let by_address = self.manager(submitter);
        if let (Some(one), Some(other)) = (by_id, by_address)
            && one != other
        {
            let id = text::clean_line(&who.employee_id);
            let message = format!(
                "belongs to somebody other than the e-mail address: in the rules, the manager of \
                 {id} is {one}, and that of {submitter} is {other}"
            );
            return Err(problem("$.submitter.employeeId", message));
        }
        let by_department = self.departments.get(&as_read(&who.department));
        let mut named = [by_id, by_address, by_department].into_iter().flatten();
        Ok(named.find(|manager| *manager != submitter))
    }

    /// The managers above a submitter, this one first, and then the default's; each once, never the
    /// submitter.
    pub(super) fn above(
        &self,
        own: Option<&EmailAddress>,
        submitter: &EmailAddress,
    ) -> Vec<EmailAddress> {
        let mut above: Vec<EmailAddress> = Vec::new();
        for first in [own, self.default.as_ref()] {
            let mut next = first;
            while let Some(manager) = next.filter(|m| *m != submitter && !above.contains(m)) {
                above.push(manager.clone());
                next = self.manager(manager);
            }
        }
        above
    }

    /// The entry of somebody's address.
    pub(super) fn manager(&self, person: &EmailAddress) -> Option<&EmailAddress> {
        self.employees.get(&Employee::Address(person.clone()))
    }
}
