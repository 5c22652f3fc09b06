//! Which connections are open, and which one gives way where all places are taken.

use std::{
    net::IpAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use ipnet::IpNet;
use tokio::sync::Notify;

use crate::rate_limit::{is_trusted, network};

/// The open connections. One that gives way is gone from here at once.
pub(crate) struct Connections {
    all: usize,
    each: usize,
    open: Vec<Open>,
    shared: Arc<Shared>,
}

struct Open {
    client: IpAddr,
    is_proxy: bool,
    place: Weak<Place>,
}

#[derive(Default)]
struct Shared {
    /// Counts the times that a connection has become idle.
    turn: AtomicU64,
    /// A connection has ended or become idle.
    changed: Notify,
}

/// Why there is no place for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoPlace {
    /// The client has its share, with a request in flight on each.
    OfClient,
    /// Each connection has a request in flight.
    AtAll,
}

impl Connections {
    /// At most `all` at a time, and `each` of one client. A trusted proxy may have all.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Connections { all, each, open: Vec::new(), shared: Arc::default() }
    }

    /// A place for one more connection of `peer`, to be held while it lasts. Where all are taken, the
    /// connection that has been idle for longest gives way; where none is idle, waits until one is or
    /// ends. `None` if the client has its share, and all of it is busy.
    pub(crate) async fn admit(&mut self, peer: IpAddr, trusted: &[IpNet]) -> Option<Arc<Place>> {
        loop {
            match self.try_admit(peer, trusted) {
                Ok(place) => return Some(place),
                Err(NoPlace::OfClient) => return None,
                Err(NoPlace::AtAll) => self.shared.changed.notified().await,
            }
        }
    }

    fn try_admit(&mut self, peer: IpAddr, trusted: &[IpNet]) -> Result<Arc<Place>, NoPlace> {
        self.open.retain(|open| open.place.strong_count() > 0);
        let is_proxy = is_trusted(peer, trusted);
        let client = if is_proxy { peer.to_canonical() } else { network(peer) };
        let own = |open: &Open| (open.client, open.is_proxy) == (client, is_proxy);
        if !is_proxy && self.open.iter().filter(|open| own(open)).count() >= self.each {
            self.close_oldest_idle(own).ok_or(NoPlace::OfClient)?;
        } else if self.open.len() >= self.all {
            self.close_oldest_idle(|_| true).ok_or(NoPlace::AtAll)?;
        }
        let place = Arc::new(Place::new(self.shared.clone()));
        self.open.push(Open { client, is_proxy, place: Arc::downgrade(&place) });
        Ok(place)
    }

    /// Proxies' connections give way last: their next request, which may be somebody's decision, can be on
    /// its way.
    fn close_oldest_idle(&mut self, may: impl Fn(&Open) -> bool) -> Option<()> {
        loop {
            let idle = self.open.iter().enumerate().filter(|(_, open)| may(open));
            let idle = idle.filter_map(|(at, open)| {
                let place = open.place.upgrade()?;
                Some(((open.is_proxy, place.idle_since()?), at, place))
            });
            let ((_, since), at, place) = idle.min_by_key(|(order, ..)| *order)?;
            // Otherwise a request has come just now.
            if place.close(since) {
                self.open.swap_remove(at);
                return Some(());
            }
        }
    }
}

/// A connection's place among those that are open. Dropped when it ends.
pub(crate) struct Place {
    /// The turn in which it became idle, or one of the two below.
    state: AtomicU64,
    closing: Notify,
    shared: Arc<Shared>,
}

const IN_FLIGHT: u64 = u64::MAX;
const CLOSING: u64 = u64::MAX - 1;

impl Place {
    /// Idle until a request has come completely.
    fn new(shared: Arc<Shared>) -> Self {
        let turn = shared.turn.fetch_add(1, Ordering::AcqRel);
        Place { state: AtomicU64::new(turn), closing: Notify::new(), shared }
    }

    fn idle_since(&self) -> Option<u64> {
        Some(self.state.load(Ordering::Acquire)).filter(|state| *state < CLOSING)
    }

