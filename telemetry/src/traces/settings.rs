//! The standard variables of OpenTelemetry. Most are read by its own crates, which pass over what is wrong; what
//! would then be lost without a word is reported here.

use std::time::Duration;

use countersign_protos::settings::WrongSettings;
use reqwest::Url;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
/// Of each, the first is of traces alone.
const ENDPOINT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const COMPRESSION: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];

/// The standard's own.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    pub(super) protocol: Protocol,
    /// The URL to which spans are sent; the standard's own without it.
    pub(super) endpoint: Option<String>,
    /// Of one export.
    pub(super) timeout: Duration,
    /// Whether the environment names the service.
    pub(super) is_named: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

impl TraceSettings {
    /// Reads the variables that `get` looks up. `None` where nothing names a collector, or traces are switched off.
    pub fn read(get: impl Fn(&str) -> Option<String>, wrong: &mut WrongSettings) -> Option<Self> {
        let get = |name: &str| get(name).map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let either = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| get(name).map(|value| (name, value)))
        };
        let endpoint = either(ENDPOINT);
        let disabled = get(DISABLED).is_some_and(|it| it.eq_ignore_ascii_case("true"));
        if disabled || !is_wanted(get(EXPORTER).as_deref(), endpoint.is_some(), wrong) {
            return None;
        }
        let protocol = either(PROTOCOL)
            .map_or(Protocol::HttpProtobuf, |(name, value)| protocol(name, &value, wrong));
        let endpoint = endpoint.and_then(|(name, url)| checked(name, &url, wrong));
        check_sampler(get(SAMPLER).as_deref(), get(SAMPLER_ARGUMENT).as_deref(), wrong);
        if let Some((name, _)) = either(COMPRESSION) {
            wrong.add(name, "must not be set: traces are sent as they are");
        }
        Some(Self {
            protocol,
            endpoint: endpoint.map(|(name, url)| url_of_traces(name, url, protocol)),
            timeout: either(TIMEOUT)
                .map_or(DEFAULT_TIMEOUT, |(name, value)| timeout(name, &value, wrong)),
            is_named: get("OTEL_SERVICE_NAME").is_some()
                || get("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name=")),
        })
    }
}

fn is_wanted(exporter: Option<&str>, has_endpoint: bool, wrong: &mut WrongSettings) -> bool {
    match exporter {
        None => has_endpoint,
        Some("otlp") => true,
        Some("none") => false,
        Some(_) => {
            wrong.add(EXPORTER, "must be otlp or none");
            false
        }
    }
}

fn checked(
    name: &'static str,
    url: &str,
    wrong: &mut WrongSettings,
) -> Option<(&'static str, Url)> {
    match url.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some((name, url)),
        Ok(_) | Err(_) => {
            wrong.add(name, "must be a URL such as http://collector:4318");
            None
        }
    }
}

/// By HTTP, what is not for traces alone is the base of their URL
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
fn url_of_traces(name: &str, url: Url, protocol: Protocol) -> String {
    let url = url.as_str().trim_end_matches('/');
    match protocol {
        Protocol::HttpProtobuf if name == ENDPOINT[1] => format!("{url}/v1/traces"),
        Protocol::HttpProtobuf | Protocol::Grpc => url.to_owned(),
    }
}

fn protocol(name: &'static str, value: &str, wrong: &mut WrongSettings) -> Protocol {
    match value {
        "grpc" => Protocol::Grpc,
        "http/protobuf" => Protocol::HttpProtobuf,
        _ => {
            wrong.add(name, "must be http/protobuf or grpc");
            Protocol::HttpProtobuf
        }
    }
}

fn timeout(name: &'static str, value: &str, wrong: &mut WrongSettings) -> Duration {
    value.parse().map(Duration::from_millis).unwrap_or_else(|_| {
        wrong.add(name, "must be a number of milliseconds, such as 10000");
        DEFAULT_TIMEOUT
    })
}

fn check_sampler(sampler: Option<&str>, argument: Option<&str>, wrong: &mut WrongSettings) {
    match sampler {
        None
        | Some("always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off") => {
        }
        Some("traceidratio" | "parentbased_traceidratio") => {
            let ratio = argument.and_then(|it| it.parse::<f64>().ok());
            if !ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio)) {
                wrong.add(SAMPLER_ARGUMENT, "must be a number from 0 to 1, such as 0.1");
            }
        }
        Some(_) => wrong.add(
            SAMPLER,
            "must be always_on, always_off or traceidratio, or one of these after parentbased_",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<TraceSettings>, String) {
        let mut wrong = WrongSettings::default();
        let get = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        (TraceSettings::read(get, &mut wrong), wrong.to_string())
    }

    #[test]
    fn traces_are_sent_only_where_a_collector_is_named() {
        let http = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let grpc = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_SERVICE_NAME", "approvals"),
        ];
        let by_http = |endpoint: &str| TraceSettings {
            protocol: Protocol::HttpProtobuf,
            endpoint: Some(endpoint.to_owned()).filter(|it| !it.is_empty()),
            timeout: DEFAULT_TIMEOUT,
            is_named: false,
        };
        let by_grpc = TraceSettings {
            protocol: Protocol::Grpc,
            timeout: Duration::from_millis(250),
            is_named: true,
            ..by_http("https://collector:4317")
        };
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/own");
        for (variables, settings) in [
            (&[][..], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None),
            (&[http], Some(by_http("http://collector:4318/v1/traces"))),
            (&[http, own], Some(by_http("http://traces:4318/own"))),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], Some(by_http(""))),
            (&grpc, Some(by_grpc)),
            (&[http, ("OTEL_SDK_DISABLED", "TRUE")], None),
            (&[http, ("OTEL_TRACES_EXPORTER", "none")], None),
            // Not for us: other programs of the machine may have set it.
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], None),
        ] {
            assert_eq!(read(variables), (settings, String::new()), "{variables:?}");
        }
    }

    #[test]
    fn what_would_be_passed_over_is_reported() {
        let (_, wrong) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ]);
        for said in [
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL such as http://",
            "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf or grpc",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: must be a number of milliseconds",
            "OTEL_EXPORTER_OTLP_COMPRESSION: must not be set",
            "OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1",
        ] {
            assert!(wrong.contains(said), "{said} is missing in:{wrong}");
        }
        let (settings, wrong) = read(&[("OTEL_TRACES_EXPORTER", "zipkin")]);
        assert_eq!(settings, None);
        assert_eq!(wrong, "\n  OTEL_TRACES_EXPORTER: must be otlp or none");
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let (_, wrong) = read(&[endpoint, ("OTEL_TRACES_SAMPLER", "xray")]);
        assert!(wrong.starts_with("\n  OTEL_TRACES_SAMPLER: must be always_on"), "{wrong}");
    }
}
