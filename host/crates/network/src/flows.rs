//! Datagrams have no connections: those between the same two ends are a flow, which is forgotten when it was silent.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Flows by what identifies them (`K`) and by number, each with a socket of its own and whatever its owner keeps (`T`).
#[derive(Debug)]
pub(crate) struct Flows<K, T> {
    numbers: HashMap<K, u64>,
    flows: HashMap<u64, Flow<K, T>>,
    /// When to look at each flow again: not after its last datagram, but after the one before that look.
    due: BTreeSet<(Instant, u64)>,
    next: u64,
    most: usize,
}

#[derive(Debug)]
pub(crate) struct Flow<K, T> {
    pub(crate) key: K,
    pub(crate) socket: OwnedFd,
    pub(crate) data: T,
    idle: Duration,
    last: Instant,
    due: Instant,
}

impl<K: Copy + Eq + Hash, T> Flows<K, T> {
    /// At most `most` flows; one more makes the one that was looked at longest ago be forgotten.
    pub(crate) fn new(most: usize) -> Self {
        Self { numbers: HashMap::new(), flows: HashMap::new(), due: BTreeSet::new(), next: 0, most }
    }

    pub(crate) fn find(&mut self, key: &K, now: Instant) -> Option<(u64, &mut Flow<K, T>)> {
        let number = *self.numbers.get(key)?;
        Some((number, self.get(number, now)?))
    }

    pub(crate) fn get(&mut self, number: u64, now: Instant) -> Option<&mut Flow<K, T>> {
        let flow = self.flows.get_mut(&number)?;
        flow.last = now;
        Some(flow)
    }

    /// The number of the next flow that is added.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    pub(crate) fn add(&mut self, key: K, socket: OwnedFd, data: T, idle: Duration, now: Instant) {
        if self.flows.len() >= self.most
            && let Some(&(_, oldest)) = self.due.first()
        {
            self.remove(oldest);
        }
        let (number, due) = (self.next, now + idle);
        self.next += 1;
        self.numbers.insert(key, number);
        self.due.insert((due, number));
        self.flows.insert(number, Flow { key, socket, data, idle, last: now, due });
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if let Some(flow) = self.flows.remove(&number) {
            self.numbers.remove(&flow.key);
            self.due.remove(&(flow.due, number));
        }
    }

    /// When [`Flows::forget`] is to be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Forgets the flows that were silent for their time.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(&(due, number)) = self.due.first()
            && due <= now
        {
            match self.flows.get_mut(&number) {
                Some(flow) if flow.last + flow.idle > now => {
                    self.due.remove(&(due, number));
                    flow.due = flow.last + flow.idle;
                    self.due.insert((flow.due, number));
                }
                _ => self.remove(number),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> OwnedFd {
        std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback is there").into()
    }

    #[test]
    fn silent_flows_are_forgotten_and_busy_ones_are_not() {
        let (start, idle) = (Instant::now(), Duration::from_secs(10));
        let mut flows = Flows::new(8);
        flows.add("silent", socket(), (), idle, start);
        flows.add("busy", socket(), (), idle, start);
        assert_eq!(flows.deadline(), Some(start + idle));
        assert!(flows.find(&"busy", start + idle / 2).is_some());
        flows.forget(start + idle);
        assert!(flows.find(&"silent", start + idle).is_none());
        assert_eq!(flows.deadline(), Some(start + idle / 2 + idle));
        flows.forget(start + idle * 3);
        assert_eq!(flows.deadline(), None);
    }

    #[test]
    fn there_are_never_more_than_the_most() {
        let start = Instant::now();
        let mut flows = Flows::new(2);
        for key in 0..5_u64 {
            assert_eq!(flows.next_number(), key);
            flows.add(key, socket(), (), Duration::from_secs(1), start + Duration::from_millis(key));
        }
        let left: Vec<u64> = (0..5).filter(|key| flows.find(key, start).is_some()).collect();
        assert_eq!(left, [3, 4]);
    }
}
