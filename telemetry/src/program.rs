//! What a process is: which both programs tell in the same way.

use countersign_protos::LinkKeys;

use crate::metrics::{Gauge, Label, Metrics};

/// A program's version and its keys, as metrics.
pub struct Program {
    name: &'static str,
    build: Gauge<2>,
    keys: Gauge<2>,
}

impl Program {
    /// Adds them to a program's metrics.
    pub fn new(all: &mut Metrics, name: &'static str) -> Self {
        let build = all.gauge(
            "countersign_build_info",
            "1, with the version that runs.",
            [Label::own("program", name), Label::own("version", "as in Cargo.toml")],
        );
        let keys = all.gauge(
            "countersign_link_key_info",
            "1 for each link key. All workers and signalers should have the same.",
            [
                Label::own("fingerprint", "the key's, as the log has it"),
                Label::of("signs", &["true", "false"]),
            ],
        );
        Self { name, build, keys }
    }

    /// The process has begun.
    pub fn started(&self, version: &str, keys: &LinkKeys) {
        self.build.tell([[self.name, version]]);
        let keys: Vec<String> = keys.iter().map(|key| key.fingerprint()).collect();
        let signs = |(i, key)| [key, if i == 0 { "true" } else { "false" }];
        self.keys.tell(keys.iter().map(String::as_str).enumerate().map(signs));
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::TEST_KEYS;

    use super::*;

    #[test]
    fn keys_are_told_apart_by_fingerprint_and_the_first_one_signs() {
        let keys: LinkKeys = format!("{},{}", TEST_KEYS[0], TEST_KEYS[1]).parse().expect("keys");
        let mut metrics = Metrics::default();
        let program = Program::new(&mut metrics, "worker");
        program.started("0.4.0", &keys);
        let page = metrics.page();
        for (key, signs) in keys.iter().zip(["true", "false"]) {
            let labels = format!("fingerprint=\"{}\",signs=\"{signs}\"", key.fingerprint());
            let line = format!("countersign_link_key_info{{{labels}}} 1\n");
            assert!(page.contains(&line), "{line} is missing in {page}");
        }
        let build = "countersign_build_info{program=\"worker\",version=\"0.4.0\"} 1\n";
        assert!(page.contains(build), "{page}");
        assert!(!page.contains(TEST_KEYS[0]) && !page.contains(TEST_KEYS[1]));
    }
}
