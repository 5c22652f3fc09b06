//! What Countersign is for, told with real processes. Each module is a theme, each test a sentence.

mod callers;
mod claims;
mod decoders;
mod endings;
mod examples;
mod floods;
mod forgery;
mod harness;
mod histories;
mod links;
mod notifiers;
mod operation;
mod outages;
mod person;
mod policies;
mod secrets;
mod signals;
mod stages;
mod starts;
mod stops;
mod submissions;
mod takeovers;
mod undelivered;
mod upgrades;
mod verification;
mod webhook;
