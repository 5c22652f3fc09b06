//! Stories about Countersign, told with real processes: a Temporal server, workers, a signaler,
//! a browser, an SMTP server, an emulator of SNS, and proxies that terminate TLS.
//!
//! The stories are in `tests/stories`. This library is their vocabulary: a [`Stack`] is one
//! installation of the product beside a [`Temporal`] server, and everything that a story starts
//! ends with it, also when it fails or is killed. Stories see the product from outside only:
//! its binaries, settings, mails, pages, and what Temporal knows.

// Names say what they can; comments say what they cannot.
#![allow(missing_docs)]

mod browser;
mod codec;
mod collector;
mod denying_proxy;
mod grpc;
mod holidays;
mod jws;
mod mail;
mod page;
mod process;
mod python;
mod replay;
mod rogue;
pub mod rules;
mod smtp;
mod sns;
mod stack;
pub mod submission;
mod temporal;
mod tls_proxy;
mod wait;
mod webhook;

pub use browser::Browser;
pub use codec::{
    CodecServer, PAYLOAD_KEYS, coded, encrypting_client, is_on as is_encrypted, payload_keys,
};
pub use collector::{Collector, Span};
pub use denying_proxy::DenyingProxy;
pub use grpc::{Grpc, application_failure, json_payload, payload, task_failures};
pub use holidays::{HolidayFile, holidays};
pub use jws::verified;
pub use mail::Mail;
pub use page::{Page, Reader};
pub use process::{Exit, Process, faketime, free_port, older, product, scratch, tool, workspace};
pub use python::python_with;
pub use replay::{replay, replay_json};
pub use rogue::{
    Marker, Rogue, complete_workflow, continue_as_approval, publish_links, schedule_activity,
    start_approval,
};
pub use smtp::{Delivered, MailServer};
pub use sns::{Queue, Topic};
pub use stack::{DEFAULT_REVIEWER, Settings, Stack, StackBuilder, link_key};
pub use temporal::{
    AS_WITH_SQL_STORES, End, History, Payload, Temporal, Workflow, ignored_because, list, text,
};
pub use tls_proxy::TlsProxy;
pub use wait::{eventually, until, within};
pub use webhook::{Answer, Delivery, Receiver, SelfSigned};
