//! What is to be approved: amounts, items, details and actions.

use countersign_protos::v1::{Action, Detail, Document};
use iso_currency::Currency;
use jiff::civil::Date;
use url::Url;

use super::Checks;
use crate::money::{self, Money, NotMoney};

const MAX_ITEMS: usize = 1_000;
const MAX_ATTACHMENTS: usize = 50;
const MAX_DETAILS: usize = 100;
/// As long as signed URLs get: servers take a request line of 8,000 octets and more (RFC 9112, 3).
const MAX_URI_CHARS: usize = 8_192;
const MAX_TEXT_CHARS: usize = 10_000;

/// Reports what is wrong, and puts amounts into their currency's decimals.
pub(super) fn check(checks: &mut Checks, document: &mut Document) {
    checks.required("$.document.title", &document.title, 200);
    checks.line("$.document.category", &document.category, 200);
    checks.text("$.document.description", &document.description, MAX_TEXT_CHARS);
    let (amount, currency) = money(checks, document);
    items(checks, document, amount, currency);
    attachments(checks, &document.attachments);
    details(checks, &document.details);
    if let Some(action) = &mut document.action {
        self::action(checks, action);
    }
}

/// The amount and its currency, which come together or not at all.
fn money(checks: &mut Checks, document: &mut Document) -> (Option<Money>, Option<Currency>) {
    let Document { amount, currency: code, items, .. } = document;
    let currency = match (code.as_str(), amount.as_str()) {
        ("", "") => None,
        ("", _) => {
            checks.report("$.document.currency", "is required with an amount");
            None
        }
        (code, _) => checks.accept("$.document.currency", money::currency(code)),
    };
    if let Some(currency) = currency {
        *code = currency.code().to_owned();
    }
    let missing = match () {
        () if !amount.is_empty() => "",
        () if !code.is_empty() => "is required with a currency",
        () if !items.is_empty() => "is required with items, which add up to it",
        () => "",
    };
    if !missing.is_empty() {
        checks.report("$.document.amount", missing);
    }
    if amount.is_empty() {
        return (None, currency);
    }
    let money = exact(checks, "$.document.amount", amount, currency);
    if money.is_some_and(|amount| amount.is_negative()) {
        checks.report("$.document.amount", "must not be negative");
    }
    (money, currency)
}

/// Puts an amount into its currency's decimals. Without a currency only its form is checked.
fn exact(
    checks: &mut Checks,
    path: &str,
    text: &mut String,
    currency: Option<Currency>,
) -> Option<Money> {
    // CLF has as many decimals as any currency.
    let money = Money::parse(text, currency.unwrap_or(Currency::CLF));
    match (&money, currency) {
        (Err(NotMoney::Ambiguous { .. } | NotMoney::TooManyDecimals(_)), None) => return None,
        (Ok(money), Some(_)) => *text = money.digits(),
        _ => {}
    }
    checks.accept(path, money)
}

fn items(
    checks: &mut Checks,
    document: &mut Document,
    amount: Option<Money>,
    currency: Option<Currency>,
) {
    if document.items.len() > MAX_ITEMS {
        return checks.report("$.document.items", format!("has more than {MAX_ITEMS} elements"));
    }
    let mut amounts = Vec::new();
    for (i, item) in document.items.iter_mut().enumerate() {
        let path = format!("$.document.items[{i}]");
        checks.line(&format!("{path}.description"), &item.description, 500);
        match item.amount.is_empty() {
            true => checks.report(&format!("{path}.amount"), "is required"),
            false => {
                let path = format!("{path}.amount");
                amounts.extend(exact(checks, &path, &mut item.amount, currency));
            }
        }
        if !item.date.is_empty() && !is_date(&item.date) {
            checks.report(&format!("{path}.date"), "must be a date, such as 2026-11-24");
        }
    }
    let (Some(amount), Some(currency)) = (amount, currency) else { return };
    if amounts.len() == document.items.len() && !amounts.is_empty() {
        let sum = Money::sum(currency, amounts);
        if sum != amount {
            let (sum, amount) = (sum.digits(), amount.digits());
            let message = format!("add up to {sum}, not to the amount {amount}");
            checks.report("$.document.items", message);
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

fn attachments(checks: &mut Checks, attachments: &[String]) {
    const PATH: &str = "$.document.attachments";
    if attachments.len() > MAX_ATTACHMENTS {
        return checks.report(PATH, format!("has more than {MAX_ATTACHMENTS} elements"));
    }
    for (i, uri) in attachments.iter().enumerate() {
        let path = format!("{PATH}[{i}]");
        checks.line(&path, uri, MAX_URI_CHARS);
        if Url::parse(uri).is_err() {
            checks.report(&path, "must be a URI, such as s3://bucket/invoice.pdf");
        }
    }
}

fn details(checks: &mut Checks, details: &[Detail]) {
    const PATH: &str = "$.document.details";
    if details.len() > MAX_DETAILS {
        return checks.report(PATH, format!("has more than {MAX_DETAILS} elements"));
    }
    for (i, Detail { label, value }) in details.iter().enumerate() {
        let path = format!("{PATH}[{i}]");
        checks.required(&format!("{path}.label"), label, 200);
        let path = format!("{path}.value");
        if value.trim().is_empty() {
            checks.report(&path, "is required");
        }
        checks.text(&path, value, MAX_TEXT_CHARS);
    }
}

/// The reader has checked the arguments.
fn action(checks: &mut Checks, action: &mut Action) {
    const NAME: &str = "$.document.action.name";
    checks.required(NAME, &action.name, 200);
    // Removing them would approve another name than the program has.
    if action.name.trim() != action.name {
        checks.report(NAME, "must not start or end with a space");
    }
    checks.line("$.document.action.risk", &action.risk, 100);
    checks.text("$.document.action.reason", &action.reason, MAX_TEXT_CHARS);
    checks.line("$.document.action.onBehalfOf", &action.on_behalf_of, 200);
    action.arguments.take_if(|arguments| arguments.is_null());
}
