//! Text that others wrote, made safe to look at.

/// Leaves out what is invisible and could mislead: control characters, and those that reorder the
/// text around them. Line breaks and tabs stay.
pub(crate) fn clean(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| !misleads(*c)).collect()
}

/// [`clean`], on one line.
pub(crate) fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn misleads(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mislead_is_left_out_and_the_rest_stays() {
        assert_eq!(clean("a\u{202E}gpj.exe\u{2066}\0\u{7}b\r\nc\td"), "agpj.exeb\nc\td");
        assert_eq!(clean("Łódź 東京 مرحبا 👩‍💻"), "Łódź 東京 مرحبا 👩‍💻");
        assert_eq!(clean_line(" a\n\n b\t\u{200B}c "), "a b c");
    }
}
