//! The worker's side of Countersign.

pub mod approval;
pub mod money;
pub mod validation;
