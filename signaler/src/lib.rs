//! Shows reviewers what they are asked to approve, and signals their decisions to the workflow.
//!
//! A request goes through `routes`, for which `arrived` reads the link, to `approvals`, which asks Temporal
//! (`lookup` finds the run that issued a link, by the claims that `index` has of it), or by way of `decision`,
//! `delegation` or `acts` to `signal`, which sends a signal and follows it. `answer` decides what follows,
//! `disclosure` what the link still shows, `wording` says it, and `reply` sends it as a page of `views` or as
//! `json`.

mod acts;
mod address;
mod answer;
mod approvals;
mod arrived;
mod connections;
mod decision;
mod delegation;
mod delegation_form;
mod disclosure;
mod form;
mod genuine;
mod history;
mod index;
mod inputs;
mod json;
mod key_check;
mod lookup;
mod metrics;
mod middleware;
mod monitoring;
mod openapi;
mod outbox;
mod problem;
mod rate_limit;
mod reply;
mod revision;
mod routes;
mod server;
mod settings;
mod shape;
mod signal;
mod signalled;
mod submitter;
mod temporal;
mod times;
mod versions;
mod views;
mod wording;

use std::sync::Arc;

use axum::Router;
use countersign_connection::TemporalSettings;
use ipnet::IpNet;

use crate::{
    approvals::Approvals, key_check::KeyCheck, outbox::Outbox, rate_limit::Limits, views::Site,
};
pub use crate::{
    monitoring::monitor,
    server::serve,
    settings::{Arguments, Settings, cannot_start, log},
};

/// What all requests share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    approvals: Approvals,
    keys: KeyCheck,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    outbox: Option<Outbox>,
    /// Whether browsers are told to use nothing but https.
    https_only: bool,
    site: Site,
}

impl App {
    /// Starts connecting to Temporal in the background.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(settings: Settings) -> Self {
        settings.temporal.tell_codec();
        let TemporalSettings { connection, client, .. } = settings.temporal;
        let root = settings.public_url.path().to_owned();
        App(Arc::new(Inner {
            approvals: Approvals::connect(connection, client, settings.link_keys.jwks()),
            keys: KeyCheck::new(settings.link_keys),
            limits: Limits::new(settings.limit_address, settings.limit_link),
            trusted_proxies: settings.trusted_proxies,
            https_only: settings.public_url.is_public_https(),
            site: Site {
                stylesheet: format!("{root}/assets/{}", *routes::STYLESHEET_NAME),
                outbox: settings.outbox.is_some(),
                imprint: settings.organization.map(|it| it.imprint()).unwrap_or_default(),
                origin: settings.public_url.origin().to_owned(),
                root,
            },
            outbox: settings.outbox.map(|directory| Outbox::new(directory, &settings.public_url)),
        }))
    }

    /// Why this process can never reach Temporal with its settings, as soon as that is known.
    pub fn misconfigured(&self) -> impl Future<Output = String> + use<> {
        self.0.approvals.misconfigured()
    }

    /// All routes, without a listener.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }
}
