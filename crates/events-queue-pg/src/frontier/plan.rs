//! What a claim is to read: pieces of the index, in the order of delivery.

use super::{Place, State};
use crate::horizon::Known;

/// What a claim is to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) lowest: Vec<i32>,
    pub(crate) after: Vec<i64>,
    pub(crate) highest: Vec<i32>,
    pub(crate) upto: Vec<i64>,
    pub(super) back: Vec<Place>,
    /// Nothing stands behind what it reads.
    pub(super) whole: bool,
    /// It ends with a window of a priority, at this id.
    pub(super) window: Option<Place>,
    pub(super) rewinds: u64,
    pub(super) told: u64,
    pub(crate) known: Known,
}

impl Plan {
    fn push(&mut self, lowest: i32, after: i64, highest: i32, upto: i64) {
        if lowest <= highest && after < upto {
            self.lowest.push(lowest);
            self.after.push(after);
            self.highest.push(highest);
            self.upto.push(upto);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lowest.is_empty()
    }

    /// Whether more is to be read behind it.
    pub(crate) fn goes_on(&self) -> bool {
        self.window.is_some()
    }
}

impl State {
    /// What a claim of `limit` events is to read, in the order of delivery. It ends before the
    /// first event that is to be claimed alone.
    pub(crate) fn plan(&self, limit: usize) -> Plan {
        let mut plan = Plan {
            rewinds: self.rewinds,
            told: self.told.count(),
            known: self.horizon.known(),
            whole: self.suspects.is_empty(),
            ..Plan::default()
        };
        let end = self.suspect().unwrap_or((i32::MAX, i64::MAX));
        // Priorities that no claim has met yet lie between those that are known.
        let mut next = self.levels.keys().copied().chain([i32::MAX]);
        let first = next.next().unwrap_or(i32::MAX);
        if self.levels.is_empty() {
            plan.push(i32::MIN, 0, end.0, end.1);
            return plan;
        }
        plan.push(i32::MIN, 0, first.saturating_sub(1), i64::MAX);
        for ((rank, level), next) in self.levels.iter().zip(next) {
            if *rank > end.0 {
                break;
            }
            let back = self.back.range((*rank, i64::MIN)..=(*rank, level.after));
            let room = limit.saturating_sub(plan.back.len());
            for place in back.take_while(|place| **place < end).take(room) {
                plan.push(place.0, place.1 - 1, place.0, place.1);
                plan.back.push(*place);
            }
            if *rank == end.0 {
                plan.push(*rank, level.after, *rank, end.1.saturating_sub(1));
            } else if level.after < level.cold {
                // Less urgent events have to wait until it is known that there are none here.
                let upto = level.after.saturating_add(self.window).min(level.cold);
                plan.push(*rank, level.after, *rank, upto);
                plan.window = Some((*rank, upto));
                plan.whole = false;
                break;
            } else {
                let highest = if next == i32::MAX { next } else { next - 1 };
                plan.push(*rank, level.after, highest.min(end.0), i64::MAX);
            }
        }
        plan
    }
}
