//! Looks for approval IDs outside of mails, for all of them at once.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

const DASHED: usize = 29;
const PLAIN: usize = 24;

/// Genuine approval IDs, with and without dashes.
pub(crate) struct Secrets(HashSet<Vec<u8>>);

impl Secrets {
    /// From IDs as they are mailed.
    pub(crate) fn of(ids: impl Iterator<Item = String>) -> Self {
        let both = |id: String| [id.replace('-', "").into_bytes(), id.into_bytes()];
        Secrets(ids.flat_map(both).collect())
    }

    /// How many approval IDs are in a text.
    pub(crate) fn count_in(&self, text: &[u8]) -> usize {
        let text = text.to_ascii_uppercase();
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        text.split(|byte| !word(byte))
            .filter(|word| word.len() >= PLAIN)
            .flat_map(|word| word.windows(DASHED).chain(word.windows(PLAIN)))
            .filter(|window| self.0.contains(*window))
            .count()
    }

    /// How many approval IDs are in a file.
    pub(crate) fn count_in_file(&self, path: &Path) -> std::io::Result<usize> {
        let mut file = BufReader::new(File::open(path)?);
        let (mut found, mut rest) = (0, Vec::new());
        loop {
            let read = file.by_ref().take(8 << 20).read_to_end(&mut rest)?;
            found += self.count_in(&rest);
            if read == 0 {
                return Ok(found);
            }
            // One that lies across two pieces is found in the second.
            rest.drain(..rest.len().saturating_sub(DASHED - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_however_it_is_written() {
        let id = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T";
        let secrets = Secrets::of([id.to_owned()].into_iter());
        for text in [format!("/a/{id}?x"), id.to_lowercase(), format!("x{}y", id.replace('-', ""))]
        {
            assert_eq!(secrets.count_in(text.as_bytes()), 1, "{text}");
        }
        assert_eq!(secrets.count_in(b"7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6S"), 0);
    }
}
