//! What worker and signaler tell about themselves besides their logs: metrics, health and traces.

pub mod listener;
pub mod metrics;
pub mod program;
pub mod sdk;
pub mod traces;
