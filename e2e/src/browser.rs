//! A person's browser: Chromium without a window.

use std::{path::Path, process::Command, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator, error::CmdError};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::{
    process::{Process, free_port},
    wait::{eventually, until},
};

/// A running browser with one window, the size of a phone's.
pub struct Browser {
    client: Client,
    _driver: Process,
}

impl Browser {
    /// Starts Chromium with an empty profile below `dir`.
    pub async fn start(dir: &Path) -> Browser {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Process::start("chromedriver", dir, &command);
        let profile = format!("--user-data-dir={}", dir.join("chromium").display());
        let options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=412,915", profile,
            ],
        });
        let capabilities: serde_json::Map<String, Value> =
            [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let url = format!("http://127.0.0.1:{port}");
        eventually("chromedriver to start", async || {
            driver.log().contains("started successfully").then_some(())
        })
        .await;
        // On a busy machine Chromium can be too late for its driver, which then gives up.
        let client = eventually("Chromium to start", async || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let client = builder.capabilities(capabilities.clone()).connect(&url).await;
            client.inspect_err(|error| eprintln!("{error:?}\n{}", driver.recent_log())).ok()
        })
        .await;
        Browser { client, _driver: driver }
    }

    pub async fn open(&self, link: &str) {
        self.client.goto(link).await.expect("the link opens");
    }

    /// Loads the page once more.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("it is loaded");
    }

    /// Goes back to the page before.
    pub async fn back(&self) {
        self.client.back().await.expect("there is a page before");
    }

    /// The words that are visible on the page; an error while one page gives way to the next.
    async fn text(&self) -> Result<String, CmdError> {
        let body = self.client.find(Locator::Css("body")).await?;
        Ok(body.text().await?.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Insists that these words become visible on the page, in whatever case.
    pub async fn expect(&self, words: &str) {
        until(Duration::from_secs(20), format!("the page to say {words:?}"), async || {
            let seen = self.text().await.map_err(|error| error.to_string())?;
            match seen.to_lowercase().contains(&words.to_lowercase()) {
                true => Ok(()),
                false => Err(seen),
            }
        })
        .await;
    }

    /// Writes into the page's comment field.
    pub async fn write_comment(&self, comment: &str) {
        let field = self.client.find(Locator::Css("textarea[name=comment]")).await;
        field.expect("a field for the comment").send_keys(comment).await.expect("it takes text");
    }

    /// Writes into an input, in place of what stands there.
    pub async fn write(&self, name: &str, text: &str) {
        let input = self.client.find(Locator::Css(&format!("[name='{name}']"))).await;
        let input = input.expect("an input");
        input.clear().await.expect("it can be emptied");
        input.send_keys(text).await.expect("it takes text");
    }

    /// Chooses one of a list, or of several buttons.
    pub async fn choose(&self, name: &str, value: &str) {
        let choice =
            format!("[name='{name}'][value='{value}'], [name='{name}'] option[value='{value}']");
        let choice = self.client.find(Locator::Css(&choice)).await;
        choice.expect("a choice").click().await.expect("it can be chosen");
    }

    /// The verdicts that the page offers, and whether each one stands out.
    pub async fn button(&self, verdict: &str) -> fantoccini::elements::Element {
        let button = format!("button[name=verdict][value={verdict}]");
        self.client.find(Locator::Css(&button)).await.expect("a button for the verdict")
    }

    /// Presses the button of a verdict.
    pub async fn press(&self, verdict: &str) {
        self.button(verdict).await.click().await.expect("it can be pressed");
    }

    /// What a script on the page returns.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.expect("a script")
    }

    /// A picture of the page, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    pub async fn close(self) {
        self.client.close().await.expect("it closes");
    }
}
