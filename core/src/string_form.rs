//! Types that are strings in JSON.

/// Serialises a type as it is displayed and deserialises it as it is parsed, with
/// `#[serde(try_from = "String", into = "String")]` on the type.
macro_rules! string_form {
    ($($type:ty),+) => {$(
        impl TryFrom<String> for $type {
            type Error = <$type as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )+};
}

pub(crate) use string_form;
