//! The rules of an approval: what a submission has to be, who decides it, and what follows from their
//! decisions.
//!
//! Pure: time, and the text of files, come in as arguments. `Cargo.toml` keeps out what does I/O, and
//! `clippy.toml` clocks, files, the environment and maps without an order.

// Names say what they can; comments say what they cannot.
#![allow(missing_docs)]

pub mod approval;
pub mod ballot;
pub mod commands;
pub mod delegation;
pub mod diagnosis;
pub mod email;
pub mod fields;
pub mod journal;
pub mod leaves;
pub mod limits;
pub mod money;
pub mod outcome;
pub mod policy;
#[cfg(test)]
mod properties;
pub mod receipt;
pub mod revision;
pub mod seat;
pub mod stage_plan;
mod string_form;
#[cfg(test)]
mod testing;
pub mod validation;
