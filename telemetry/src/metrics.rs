//! A program's metrics, by Prometheus's naming rules (<https://prometheus.io/docs/practices/naming/>). Each is declared
//! once: what is served and what the documentation lists both follow from that.
//!
//! No label has what somebody else writes, such as an address, an ID or a title: its values are declared beside it, and
//! any other one is counted as [`OTHER`].

use std::{fmt::Write, time::Duration};

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    core::Collector,
};

/// The value of a label where it is none of those that were declared.
pub const OTHER: &str = "other";

/// The media type of a page of metrics.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds, for what people wait for: requests to other systems, and to us.
pub const SECONDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A label, and the values that it may have.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    name: &'static str,
    values: Values,
}

#[derive(Debug, Clone, Copy)]
enum Values {
    Of(&'static [&'static str]),
    Own(&'static str),
}

impl Label {
    /// A label with one of these values.
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values: Values::Of(values) }
    }

    /// A label whose few values the program computes of its own settings; `what` describes them for people.
    pub const fn own(name: &'static str, what: &'static str) -> Self {
        Self { name, values: Values::Own(what) }
    }

    /// The value, or [`OTHER`] in place of one that was not declared.
    fn bounded<'a>(&self, value: &'a str) -> &'a str {
        match self.values {
            Values::Of(values) if !values.contains(&value) => OTHER,
            Values::Of(_) | Values::Own(_) => value,
        }
    }

    /// The values that are known before any is used.
    fn known(&self) -> &'static [&'static str] {
        match self.values {
            Values::Of(values) => values,
            Values::Own(_) => &[],
        }
    }

    fn described(&self) -> String {
        match self.values {
            Values::Of(values) => format!("`{}`: {}", self.name, values.join(", ")),
            Values::Own(what) => format!("`{}`: {what}", self.name),
        }
    }
}

/// The metrics of a program, in the order in which the documentation lists them.
#[derive(Default)]
pub struct Metrics {
    registry: Registry,
    rows: Vec<String>,
}

impl Metrics {
    /// What only grows. Its name ends with `_total`. Each combination of declared values is served from the start, so
    /// that a rate sees the first one.
    pub fn counter<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
    ) -> Counter<N> {
        let counters = IntCounterVec::new(Opts::new(name, help), &names(&labels));
        let counters = counters.expect("a good name");
        for values in combinations(&labels) {
            let _ = counters.with_label_values(&values);
        }
        self.list(counters.clone(), name, "counter", help, &labels);
        Counter { counters, labels }
    }

    /// What goes up and down. It is not served before it is set.
    pub fn gauge<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
    ) -> Gauge<N> {
        let gauges = GaugeVec::new(Opts::new(name, help), &names(&labels)).expect("a good name");
        self.list(gauges.clone(), name, "gauge", help, &labels);
        Gauge { gauges, labels }
    }

    /// How much of something is under way.
    pub fn in_flight(&mut self, name: &'static str, help: &'static str) -> InFlight {
        let gauge = IntGauge::new(name, help).expect("a good name");
        self.list(gauge.clone(), name, "gauge", help, &[]);
        InFlight(gauge)
    }

    /// How long something takes. Its name ends with `_seconds`, and so are the upper bounds of its buckets.
    pub fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [Label; N],
        buckets: &[f64],
    ) -> Histogram<N> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, &names(&labels)).expect("a good name");
        self.list(histograms.clone(), name, "histogram", help, &labels);
        Histogram { histograms, labels }
    }

    fn list(
        &mut self,
        collector: impl Collector + 'static,
        name: &str,
        kind: &str,
        help: &str,
        labels: &[Label],
    ) {
        self.registry.register(Box::new(collector)).expect("each name is there once");
        let labels: Vec<String> = labels.iter().map(Label::described).collect();
        self.rows.push(format!("| `{name}` | {kind} | {} | {help} |", labels.join("; ")));
    }

    /// What is served now, in Prometheus's text format.
    pub fn page(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// The metrics as a table in Markdown.
    pub fn table(&self) -> String {
        let header = "| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n";
        self.rows.iter().fold(header.to_owned(), |mut table, row| {
            let _ = writeln!(table, "{row}");
            table
        })
    }
}

fn names(labels: &[Label]) -> Vec<&'static str> {
    labels.iter().map(|label| label.name).collect()
}

/// Each combination of values that are known.
fn combinations(labels: &[Label]) -> Vec<Vec<&'static str>> {
    labels.iter().fold(vec![Vec::new()], |so_far, label| {
        let longer = |some: &Vec<&'static str>| {
            let some = some.clone();
            label.known().iter().map(move |value| [&some[..], &[*value]].concat())
        };
        so_far.iter().flat_map(longer).collect()
    })
}

