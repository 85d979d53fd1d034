//! What was told of events while claims were under way.
//!
//! A claim that does not see an event yet may take a later one; told of the first before that
//! claim is answered, the frontier must not pass it.

use std::collections::VecDeque;

use super::Place;

/// Of more, the oldest are taken together.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Told {
    count: u64,
    last: VecDeque<Note>,
}

/// From this id on there may be events that a claim did not see.
#[derive(Debug, Clone, Copy)]
struct Note {
    nr: u64,
    /// Of any priority, if there is none.
    rank: Option<i32>,
    id: i64,
}

impl Told {
    pub(super) fn note(&mut self, rank: Option<i32>, id: i64) {
        self.count += 1;
        let nr = self.count;
        self.last.push_back(Note { nr, rank, id });
        if self.last.len() > MOST
            && let Some(oldest) = self.last.pop_front()
            && let Some(next) = self.last.front_mut()
        {
            next.id = next.id.min(oldest.id);
            next.rank = next.rank.filter(|rank| oldest.rank == Some(*rank));
        }
    }

    /// How much was told; a claim that is asked now sees all of it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What was told since, but for what a claim took.
    pub(super) fn since(&self, count: u64, taken: &[Place]) -> Unseen {
        let new = self.last.iter().rev().take_while(|note| note.nr > count);
        let unseen = new.filter(|note| !taken.iter().any(|(_, id)| *id == note.id));
        Unseen(unseen.map(|note| (note.rank, note.id)).collect())
    }
}

/// Events that a claim may have passed without seeing them.
pub(super) struct Unseen(Vec<(Option<i32>, i64)>);

impl Unseen {
    /// How far the frontier of a priority may go on.
    pub(super) fn bound(&self, rank: i32) -> i64 {
        let of_rank = |told: &&(Option<i32>, i64)| told.0.is_none_or(|told| told == rank);
        let lowest = self.0.iter().filter(of_rank).map(|(_, id)| id - 1).min();
        lowest.unwrap_or(i64::MAX)
    }
}
