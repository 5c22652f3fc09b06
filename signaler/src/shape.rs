//! What pages show of details and of an action: everything, nested as it is, and long texts folded. Pure.

use askama::Template;
use countersign_protos::{
    ChangeText, Difference, Json, MAX_DEPTH,
    text::{clean, clean_line, visible, visible_line},
    v1::Document,
};
use serde_json::Value;

use crate::wording;

/// A longer text is folded.
const MAX_OPEN_CHARS: usize = 600;
/// Of a text that is folded.
const MAX_START_CHARS: usize = 80;
/// More values in one are folded.
const MAX_OPEN_VALUES: usize = 50;

/// The action, where it stands in the place of an amount; otherwise empty.
pub(crate) fn leading_action(document: &Document) -> String {
    let action = document.action.as_ref().filter(|_| document.amount.is_empty());
    action.map(|action| visible_line(&action.name)).unwrap_or_default()
}

/// What is particular to a request.
#[derive(Template)]
#[template(path = "shape.html")]
pub(crate) struct Shape {
    details: Vec<(String, Text)>,
    action: Option<Action>,
}

struct Action {
    facts: Vec<(&'static str, String)>,
    reason: Option<Text>,
    arguments: Option<Tree>,
}

impl Shape {
    pub(crate) fn of(document: &Document) -> Self {
        let leads = document.amount.is_empty();
        let action = document.action.as_ref().map(|action| {
            let name = if leads { String::new() } else { visible_line(&action.name) };
            let facts = [
                (wording::ACTION, name),
                (wording::RISK, clean_line(&action.risk)),
                (wording::ON_BEHALF_OF, clean_line(&action.on_behalf_of)),
            ];
            Action {
                facts: facts.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
                reason: Text::of(clean(action.reason.trim())),
                arguments: action.arguments.as_ref().map(|json| Tree::of(&json.value(), 0)),
            }
        });
        let details = document.details.iter().filter_map(|detail| {
            Some((clean_line(&detail.label), Text::of(clean(detail.value.trim_end()))?))
        });
        Self { details: details.collect(), action }
    }

    /// Whether there is nothing of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.details.is_empty() && self.action.is_none()
    }
}

/// What a revision has changed, whole.
#[derive(Template)]
#[template(path = "changes.html")]
pub(crate) struct Changes {
    rows: Vec<Change>,
}

struct Change {
    label: String,
    before: Option<Text>,
    after: Option<Text>,
    /// What is said where nothing is there any more.
    gone: &'static str,
}

impl Changes {
    pub(crate) fn of(changes: &[Difference]) -> Self {
        let change = |one: &ChangeText| Change {
            label: clean_line(&one.label),
            before: Text::of(visible(&one.before)),
            after: Text::of(visible(&one.after)),
            gone: if one.is_element { wording::REMOVED } else { wording::NOTHING },
        };
        Self { rows: ChangeText::of(changes).iter().map(change).collect() }
    }

    /// Whether there is nothing of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What somebody wrote, whole.
#[derive(Template)]
#[template(path = "folded.html")]
struct Text {
    whole: String,
    /// Where it is folded, how it begins and how long it is.
    folded: Option<(String, usize)>,
}

impl Text {
    /// `None` if nothing was written.
    fn of(whole: String) -> Option<Self> {
        let chars = whole.chars().count();
        let start = || clean_line(&whole.chars().take(MAX_START_CHARS).collect::<String>());
        let folded = (chars > MAX_OPEN_CHARS).then(|| (start(), chars));
        (!whole.is_empty()).then_some(Self { whole, folded })
    }
}

/// A value of the arguments, and what is in it.
#[derive(Template)]
#[template(path = "tree.html")]
enum Tree {
    /// By their names, and how many where they are folded.
    Fields(Vec<(String, Tree)>, Option<usize>),
    /// In their order, and how many where they are folded.
    Elements(Vec<Tree>, Option<usize>),
    /// A text that nobody takes for a number or for nothing.
    Words(Text),
    /// Anything else, as JSON.
    Plain(String),
}

impl Tree {
    /// `depth` is the number of values around it, which validation bounds.
    fn of(value: &Value, depth: usize) -> Self {
        let folded = |count: usize| (count > MAX_OPEN_VALUES && depth > 0).then_some(count);
        match value {
            Value::Object(fields) if !fields.is_empty() && depth < MAX_DEPTH => {
                let field = |(name, value): (&String, &Value)| {
                    (visible_line(name), Self::of(value, depth + 1))
                };
                Self::Fields(fields.iter().map(field).collect(), folded(fields.len()))
            }
            Value::Array(values) if values.iter().any(is_long) && depth < MAX_DEPTH => {
                let elements = values.iter().map(|value| Self::of(value, depth + 1));
                Self::Elements(elements.collect(), folded(values.len()))
            }
            Value::Array(values) if !values.is_empty() => {
                Self::Plain(values.iter().map(as_json).collect::<Vec<_>>().join(", "))
            }
            Value::String(text) if !is_ambiguous(text) => {
                Text::of(visible(text)).map_or_else(|| Self::Plain(as_json(value)), Self::Words)
            }
            other => Self::Plain(as_json(other)),
        }
    }
}

fn as_json(value: &Value) -> String {
    visible_line(Json::from(value).as_str())
}

/// Whether a value does not stand in one line with others.
fn is_long(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_) | Value::String(_))
}

