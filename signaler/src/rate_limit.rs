//! Rate limits for each client and each link, and who a client is.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use axum::http::{HeaderMap, header::HeaderName};
use countersign_protos::LinkHash;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use ipnet::IpNet;
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::problem::Problem;

/// Beyond this many clients or links, the least recently used are forgotten.
const MAX_KEYS: u64 = 50_000;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What proxies add to a request.
const BY_PROXY: [&str; 4] = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];

/// Up to `burst` requests at once, then `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    burst: NonZeroU32,
    per_second: NonZeroU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be BURST/PER_SECOND, two whole numbers above 0, such as 300/10")]
pub(crate) struct InvalidRate;

impl Rate {
    /// # Panics
    /// If a number is 0.
    pub(crate) const fn new(burst: u32, per_second: u32) -> Self {
        match (NonZeroU32::new(burst), NonZeroU32::new(per_second)) {
            (Some(burst), Some(per_second)) => Rate { burst, per_second },
            _ => panic!("a rate must be above 0"),
        }
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }

    /// How long an unused limiter takes to refill, and at least a minute.
    fn refill(self) -> Duration {
        let seconds = self.burst.get().div_ceil(self.per_second.get());
        Duration::from_secs(u64::from(seconds).max(60))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (burst, per_second) = text.split_once('/').ok_or(InvalidRate)?;
        Ok(Rate {
            burst: burst.trim().parse().map_err(|_| InvalidRate)?,
            per_second: per_second.trim().parse().map_err(|_| InvalidRate)?,
        })
    }
}

pub(crate) struct Limits {
    addresses: Keyed<IpAddr>,
    links: Keyed<LinkHash>,
    decisions: Keyed<LinkHash>,
}

impl Limits {
    const DECISIONS: Rate = Rate::new(30, 1);

    pub(crate) fn new(address: Rate, link: Rate) -> Self {
        Limits {
            addresses: Keyed::new(address),
            links: Keyed::new(link),
            decisions: Keyed::new(Self::DECISIONS),
        }
    }

    pub(crate) fn by_address(&self, address: IpAddr) -> Result<(), Problem> {
        self.addresses.check(network(address))
    }

    /// `link` must be genuine: forged ones would fill the cache.
    pub(crate) fn by_link(&self, link: &LinkHash) -> Result<(), Problem> {
        self.links.check(link.clone())
    }

    pub(crate) fn by_decision(&self, link: &LinkHash) -> Result<(), Problem> {
        self.decisions.check(link.clone())
    }
}

struct Keyed<K> {
    rate: Rate,
    limiters: Cache<K, Arc<DefaultDirectRateLimiter>>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Keyed<K> {
    fn new(rate: Rate) -> Self {
        let limiters = Cache::builder()
            .max_capacity(MAX_KEYS)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(rate.refill())
            .build();
        Keyed { rate, limiters }
    }

    fn check(&self, key: K) -> Result<(), Problem> {
        let limiter =
            self.limiters.get_with(key, || Arc::new(RateLimiter::direct(self.rate.quota())));
        limiter.check().map_err(|not_until| {
            Problem::TooMany(not_until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// An IPv6 client usually has a whole /64, so that counts as one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

/// The client: the peer, or the address that trusted proxies forward.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut address = peer;
    let forwarded = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    // Each proxy appends its peer, so the last address is the nearest.
    let values = forwarded.iter().rev().map(|value| value.as_bytes());
    for name in values.flat_map(|value| value.rsplit(|byte| *byte == b',')) {
        if !is_trusted(address, trusted) {
            break;
        }
        match str::from_utf8(name).ok().and_then(|name| forwarded_address(name.trim())) {
            Some(named) => address = named,
            None => break,
        }
    }
    address
}

/// Whether a request comes from this machine, whichever address is listened on: no other machine's packets
/// come from loopback. What a proxy here forwards comes from this machine if the proxy is trusted and says so.
pub(crate) fn is_local(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let names = headers.get_all(FORWARDED_FOR).iter().flat_map(|value| {
        value.as_bytes().split(|byte| *byte == b',').map(|name| str::from_utf8(name).ok())
    });
    let address = |name: Option<&str>| forwarded_address(name?.trim());
    let is_asked_here = match is_trusted(peer, trusted) && headers.contains_key(FORWARDED_FOR) {
        true => names.map(address).all(|address| address.is_some_and(is_loopback)),
        false => !BY_PROXY.iter().any(|name| headers.contains_key(*name)),
    };
    is_loopback(peer) && is_asked_here
}

pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// Some proxies add the client's port, with brackets for IPv6.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_is_let_in_and_the_next_one_has_to_wait() {
        let limits = Limits::new(Rate::new(3, 1), Rate::new(1, 1));
        let ask = |address| limits.by_address(ip(address));
        for _ in 0..3 {
            assert_eq!(ask("192.0.2.1"), Ok(()));
        }
        let Err(Problem::TooMany(wait)) = ask("192.0.2.1") else { panic!("a fourth") };
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(ask("192.0.2.2"), Ok(()));
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let limits = Limits::new(Rate::new(1, 1), Rate::new(1, 1));
        assert_eq!(limits.by_address(ip("2001:db8:0:1::1")), Ok(()));
        assert!(limits.by_address(ip("2001:db8:0:1:ffff::2")).is_err());
        assert_eq!(limits.by_address(ip("2001:db8:0:2::1")), Ok(()));
        assert_eq!(limits.by_address(ip("::ffff:192.0.2.1")), Ok(()));
        assert!(limits.by_address(ip("192.0.2.1")).is_err());
    }

    #[test]
    fn only_trusted_proxies_may_say_who_asks() {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a network")).into();
        let seen = |peer, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(
                    FORWARDED_FOR,
                    HeaderValue::from_bytes(value.as_bytes()).expect("a header"),
                );
            }
            client_address(ip(peer), &headers, &trusted).to_string()
        };
        assert_eq!(seen("198.51.100.7", &["192.0.2.1"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, 192.0.2.1", "10.0.0.2"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1, nonsense"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["\u{ff}, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:4711, 10.0.0.2:80"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(seen("198.51.100.7", &["192.0.2.1:4711"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1, ::ffff:10.0.0.2"]), "192.0.2.1");
    }

    #[test]
    fn rates_are_two_whole_numbers() {
        assert_eq!("3000/100".parse(), Ok(Rate::new(3000, 100)));
        for text in ["", "5", "0/1", "1/0", "a/b", "-1/2", "1/2/3", "1.5/2"] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text}");
        }
    }
}
