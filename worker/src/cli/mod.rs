//! The command line: settings, and `check-policy`.

mod check_policy;
mod settings;

pub use check_policy::{check_policy, load as load_policy};
pub use settings::{Cli, Command, PolicyFile, RawSettings, Settings};