/// Whether a text without its quotes would look like something else.
fn is_ambiguous(text: &str) -> bool {
    text.trim() != text || serde_json::from_str::<Value>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use countersign_protos::v1;
    use serde_json::json;

    use super::*;

    fn shown(document: v1::Document) -> String {
        Shape::of(&document).to_string()
    }

    fn with(arguments: &Value) -> String {
        let action = v1::Action {
            name: "deploy".into(),
            arguments: Some(Json::from(arguments)),
            ..v1::Action::default()
        };
        shown(v1::Document { action: Some(action), ..v1::Document::default() })
    }

    /// A page's text, without its markup.
    fn words(html: &str) -> String {
        let mut text = String::new();
        for part in html.split('<') {
            let (_, after) = part.split_once('>').unwrap_or(("", part));
            text.push_str(after);
            text.push(' ');
        }
        let text = text.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">");
        text.replace("&#39;", "'").replace("&#38;", "&")
    }

    #[test]
    fn an_action_stands_where_there_is_no_amount() {
        let action = Some(v1::Action { name: "deploy\n".into(), ..v1::Action::default() });
        let mut document = v1::Document { title: "Shop".into(), ..v1::Document::default() };
        assert_eq!(leading_action(&document), "");
        assert!(Shape::of(&document).is_empty());
        document.action = action;
        assert_eq!(leading_action(&document), "deploy⟨U+000A⟩");
        assert!(!words(&shown(document.clone())).contains("deploy"), "it is there already");
        (document.amount, document.currency) = ("5.00".into(), "EUR".into());
        assert_eq!(leading_action(&document), "");
        assert!(words(&shown(document)).contains("deploy⟨U+000A⟩"), "it stands below then");
    }

    #[test]
    fn arguments_are_shown_nested_as_they_are() {
        let html = with(&json!({
            "image": "shop:2.3", "steps": [{"replicas": 3, "wait": null}, {"replicas": 4, "hosts": ["a", "b"]}],
            "ports": [80, 443.5, true], "none": {}, "neither": [],
        }));
        let text = words(&html);
        let shown: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(
            shown.join(" "),
            "Arguments image shop:2.3 neither [] none {} ports 80, 443.5, true steps replicas 3 wait null \
             hosts a b replicas 4"
        );
        let nested = html.matches("<dl").count();
        assert_eq!((nested, html.matches("</dl>").count()), (3, 3), "{html}");
        assert_eq!(html.matches("<ol").count(), 2, "{html}");
    }

    #[test]
    fn a_text_is_told_from_a_number_and_from_nothing() {
        for (value, text) in [
            (json!("1"), "\"1\""),
            (json!(1), "1"),
            (json!("null"), "\"null\""),
            (json!(null), "null"),
            (json!(""), "\"\""),
            (json!(" x"), "\" x\""),
            (json!("[]"), "\"[]\""),
            (json!("true story"), "true story"),
            (json!("a\u{202e}b"), "a⟨U+202E⟩b"),
        ] {
            // Top-level null is no argument at all.
            let text = format!("at {text}");
            let shown = words(&with(&json!({"at": value})));
            let shown: Vec<&str> = shown.split_whitespace().collect();
            assert!(shown.join(" ").ends_with(text.trim()), "{text}: {shown:?}");
        }
    }

    #[test]
    fn long_texts_and_many_values_are_folded_and_never_cut() {
        let long = format!("start {}end", "middle ".repeat(200));
        let many: Vec<String> = (0..60).map(|i| format!("host-{i}")).collect();
        let html = with(&json!({"script": long, "hosts": many}));
        assert!(html.contains(&long), "{html}");
        assert!(many.iter().all(|host| html.contains(&format!(">{host}<"))), "{html}");
        assert_eq!(html.matches("<details").count(), 2, "{html}");
        assert!(html.contains("1,409 characters") && html.contains("60 values"), "{html}");
        let detail = v1::Detail { label: "Log".into(), value: long.clone() };
        let html = shown(v1::Document { details: vec![detail], ..v1::Document::default() });
        assert!(html.contains(&long) && html.matches("<details").count() == 1, "{html}");
    }

    #[test]
    fn as_deep_as_arguments_may_be_all_is_nested_and_what_is_deeper_is_shown_as_json() {
        let nested = |depth: usize| (0..depth).fold(json!("core"), |inner, _| json!({"in": inner}));
        let html = with(&nested(MAX_DEPTH));
        assert_eq!(html.matches("class=\"tree\"").count(), MAX_DEPTH, "{html}");
        assert!(html.contains(">core<"), "{html}");
        let deeper = words(&with(&nested(MAX_DEPTH + 2)));
        assert!(deeper.contains("{\"in\":{\"in\":\"core\"}}"), "{deeper}");
    }

    #[test]
    fn what_others_wrote_is_never_markup_and_has_its_own_direction() {
        let evil = "</dd><script>alert(1)</script>\u{202e}";
        let action = v1::Action {
            name: evil.into(),
            arguments: Some(Json::from(&json!({evil: [evil, {evil: evil}]}))),
            risk: evil.into(),
            reason: evil.into(),
            on_behalf_of: evil.into(),
        };
        let document = v1::Document {
            amount: "1.00".into(),
            details: vec![v1::Detail { label: evil.into(), value: evil.into() }],
            action: Some(action),
            ..v1::Document::default()
        };
        let html = shown(document);
        assert!(!html.contains("<script") && !html.contains('\u{202e}'), "{html}");
        for text in html.split("&#60;script").skip(1).zip(html.split("&#60;script")) {
            let (_, before) = text;
            let tag = before.rsplit('<').next().unwrap_or_default();
            assert!(tag.contains("dir=\"auto\""), "{tag}: {html}");
        }
    }
}
