//! Connecting to Temporal, registering search attributes, making workers, and looking at what there is.

mod identities;
mod inspect;
mod nexus;
mod plugin;
mod stale_queries;
mod startup;

pub use inspect::Inspector;
pub use plugin::{Telemetry, Workers, plugin, slots, worker, worker_with};
pub use startup::{TemporalSettings, connect, register_search_attributes, temporal_settings};