fn bounded<'a, const N: usize>(labels: &[Label; N], values: [&'a str; N]) -> [&'a str; N] {
    std::array::from_fn(|i| labels[i].bounded(values[i]))
}

/// See [`Metrics::counter`].
pub struct Counter<const N: usize> {
    counters: IntCounterVec,
    labels: [Label; N],
}

impl<const N: usize> Counter<N> {
    /// Counts one more.
    pub fn add(&self, values: [&str; N]) {
        self.counters.with_label_values(&bounded(&self.labels, values)).inc();
    }

    /// How many there were.
    pub fn count(&self, values: [&str; N]) -> u64 {
        self.counters.with_label_values(&bounded(&self.labels, values)).get()
    }
}

/// See [`Metrics::gauge`].
pub struct Gauge<const N: usize> {
    gauges: GaugeVec,
    labels: [Label; N],
}

impl<const N: usize> Gauge<N> {
    /// What it is now.
    pub fn set(&self, values: [&str; N], to: f64) {
        self.gauges.with_label_values(&bounded(&self.labels, values)).set(to);
    }

    /// Has it served no longer, where nobody knows what it is now.
    pub fn forget(&self) {
        self.gauges.reset();
    }

    /// That these are so, and no others.
    pub fn tell<'a>(&self, all: impl IntoIterator<Item = [&'a str; N]>) {
        self.forget();
        all.into_iter().for_each(|values| self.set(values, 1.0));
    }
}

/// See [`Metrics::in_flight`].
pub struct InFlight(IntGauge);

impl InFlight {
    /// One more is under way until the result is dropped.
    pub fn begin(&self) -> UnderWay {
        self.0.inc();
        UnderWay(self.0.clone())
    }
}

/// Something that is under way.
pub struct UnderWay(IntGauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// See [`Metrics::histogram`].
pub struct Histogram<const N: usize> {
    histograms: HistogramVec,
    labels: [Label; N],
}

impl<const N: usize> Histogram<N> {
    /// Something has taken this long.
    pub fn record(&self, values: [&str; N], took: Duration) {
        let histogram = self.histograms.with_label_values(&bounded(&self.labels, values));
        histogram.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: Label = Label::of("result", &["sent", "refused"]);

    #[test]
    fn a_label_has_no_value_that_was_not_declared() {
        let mut metrics = Metrics::default();
        let mails = metrics.counter("mails_total", "Mails.", [RESULT]);
        mails.add(["sent"]);
        mails.add(["ann@example.com"]);
        mails.add(["7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T"]);
        let page = metrics.page();
        let lines: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "mails_total{result=\"other\"} 2",
                "mails_total{result=\"refused\"} 0",
                "mails_total{result=\"sent\"} 1",
            ]
        );
        assert_eq!(mails.count(["sent"]), 1);
    }

    #[test]
    fn what_is_so_no_longer_and_what_nobody_knows_is_not_served() {
        let mut metrics = Metrics::default();
        let keys = metrics.gauge("key_info", "Keys.", [Label::own("key", "its fingerprint")]);
        assert_eq!(metrics.page(), "");
        keys.tell([["a"], ["b"]]);
        keys.tell([["b"]]);
        assert!(metrics.page().ends_with("key_info{key=\"b\"} 1\n"), "{}", metrics.page());
        assert!(!metrics.page().contains("key=\"a\""));
        keys.forget();
        assert_eq!(metrics.page(), "");
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let mut metrics = Metrics::default();
        let mails = metrics.in_flight("mails_in_flight", "Mails.");
        let one = mails.begin();
        assert!(metrics.page().ends_with("mails_in_flight 1\n"));
        drop(one);
        assert!(metrics.page().ends_with("mails_in_flight 0\n"));
    }

    #[test]
    fn the_table_has_each_metric_in_order_with_its_labels() {
        let mut metrics = Metrics::default();
        metrics.histogram("mail_seconds", "How long mails take.", [RESULT], &SECONDS);
        metrics.gauge("key_info", "Keys.", [Label::own("key", "its fingerprint")]);
        assert_eq!(
            metrics.table().lines().skip(2).collect::<Vec<_>>(),
            [
                "| `mail_seconds` | histogram | `result`: sent, refused | How long mails take. |",
                "| `key_info` | gauge | `key`: its fingerprint | Keys. |",
            ]
        );
    }
}
