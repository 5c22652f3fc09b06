//! The command line: settings, `check-policy`, `doctor`, `list`, `explain`, `verify`, `public-key` and `new-key`.

mod check_policy;
mod inspect;
mod new_key;
mod output;
mod policy_file;
mod settings;
mod verify;

pub use check_policy::{CheckPolicy, check_policy};
pub use inspect::{doctor, explanation, list};
pub use new_key::new_key;
pub use output::print;
pub use policy_file::{PolicyFile, load as load_policy};
pub use settings::{Cli, Command, RawSettings, Settings};
pub use verify::{load_keys, public_key, verify};
