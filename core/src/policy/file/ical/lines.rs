//! The lines of an iCalendar file.

/// A content line (RFC 5545, 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Of its first part in the file, from 1.
    pub(super) number: usize,
    /// In capitals.
    pub(super) name: String,
    /// Names in capitals, values without quotation marks.
    parameters: Vec<(String, String)>,
    /// Without spaces around it.
    pub(super) value: String,
    /// Whether it has a name and a value.
    pub(super) is_property: bool,
}

/// The lines, unfolded, by whatever they end. Blank ones are left out.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut unfolded: Vec<(usize, String)> = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        // Files that were put together have a byte order mark in the middle, too.
        let line = line.trim_start_matches('\u{feff}');
        match (line.strip_prefix([' ', '\t']), unfolded.last_mut()) {
            _ if line.trim().is_empty() => {}
            (Some(more), Some((_, start))) => start.push_str(more),
            _ => unfolded.push((i + 1, line.to_owned())),
        }
    }
    unfolded.into_iter().map(|(number, line)| Line::parse(number, &line)).collect()
}

impl Line {
    fn parse(number: usize, line: &str) -> Self {
        let colon = unquoted(line, ':').next();
        let (head, value) = colon.map_or((line, ""), |at| (&line[..at], &line[at + 1..]));
        let mut parts = split(head, ';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_uppercase();
        let parameters = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_ascii_uppercase(), value.trim().trim_matches('"').to_owned())
        });
        Self {
            number,
            parameters: parameters.collect(),
            value: value.trim().to_owned(),
            is_property: colon.is_some() && !name.is_empty(),
            name,
        }
    }

    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let known = self.parameters.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| value.as_str())
    }

    /// The value as people read it: without escapes (RFC 5545, 3.3.11).
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut chars = self.value.chars();
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some('n' | 'N') => text.push('\n'),
                    next => text.extend(next),
                },
                (c, false) => text.push(c),
            }
        }
        text
    }
}

/// Where a character stands outside of quotation marks.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, c)| {
        quoted ^= c == '"';
        (c == wanted && !quoted).then_some(at)
    })
}

fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let ends: Vec<usize> = unquoted(text, separator).chain([text.len()]).collect();
    let starts: Vec<usize> = [0].into_iter().chain(ends.iter().map(|end| end + 1)).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
}
