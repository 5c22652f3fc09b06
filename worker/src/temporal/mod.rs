//! Connecting to Temporal, registering search attributes, making workers, and looking at what there is.

mod client;
mod identities;
mod inspect;
mod nexus;
mod plugin;
mod queries;
mod query_guard;
mod search_attributes;

pub use client::{TemporalSettings, connect, temporal_settings};
pub use inspect::Inspector;
pub use plugin::{Telemetry, Workers, plugin, slots, worker, worker_with};
pub(crate) use queries::Queries;
pub use search_attributes::register_search_attributes;
