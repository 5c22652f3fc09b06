//! Encrypted payloads. Where COUNTERSIGN_TEST_ENCRYPTED is set, every story runs with them: workers and signalers have
//! keys, and Temporal's command line asks a codec server, as an operator's does.

use std::{process::Command, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_connection::{TemporalSettings, read};
use countersign_protos::settings::{Environment, WrongSettings};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use temporalio_client::{ClientOptions, envconfig::LoadClientConfigProfileOptions};
use temporalio_common::{
    data_converters::SerializationContextData,
    protos::temporal::api::{
        common::v1::Payload,
        failure::v1::Failure,
        history::v1::{HistoryEvent, history_event::Attributes},
    },
};
use tokio::sync::OnceCell;

use crate::{
    page::Reader,
    process::{Process, free_port, scratch, tool, workspace},
    stack::link_key,
    wait::eventually,
};

/// The setting that has the keys.
pub const PAYLOAD_KEYS: &str = "COUNTERSIGN_PAYLOAD_KEYS";

/// Whether stories run with encrypted payloads, unless they say otherwise.
pub fn is_on() -> bool {
    std::env::var_os("COUNTERSIGN_TEST_ENCRYPTED").is_some_and(|value| !value.is_empty())
}

/// The keys of all stories that are encrypted: they may share a server.
pub fn payload_keys() -> &'static str {
    static KEYS: LazyLock<String> = LazyLock::new(|| format!("stories:{}", link_key()));
    &KEYS
}

/// What an installation has in its settings.
pub(crate) fn settings() -> Option<(String, String)> {
    is_on().then(|| (PAYLOAD_KEYS.to_owned(), payload_keys().to_owned()))
}

/// Of a client that reads what was encrypted. Stories send in the clear, which everybody reads.
pub(crate) fn client_options() -> ClientOptions {
    options(format!("none,{}", payload_keys()))
}

/// Of a client that encrypts as the product does.
pub fn encrypting_client() -> ClientOptions {
    options(payload_keys().to_owned())
}

/// Payloads as a client encodes or decodes them.
pub async fn coded(client: &ClientOptions, encode: bool, payloads: Vec<Payload>) -> Vec<Payload> {
    let (codec, context) = (client.data_converter.codec(), SerializationContextData::None);
    let coded = match encode {
        true => codec.encode(&context, payloads).await,
        false => codec.decode(&context, payloads).await,
    };
    coded.expect("payloads")
}

fn options(keys: String) -> ClientOptions {
    let environment = Environment::new([(PAYLOAD_KEYS, keys)], |path| std::fs::read(path));
    let options = LoadClientConfigProfileOptions::builder().disable_file(true).build();
    let settings = read(&environment, options, &mut WrongSettings::default());
    let TemporalSettings { client, .. } = settings.expect("good settings");
    client
}

/// An event whose failure says in its message what it says: an SDK that encodes failures has that beside it.
pub(crate) fn revealed(mut event: HistoryEvent) -> HistoryEvent {
    let failure = match &mut event.attributes {
        Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => &mut failed.failure,
        Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => &mut failed.failure,
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => &mut failed.failure,
        Some(Attributes::MarkerRecordedEventAttributes(marker)) => &mut marker.failure,
        _ => return event,
    };
    if let Some(failure) = failure {
        reveal(failure);
    }
    event
}

fn reveal(failure: &mut Failure) {
    #[derive(Deserialize)]
    struct Encoded {
        message: String,
    }
    let encoded = failure.encoded_attributes.as_ref();
    if let Some(Encoded { message }) =
        encoded.and_then(|json| serde_json::from_slice(&json.data).ok())
    {
        failure.message = message;
    }
    if let Some(cause) = &mut failure.cause {
        reveal(cause);
    }
}

/// The same of what Temporal's command line prints, if that is JSON.
pub(crate) fn revealed_json(printed: String) -> String {
    fn reveal(json: &mut Value) {
        match json {
            Value::Array(all) => all.iter_mut().for_each(reveal),
            Value::Object(all) => {
                if let Some(message) = all.get("encodedAttributes").and_then(encoded_message) {
                    all.insert("message".to_owned(), message.into());
                }
                all.values_mut().for_each(reveal);
            }
            _ => {}
        }
    }
    match serde_json::from_str(&printed) {
        Ok(mut json) => {
            reveal(&mut json);
            json.to_string()
        }
        Err(_) => printed,
    }
}

/// It prints a payload as what is in it, or as the payload that it is.
fn encoded_message(attributes: &Value) -> Option<String> {
    if let Some(message) = attributes["message"].as_str() {
        return Some(message.to_owned());
    }
    let data = BASE64_STANDARD.decode(attributes["data"].as_str()?).ok()?;
    let data: Value = serde_json::from_slice(&data).ok()?;
    Some(data["message"].as_str()?.to_owned())
}

/// The codec server of the examples, by which Temporal's Web UI and command line show what is encrypted.
pub struct CodecServer {
    port: u16,
    _process: Process,
    _log: TempDir,
}

impl CodecServer {
    /// The one with the keys of all stories.
    pub async fn shared() -> &'static CodecServer {
        static SHARED: OnceCell<CodecServer> = OnceCell::const_new();
        SHARED.get_or_init(CodecServer::start).await
    }

    async fn start() -> CodecServer {
        let (port, log) = (free_port(), scratch("codec-"));
        let mut command = Command::new(tool("python"));
        command.current_dir(workspace().join("examples/python"));
        command.args(["codec_server.py", &port.to_string()]);
        command.env(PAYLOAD_KEYS, payload_keys()).env("PYTHONDONTWRITEBYTECODE", "1");
        let process = Process::start("codec-server", log.path(), &command);
        let server = CodecServer { port, _process: process, _log: log };
        let url = server.url();
        eventually("the codec server to answer", async || Reader::default().try_open(&url).await)
            .await;
        server
    }

    /// What `--codec-endpoint` takes.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
