//! Amazon SNS, as `moto` emulates it: a topic with one filtered queue for each subscriber.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    process::{Process, free_port, tool},
    python::python,
    temporal::{list, text},
    wait::eventually,
};

/// Calls one method of an AWS client, as `{service, method, arguments}` on standard input say.
const CALL: &str = "
import boto3, json, sys
asked = json.load(sys.stdin)
client = boto3.client(
    asked['service'],
    endpoint_url=sys.argv[1],
    region_name=sys.argv[2],
    aws_access_key_id='test',
    aws_secret_access_key='test',
)
print(json.dumps(getattr(client, asked['method'])(**asked['arguments']), default=str))
";

/// An emulated SNS topic.
pub struct Topic {
    port: u16,
    arn: String,
    _server: Process,
}

/// A queue that is subscribed to the topic.
pub struct Queue<'a> {
    topic: &'a Topic,
    url: String,
}

impl Topic {
    /// Where the topic is.
    pub const REGION: &str = "eu-central-1";

    /// Starts an emulator and creates a topic.
    pub async fn start(dir: &Path) -> Topic {
        let port = free_port();
        let mut command = Command::new(tool("python"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let server = Process::start("moto", dir, &command);
        let mut topic = Topic { port, arn: String::new(), _server: server };
        let ready = format!("{}/moto-api/", topic.endpoint());
        let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        eventually("moto to serve", async || client.get(&ready).send().await.ok()).await;
        let created = topic.call("sns", "create_topic", json!({"Name": "approvals"})).await;
        topic.arn = created["TopicArn"].as_str().expect("an ARN").to_owned();
        topic
    }

    /// The settings with which a worker publishes to the topic through `endpoint`.
    pub fn settings(&self, endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("COUNTERSIGN_NOTIFY", format!("sns:{}", self.arn)),
            ("AWS_ENDPOINT_URL_SNS", endpoint.to_owned()),
            ("AWS_REGION", Topic::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Where AWS's clients find the emulator.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Subscribes a queue that gets one reviewer's messages only.
    pub async fn subscribe(&self, name: &str, reviewer: &str) -> Queue<'_> {
        let created = self.call("sqs", "create_queue", json!({"QueueName": name})).await;
        let url = created["QueueUrl"].as_str().expect("a URL").to_owned();
        let asked = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let attributes = self.call("sqs", "get_queue_attributes", asked).await;
        let subscription = json!({
            "TopicArn": self.arn,
            "Protocol": "sqs",
            "Endpoint": attributes["Attributes"]["QueueArn"],
            "Attributes": {"FilterPolicy": json!({"reviewer": [reviewer]}).to_string()},
        });
        self.call("sns", "subscribe", subscription).await;
        Queue { topic: self, url }
    }

    /// The subscriptions, each with its attributes.
    pub async fn subscriptions(&self) -> Vec<Value> {
        let listed = self.call("sns", "list_subscriptions", json!({})).await;
        let mut subscriptions = Vec::new();
        for subscription in list(&listed["Subscriptions"]) {
            let asked = json!({"SubscriptionArn": subscription["SubscriptionArn"]});
            let found = self.call("sns", "get_subscription_attributes", asked).await;
            subscriptions.push(found["Attributes"].clone());
        }
        subscriptions
    }

    /// Publishes a message for one reviewer, as the product does.
    pub async fn publish(&self, message: &str, reviewer: &str) {
        let attribute = json!({"DataType": "String", "StringValue": reviewer});
        let publication = json!({
            "TopicArn": self.arn,
            "Message": message,
            "MessageAttributes": {"reviewer": attribute},
        });
        self.call("sns", "publish", publication).await;
    }

    async fn call(&self, service: &str, method: &str, arguments: Value) -> Value {
        let asked = json!({"service": service, "method": method, "arguments": arguments});
        let (code, printed) =
            python(CALL, &[&self.endpoint(), Topic::REGION], &asked.to_string()).await;
        assert_eq!(code, 0, "{method}: {printed}");
        serde_json::from_str(&printed).expect("JSON")
    }
}

impl Queue<'_> {
    /// Waits until `count` messages are there, and takes them: SNS's own envelopes, with `Subject`,
    /// `Message` and `MessageAttributes`.
    pub async fn messages(&self, count: usize) -> Vec<Value> {
        let mut taken = Vec::new();
        eventually(format!("{count} messages in a queue"), async || {
            taken.extend(self.take().await);
            (taken.len() >= count).then(|| taken.clone())
        })
        .await
    }

    /// Whether no message is there now.
    pub async fn is_empty(&self) -> bool {
        self.take().await.is_empty()
    }

    async fn take(&self) -> Vec<Value> {
        // Taken messages are out of sight for half a minute; nothing here lasts longer.
        let asked = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10});
        let received = self.topic.call("sqs", "receive_message", asked).await;
        let envelope = |message: &Value| {
            serde_json::from_str(&text(&message["Body"])).expect("an envelope in JSON")
        };
        list(&received["Messages"]).map(envelope).collect()
    }
}
