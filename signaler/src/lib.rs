//! Shows reviewers what they are asked to approve, and tells the workflow what they decide.
//!
//! `routes` is what can be asked, `approvals` is how Temporal is asked, `lookup` finds the run that
//! issued a link, and `judgement` is what the answer is; `reply` says it with the words of `sentences` and the pages of `views`.

mod approvals;
mod decision;
mod history;
mod judgement;
mod limits;
mod lookup;
mod middleware;
mod outbox;
mod reply;
mod routes;
mod sentences;
mod server;
mod settings;
mod temporal;
mod views;

use std::sync::Arc;

use axum::Router;
use countersign_protos::LinkKeys;
use ipnet::IpNet;

use crate::{approvals::Approvals, limits::Limits, outbox::Outbox, views::Site};
pub use crate::{
    server::serve,
    settings::{Arguments, LogFormat, Settings, Wrong},
};

/// Everything that requests share. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    approvals: Approvals,
    keys: LinkKeys,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    outbox: Option<Outbox>,
    site: Site,
}

impl App {
    /// Starts connecting to Temporal, and does not wait for it.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn new(settings: Settings) -> Self {
        let (connection, client) = settings.temporal;
        let root = settings.public_url.path().to_owned();
        App(Arc::new(Inner {
            approvals: Approvals::connect(connection, client),
            keys: settings.link_keys,
            limits: Limits::new(settings.limit_address, settings.limit_link),
            trusted_proxies: settings.trusted_proxies,
            site: Site {
                stylesheet: format!("{root}/assets/{}", *routes::STYLESHEET_NAME),
                outbox: settings.outbox.is_some(),
                origin: settings.public_url.origin().to_owned(),
                root,
            },
            outbox: settings.outbox.map(|directory| Outbox::new(directory, &settings.public_url)),
        }))
    }

    /// The service, without a listener.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    fn approvals(&self) -> &Approvals {
        &self.0.approvals
    }

    fn keys(&self) -> &LinkKeys {
        &self.0.keys
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    fn trusted_proxies(&self) -> &[IpNet] {
        &self.0.trusted_proxies
    }

    fn outbox(&self) -> Option<&Outbox> {
        self.0.outbox.as_ref()
    }

    fn site(&self) -> &Site {
        &self.0.site
    }
}