    /// Whether it was still idle.
    fn close(&self, idle_since: u64) -> bool {
        let closed = self.switch(idle_since, CLOSING);
        if closed {
            self.closing.notify_one();
        }
        closed
    }

    fn switch(&self, from: u64, to: u64) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Waits until the connection has to give way.
    pub(crate) async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Keeps the connection open for a request. `None` if it has to give way already.
    pub(crate) fn begin(self: Arc<Self>) -> Option<InFlight> {
        let since = self.idle_since()?;
        self.switch(since, IN_FLIGHT).then(|| InFlight(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.changed.notify_one();
    }
}

/// A request whose answer is not written yet.
pub(crate) struct InFlight(Arc<Place>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let Place { state, shared, .. } = &*self.0;
        state.store(shared.turn.fetch_add(1, Ordering::AcqRel), Ordering::Release);
        shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_client_has_so_many_connections_and_trusted_proxies_have_all() {
        let trusted: [IpNet; 2] =
            ["10.0.0.0/8", "fd00::5/128"].map(|network| network.parse().expect("a network"));
        let mut connections = Connections::new(20, 2);
        // Each with a request in flight, so that none gives way.
        let mut admit = |address| -> Result<InFlight, NoPlace> {
            let place = connections.try_admit(ip(address), &trusted)?;
            Ok(place.begin().expect("a new one is idle"))
        };
        let (one, two) = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(admit("192.0.2.1").err(), Some(NoPlace::OfClient));
        assert!(admit("192.0.2.2").is_ok());
        let neighbour = (admit("fd00::9"), admit("fd00::8"));
        assert!(neighbour.1.is_ok() && admit("fd00::9").is_err());
        let proxy_by_ipv6: Vec<_> = (0..3).map_while(|_| admit("fd00::5").ok()).collect();
        assert_eq!(proxy_by_ipv6.len(), 3, "its neighbours take none of its places");
        let proxy: Vec<_> = (0..20).map_while(|_| admit("10.0.0.1").ok()).collect();
        assert_eq!(proxy.len(), 13, "all that are left");
        assert_eq!(admit("10.0.0.1").err(), Some(NoPlace::AtAll));
        assert_eq!(admit("192.0.2.2").err(), Some(NoPlace::AtAll));
        drop((one, neighbour, proxy_by_ipv6));
        assert!(admit("192.0.2.1").is_ok());
        drop((two, proxy));
        assert!(admit("192.0.2.2").is_ok());
        assert_eq!(connections.open.len(), 1, "what has ended is forgotten");
    }

    #[test]
    fn the_one_that_has_been_idle_for_longest_gives_way() {
        let trusted: [IpNet; 1] = ["10.0.0.0/8".parse().expect("a network")];
        let mut connections = Connections::new(5, 3);
        let mut admit = |address| connections.try_admit(ip(address), &trusted);
        let proxy = admit("10.0.0.1").expect("a place");
        let [busy, other, was_busy] = ["192.0.2.1"; 3].map(|it| admit(it).expect("a place"));
        let in_flight = busy.clone().begin().expect("idle");
        drop(was_busy.clone().begin().expect("idle"));
        let last = admit("192.0.2.2").expect("a place");
        // The client's share is full, and the oldest of its idle ones gives way.
        let _new = admit("192.0.2.1").expect("a place");
        assert!(other.clone().begin().is_none(), "it gives way, and takes no more requests");
        // All places are taken: the oldest idle one that is no proxy's.
        let _newer = admit("192.0.2.3").expect("a place");
        assert!(was_busy.clone().begin().is_none());
        drop(in_flight);
        for place in [proxy, busy, last] {
            assert!(place.begin().is_some());
        }
    }

    #[tokio::test]
    async fn where_all_are_busy_the_next_one_waits() {
        let mut connections = Connections::new(1, 1);
        let (first, second) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let busy = connections.admit(first, &[]).await.and_then(Place::begin).expect("a place");
        assert!(connections.admit(first, &[]).await.is_none(), "the client's share is busy");
        let done = async {
            tokio::task::yield_now().await;
            drop(busy);
        };
        let (admitted, ()) = tokio::join!(connections.admit(second, &[]), done);
        assert!(admitted.is_some());
    }
}
