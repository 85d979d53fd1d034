//! What the bell file holds: a line for whoever looks into it, and a slot for each hash of a
//! channel or queue.
//!
//! A slot is rung by writing a value that was never in it before, so a reader only has to see
//! that it differs from the last look. Which of two rings came first does not matter.

use events_core::{ChannelName, TableName};

/// One page, so that the file is one block on disk.
pub(super) const BYTES: usize = 4096;
const HEADER_BYTES: usize = 64;
const SLOT_BYTES: usize = size_of::<u64>();
const SLOTS: usize = (BYTES - HEADER_BYTES) / SLOT_BYTES;

/// The first line of the file. Another layout gets another line, and is not rung.
pub(super) const HEADER: &[u8] = b"event-channels bell 1: no events, delete freely\n";
/// Written to by a process that finds out whether writing is noticed; nobody is woken by it.
pub(super) const SELF_TEST_OFFSET: u64 = (HEADER_BYTES - SLOT_BYTES) as u64;
const _: () = assert!(HEADER.len() <= HEADER_BYTES - SLOT_BYTES);

/// A place in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Slot {
    /// Where its bytes are in the file.
    pub(super) fn offset(self) -> u64 {
        (HEADER_BYTES + self.0 * SLOT_BYTES) as u64
    }
}

/// The slots of the channels and queues of one table.
///
/// Two of them may share a slot: then the consumers of both look, and one of them in vain.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    seed: u64,
}

impl Slots {
    pub(super) fn new(table: &TableName) -> Self {
        // Names of tables have no case in SQLite.
        let name = table.base().to_ascii_lowercase();
        Self {
            seed: fnv(0xcbf2_9ce4_8422_2325, name.as_bytes()),
        }
    }

    pub(super) fn channel(&self, channel: &ChannelName) -> Slot {
        self.slot(b'c', channel.as_str().as_bytes())
    }

    pub(super) fn queue(&self, queue_id: i64) -> Slot {
        self.slot(b'q', &queue_id.to_le_bytes())
    }

    fn slot(&self, kind: u8, name: &[u8]) -> Slot {
        let hash = fnv(fnv(self.seed, &[kind]), name);
        Slot(usize::try_from(hash % SLOTS as u64).unwrap_or_default())
    }
}

/// FNV-1a: every version of this library on every machine must find the same slot.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The slots as they were at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page(Vec<u64>);

impl Page {
    /// Reads the content of the file; `None` if it is no bell of this layout.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let slots = bytes.get(HEADER_BYTES..BYTES)?;
        if !bytes.starts_with(HEADER) {
            return None;
        }
        let values = slots.chunks_exact(SLOT_BYTES).map(|value| {
            u64::from_le_bytes(value.try_into().expect("a chunk has the size of a slot"))
        });
        Some(Self(values.collect()))
    }

    /// Which slots have another value than at an earlier look.
    pub(super) fn rung_since(&self, earlier: &Self) -> Rung {
        Rung(self.0.iter().zip(&earlier.0).map(|(a, b)| a != b).collect())
    }
}

/// The slots that were rung between two looks.
#[derive(Debug)]
pub(super) struct Rung(Vec<bool>);

impl Rung {
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.0[slot.0]
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; BYTES];
        bytes[..HEADER.len()].copy_from_slice(HEADER);
        bytes
    }

    fn slots(table: &str) -> Slots {
        Slots::new(&TableName::new(table).unwrap())
    }

    #[test]
    fn a_ring_is_seen_in_its_slot_and_in_no_other() {
        let slots = slots("ev");
        let orders = slots.channel(&ChannelName::new("orders").unwrap());
        let queue = slots.queue(7);
        let before = Page::parse(&bytes()).unwrap();
        let mut rung = bytes();
        let at = usize::try_from(orders.offset()).unwrap();
        rung[at..at + 8].copy_from_slice(&9_u64.to_le_bytes());
        let rung = Page::parse(&rung).unwrap().rung_since(&before);
        assert!(rung.has(orders) && !rung.has(queue) && !rung.is_empty());
        assert!(before.rung_since(&before).is_empty());
    }

    /// A program of another version must find the same slots: these are pinned.
    #[test]
    fn slots_are_the_same_for_ever() {
        let slots = slots("sqlspec_event_queue");
        let channel = |name| slots.channel(&ChannelName::new(name).unwrap()).offset();
        assert_eq!(
            [channel("orders"), channel("mail"), slots.queue(1).offset()],
            [808, 1624, 728]
        );
    }

    #[test]
    fn tables_have_no_case_and_slots_of_their_own() {
        let channel = ChannelName::new("orders").unwrap();
        assert_eq!(slots("Ev").channel(&channel), slots("ev").channel(&channel));
        assert_ne!(
            slots("ev").channel(&channel),
            slots("app").channel(&channel)
        );
    }

    #[test]
    fn what_is_no_bell_is_not_read() {
        assert!(Page::parse(&[]).is_none());
        assert!(Page::parse(&bytes()[..BYTES - 1]).is_none());
        assert!(Page::parse(&vec![0; BYTES]).is_none());
        let mut newer = bytes();
        newer[20] = b'2';
        assert!(Page::parse(&newer).is_none());
    }
}
