//! The command line: settings, `check-policy`, `verify` and `public-key`.

mod check_policy;
mod settings;
mod verify;

pub use check_policy::{check_policy, load as load_policy};
pub use settings::{Cli, Command, PolicyFile, RawSettings, Settings};
pub use verify::{load_keys, public_key, verify};
