//! The command line: settings, `check-policy`, `doctor`, `list`, `explain`, `verify`, `public-key` and `new-key`.

mod check_policy;
mod inspect;
mod new_key;
mod settings;
mod verify;

pub use check_policy::{CheckPolicy, check_policy, load as load_policy};
pub use inspect::{doctor, explanation, list};
pub use new_key::new_key;
pub use settings::{Cli, Command, PolicyFile, RawSettings, Settings};
pub use verify::{load_keys, public_key, verify};
