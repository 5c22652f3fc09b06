//! Settings: an empty one counts as absent, and every wrong one is reported.

use std::fmt::{self, Display};

/// The setting of a log's format, which both programs have.
pub const LOG_FORMAT: &str = "COUNTERSIGN_LOG_FORMAT";

/// A setting's value. An empty one counts as absent: compose files set unused variables so.
pub fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

/// Whether logs are JSON, also where other settings, or this one, are wrong.
pub fn is_json(log_format: &Option<String>) -> bool {
    given(log_format) == Some("json")
}

/// Every wrong setting, by its name, and why; shown as one line each, after a line break.
#[derive(Debug, Default)]
pub struct WrongSettings(Vec<(&'static str, String)>);

impl WrongSettings {
    /// Reports a setting.
    pub fn add(&mut self, name: &'static str, why: impl Display) {
        self.0.push((name, why.to_string()));
    }

    /// What `read` makes of a setting; `None` if it is absent or wrong.
    pub fn optional<'a, T, E: Display>(
        &mut self,
        name: &'static str,
        value: &'a Option<String>,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        read(given(value)?).map_err(|why| self.add(name, why)).ok()
    }

    /// As [`optional`](Self::optional), but an absent setting is wrong too.
    pub fn required<'a, T, E: Display>(
        &mut self,
        name: &'static str,
        value: &'a Option<String>,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        if given(value).is_none() {
            self.add(name, "is required");
        }
        self.optional(name, value, read)
    }

    /// Reports a format of logs that there is not.
    pub fn log_format(&mut self, value: &Option<String>) {
        self.optional(LOG_FORMAT, value, |format| match format {
            "text" | "json" => Ok(()),
            _ => Err("must be text or json"),
        });
    }

    /// The settings, if nothing was reported.
    ///
    /// # Errors
    /// Otherwise.
    pub fn none_or<T>(self, settings: Option<T>) -> Result<T, Self> {
        settings.filter(|_| self.0.is_empty()).ok_or(self)
    }
}

impl Display for WrongSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, why)| write!(f, "\n  {name}: {why}"))
    }
}

impl std::error::Error for WrongSettings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_setting_is_absent_and_every_wrong_one_is_named() {
        let [none, empty, three] = [None, Some(" "), Some(" 3 ")].map(|it| it.map(str::to_owned));
        let mut wrong = WrongSettings::default();
        assert_eq!(wrong.optional("A", &none, str::parse::<u8>), None);
        assert_eq!(wrong.optional("B", &empty, str::parse::<u8>), None);
        assert_eq!(wrong.required("C", &three, str::parse::<u8>), Some(3));
        wrong = wrong.none_or(None::<()>).expect_err("nothing to return");
        assert_eq!(wrong.to_string(), "");
        assert_eq!(wrong.required("D", &empty, str::parse::<u8>), None);
        wrong.optional("E", &three, str::parse::<bool>);
        wrong.log_format(&three);
        let said = wrong.none_or(Some(())).expect_err("three are wrong").to_string();
        let parts =
            ["\n  D: is required\n  E: ", "\n  COUNTERSIGN_LOG_FORMAT: must be text or json"];
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}
