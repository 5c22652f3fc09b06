//! The ARN of a topic.

use std::{fmt, str::FromStr};

/// The ARN of a standard topic: `arn:partition:sns:region:account:name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicArn {
    arn: String,
    region: String,
}

/// Everything that is wrong with a topic's ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("needs a topic's ARN, such as sns:arn:aws:sns:eu-west-1:123456789012:approvals: {}", .0.join("; "))]
pub struct NotATopicArn(Vec<String>);

impl TopicArn {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// The only region whose endpoint knows the topic.
    pub fn region(&self) -> &str {
        &self.region
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl FromStr for TopicArn {
    type Err = NotATopicArn;

    fn from_str(arn: &str) -> Result<Self, NotATopicArn> {
        let parts: Vec<&str> = arn.split(':').collect();
        let [prefix, partition, service, region, account, name] = parts.as_slice() else {
            let count = parts.len();
            return Err(NotATopicArn(vec![format!(
                "it has 6 parts with colons between them, not {count}"
            )]));
        };
        let checks = [
            (*prefix == "arn", "it starts with arn:".to_owned()),
            (is_partition(partition), format!("{partition:?} is not a partition, such as aws")),
            (*service == "sns", format!("{service:?} is not sns")),
            (is_region(region), format!("{region:?} is not a region, such as eu-west-1")),
            (
                !is_region(region) || !is_partition(partition) || belongs(region, partition),
                format!("the region {region} is not in the partition {partition}"),
            ),
            (is_account(account), format!("{account:?} is not an account, which has 12 digits")),
            (
                !name.ends_with(".fifo"),
                "FIFO topics have no e-mail subscriptions, only standard topics do".to_owned(),
            ),
            (
                is_name(name.strip_suffix(".fifo").unwrap_or(name)),
                format!("{name:?} is not a topic's name: 1 to 256 letters, digits, - and _"),
            ),
        ];
        let wrong: Vec<String> =
            checks.into_iter().filter(|(right, _)| !right).map(|(_, why)| why).collect();
        match wrong.is_empty() {
            true => Ok(Self { arn: arn.to_owned(), region: (*region).to_owned() }),
            false => Err(NotATopicArn(wrong)),
        }
    }
}

/// `aws`, `aws-cn`, `aws-us-gov`, `aws-iso-b` and the like.
fn is_partition(text: &str) -> bool {
    let (first, rest) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
    first == "aws" && rest.is_none_or(|rest| rest.split('-').all(is_lower))
}

/// `eu-west-1`, `us-gov-east-1`, `mx-central-1` and the like.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [names @ .., number] = parts.as_slice() else { return false };
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    names.len() >= 2 && is_number && names.iter().all(|name| is_lower(name))
}

fn is_lower(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase())
}

/// AWS derives the endpoint from the region alone, so the partition has to match it.
fn belongs(region: &str, partition: &str) -> bool {
    match partition {
        "aws-cn" => region.starts_with("cn-"),
        "aws-us-gov" => region.starts_with("us-gov-"),
        "aws" => !region.starts_with("cn-") && !region.starts_with("us-gov-"),
        _ => true,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// As `CreateTopic` requires.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=256).contains(&text.len()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_arn() {
        for (arn, region) in [
            ("arn:aws:sns:eu-west-1:123456789012:approvals", "eu-west-1"),
            ("arn:aws-cn:sns:cn-north-1:123456789012:Approvals_2", "cn-north-1"),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:a-b", "us-gov-west-1"),
            ("arn:aws-iso-b:sns:us-isob-east-1:123456789012:a", "us-isob-east-1"),
        ] {
            assert_eq!(arn.parse::<TopicArn>().map(|topic| topic.region), Ok(region.into()));
        }
    }

    #[test]
    fn every_wrong_part_of_an_arn_is_named() {
        for (arn, wrong) in [
            ("approvals", &["6 parts"][..]),
            ("arn:aws:sns:eu-west-1:123456789012:approvals:0198-subscription", &["6 parts, not 7"]),
            ("arm:aws:sns:eu-west-1:123456789012:approvals", &["starts with arn:"]),
            ("arn:azure:sns:eu-west-1:123456789012:approvals", &["\"azure\" is not a partition"]),
            ("arn:aws:sqs:eu-west-1:123456789012:approvals", &["\"sqs\" is not sns"]),
            ("arn:aws:sns:Frankfurt:123456789012:approvals", &["\"Frankfurt\" is not a region"]),
            ("arn:aws:sns::123456789012:approvals", &["\"\" is not a region"]),
            ("arn:aws:sns:cn-north-1:123456789012:approvals", &["not in the partition aws"]),
            ("arn:aws:sns:eu-west-1:1234:approvals", &["\"1234\" is not an account"]),
            ("arn:aws:sns:eu-west-1:123456789012:", &["\"\" is not a topic's name"]),
            ("arn:aws:sns:eu-west-1:123456789012:a b", &["\"a b\" is not a topic's name"]),
            ("arn:aws:sns:eu-west-1:1:a.fifo", &["\"1\" is not an account", "FIFO topics"]),
            ("arn:aws:sns:eu:12:", &["not a region", "not an account", "not a topic's name"]),
        ] {
            let why = arn.parse::<TopicArn>().expect_err(arn).to_string();
            for part in wrong.iter().flat_map(|part| part.split(", ")) {
                assert!(why.contains(part), "{arn}: {why}");
            }
        }
    }
}
