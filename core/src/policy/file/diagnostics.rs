//! What is wrong in a file that people write, or may be, and where.

use std::{fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// It is allowed, and may be a mistake.
    Warning,
    /// To be compared with what was meant.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One thing that is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Its place, in bytes.
    pub span: Range<usize>,
    /// What is wrong there, in a few words.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// A related place, and how it is related.
    pub also: Option<(Range<usize>, String)>,
    /// Whether it says that something is missing: in a file with syntax errors, it may be there.
    pub(super) missing: bool,
}

impl Diagnostic {
    /// An error.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        let (severity, message) = (Severity::Error, message.into());
        Self { severity, span, message, help: None, also: None, missing: false }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(span, message) }
    }

    pub(super) fn note(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::new(span, message) }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
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

/// Everything that is wrong with a file, or may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    name: String,
    text: String,
    diagnostics: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn new(name: &str, text: &str, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        diagnostics.dedup();
        Self { name: name.to_owned(), text: text.to_owned(), diagnostics }
    }

    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Each, from top to bottom of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter()
    }

    /// The line and the column, in characters, of a diagnostic; both from 1.
    pub fn position(&self, diagnostic: &Diagnostic) -> (usize, usize) {
        let before = self.text.get(..diagnostic.span.start).unwrap_or(&self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// Each in a line, as compilers print them: `file:line: warning: what may be wrong: what would be right`.
    pub fn lines(&self) -> Vec<String> {
        let line = |diagnostic: &Diagnostic| {
            let Diagnostic { severity, message, help, .. } = diagnostic;
            let help = help.iter().map(|help| format!(": {help}")).collect::<String>();
            format!("{}:{}: {severity}: {message}{help}", self.name, self.position(diagnostic).0)
        };
        self.iter().map(line).collect()
    }

    /// With the lines of the file, the offending text marked.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let reports: Vec<String> = self
            .diagnostics
            .iter()
            .map(|diagnostic| renderer.render(&self.report(diagnostic)))
            .collect();
        let number = match reports.len() {
            1 => "1 error".to_owned(),
            number => format!("{number} errors"),
        };
        format!("{}\n\n{}: {number}", reports.join("\n\n"), self.name)
    }

    fn report<'a>(&'a self, diagnostic: &'a Diagnostic) -> Vec<annotate_snippets::Group<'a>> {
        let mut snippet = Snippet::source(self.text.as_str())
            .path(self.name.as_str())
            .annotation(AnnotationKind::Primary.span(self.marked(&diagnostic.span)));
        if let Some((span, why)) = &diagnostic.also {
            let context = AnnotationKind::Context.span(self.marked(span)).label(why.as_str());
            snippet = snippet.annotation(context);
        }
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut report = level.primary_title(diagnostic.message.as_str()).element(snippet);
        if let Some(help) = &diagnostic.help {
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

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
