//! Connecting to Temporal, registering search attributes, and making workers.

mod identities;
mod plugin;
mod stale_queries;
mod startup;

pub use plugin::{Telemetry, Workers, plugin, slots, worker, worker_with};
pub use startup::{TemporalSettings, connect, register_search_attributes, temporal_settings};
