//! The signaler's answers, and what a reader finds on them.

use std::time::Duration;

use mail_parser::decoders::html::html_to_text;
use reqwest::{Client, RequestBuilder, Response, Url, header::HeaderMap};

/// An answer of the signaler.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    /// The words on the page, without the markup, with single spaces.
    pub fn text(&self) -> String {
        // The parser leaves out what links and buttons say only where they say nothing.
        html_to_text(&self.body).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// What a hidden field of the page's form carries.
    pub fn hidden(&self, name: &str) -> String {
        let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&field).expect("a hidden field of this name");
        rest.split('"').next().expect("a value").to_owned()
    }

    /// The names and values of all buttons on the page that send a form with a value.
    pub fn buttons(&self) -> Vec<(String, String)> {
        let buttons = self.body.split("<button type=\"submit\" name=\"").skip(1);
        let read = |rest: &str| {
            let mut quoted = rest.split('"').step_by(2);
            Some((quoted.next()?.to_owned(), quoted.next()?.to_owned()))
        };
        buttons.filter_map(read).collect()
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether a reader finds these words on the page, in whatever case.
    pub fn says(&self, words: &str) -> bool {
        self.text().to_lowercase().contains(&words.to_lowercase())
    }

    /// Where a browser goes on after this answer to a form at that address.
    pub fn leads_to(&self, at: &str) -> Option<String> {
        let at = Url::parse(at).expect("an address");
        let next = || at.join(self.header("location")).expect("an address");
        (self.status == 303).then(|| next().into())
    }

    /// Insists on a status and on words on the page.
    #[track_caller]
    pub fn expect(&self, status: u16, says: &[&str]) {
        assert_eq!(self.status, status, "the page says: {}", self.text());
        for words in says {
            assert!(self.says(words), "the page does not say {words:?}: {}", self.text());
        }
    }
}

/// Somebody's browser, as far as HTTP goes: keeps connections, and is sent on after a form alone.
#[derive(Clone)]
pub struct Reader(Client);

impl Default for Reader {
    fn default() -> Self {
        let client = Client::builder()
            .no_proxy()
            // Proxies before the signaler have certificates of their own.
            .danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(40));
        Reader(client.build().expect("an HTTP client"))
    }
}

impl Reader {
    pub async fn open(&self, link: &str) -> Page {
        read(self.0.get(link)).await
    }

    /// Opens a link where there may be no server.
    pub async fn try_open(&self, link: &str) -> Option<Page> {
        let answer = self.0.get(link).send().await.ok()?;
        Some(page(answer).await)
    }

    /// Opens a link that is on another page as browsers do: they name that page, and take compressed ones.
    pub async fn follow(&self, page: &str, link: &str) -> Page {
        let asked = self.0.get(link).header("referer", page);
        read(asked.header("accept-encoding", "gzip")).await
    }

    /// Asks for a link's headers only, as a mail scanner may do.
    pub async fn head(&self, link: &str) -> Page {
        read(self.0.head(link)).await
    }

    /// Opens a link as a program does.
    pub async fn open_as_json(&self, link: &str) -> Page {
        read(self.0.get(link).header("accept", "application/json")).await
    }

    /// Presses the button on a link's page. Returns the page to which that leads.
    pub async fn press(&self, link: &str, verdict: &str, comment: &str) -> Page {
        self.submit(link, &[("verdict", verdict), ("comment", comment)]).await
    }

    /// Presses the button where there may be no server; `None` says nothing about what happened.
    pub async fn try_press(&self, link: &str, verdict: &str, comment: &str) -> Option<Page> {
        let link = link.split('?').next().expect("a link");
        let form = [("verdict", verdict), ("comment", comment)];
        let answer = page(self.0.post(link).form(&form).send().await.ok()?).await;
        match answer.leads_to(link) {
            Some(next) => self.try_open(&next).await,
            None => Some(answer),
        }
    }

    /// Sends a form with these fields to a link's page. Returns the page to which that leads.
    pub async fn submit(&self, link: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.submit_only(link, fields).await;
        match answer.leads_to(link) {
            Some(next) => self.open(&next).await,
            None => answer,
        }
    }

    /// Sends a form with these fields to a link's page, and is sent nowhere.
    pub async fn submit_only(&self, link: &str, fields: &[(&str, &str)]) -> Page {
        let link = link.split('?').next().expect("a link");
        read(self.0.post(link).form(fields)).await
    }

    /// Sends a form with these fields as a program does.
    pub async fn submit_as_json(&self, link: &str, fields: &[(&str, &str)]) -> Page {
        let link = link.split('?').next().expect("a link");
        read(self.0.post(link).header("accept", "application/json").form(fields)).await
    }
}

async fn read(request: RequestBuilder) -> Page {
    page(request.send().await.expect("the signaler answers")).await
}

async fn page(answer: Response) -> Page {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Page { status, headers, body: answer.text().await.expect("a body") }
}
