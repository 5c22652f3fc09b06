//! What is wrong with a rules file, and where.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What is wrong there.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Another place that has to do with it, and why.
    pub also: Option<(Range<usize>, String)>,
    /// Whether something is missing: where the file cannot be read as a whole it may be there.
    pub(super) missing: bool,
}

impl Mistake {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, also: None, missing: false }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn also(mut self, span: Range<usize>, why: impl Into<String>) -> Self {
        self.also = Some((span, why.into()));
        self
    }

    pub(super) fn missing(mut self) -> Self {
        self.missing = true;
        self
    }
}

/// Everything that is wrong with a rules file; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    name: String,
    text: String,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    pub(super) fn new(name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        mistakes.dedup();
        Self { name: name.to_owned(), text: text.to_owned(), mistakes }
    }

    /// Each, from the top of the file on.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter()
    }

    /// The line and the column, in characters, of a mistake; both from 1.
    pub fn position(&self, mistake: &Mistake) -> (usize, usize) {
        let before = self.text.get(..mistake.span.start).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// With the lines of the file, the offending text marked.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let reports: Vec<String> =
            self.mistakes.iter().map(|mistake| renderer.render(&self.report(mistake))).collect();
        let number = match reports.len() {
            1 => "1 mistake".to_owned(),
            number => format!("{number} mistakes"),
        };
        format!("{}\n\n{}: {number}", reports.join("\n\n"), self.name)
    }

    fn report<'a>(&'a self, mistake: &'a Mistake) -> Vec<annotate_snippets::Group<'a>> {
        let mut snippet = Snippet::source(self.text.as_str())
            .path(self.name.as_str())
            .annotation(AnnotationKind::Primary.span(self.marked(&mistake.span)));
        if let Some((span, why)) = &mistake.also {
            let context = AnnotationKind::Context.span(self.marked(span)).label(why.as_str());
            snippet = snippet.annotation(context);
        }
        let mut report = Level::ERROR.primary_title(mistake.message.as_str()).element(snippet);
        if let Some(help) = &mistake.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        vec![report]
    }

    /// The span within the text, on one line.
    fn marked(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let line = self.text.get(start..end).and_then(|text| text.find('\n'));
        start..line.map_or(end, |line| start + line)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}

/// The name that was probably meant.
pub(super) fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance =
        |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let closest = names.into_iter().map(|known| (distance(known), known)).min()?;
    (closest.0 <= closest.1.chars().count().div_ceil(3)).then_some(closest.1)
}
