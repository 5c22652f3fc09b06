//! Holidays in calendar files, found by a library that nobody here wrote.

use serde::Deserialize;
use serde_json::json;

use crate::python::python;

/// A calendar file, and its days off as dates; `None` if the library cannot read it.
#[derive(Debug, Deserialize)]
pub struct HolidayFile {
    pub name: String,
    pub text: String,
    pub days: Option<Vec<String>>,
}

/// The days off of files in these years; without files, of those that the library is tested with.
pub async fn holidays(
    files: Option<&[String]>,
    zone: &str,
    years: std::ops::Range<i16>,
) -> Vec<HolidayFile> {
    let mut asked = json!({"zone": zone, "from": years.start, "before": years.end});
    if let Some(files) = files {
        asked["files"] = json!(files);
    }
    let (code, printed) = python(include_str!("holidays.py"), &[], &asked.to_string()).await;
    assert_eq!(code, 0, "{printed}");
    // Warnings of the library come behind it.
    let mut values = serde_json::Deserializer::from_str(&printed).into_iter();
    values.next().expect("an answer").unwrap_or_else(|_| panic!("{printed}"))
}
