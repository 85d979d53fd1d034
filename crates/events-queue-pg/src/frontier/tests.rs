//! What claims are told to read, and what their answers change.

use std::time::Duration;

use super::{Place, State};
use crate::horizon::Snapshot;

const END: i64 = i64::MAX;

fn snapshot(last_id: i64) -> Snapshot {
    Snapshot {
        oldest_running: 1,
        own: Some(1),
        last_id,
    }
}

fn pieces(state: &State, limit: usize) -> Vec<(i32, i64, i32, i64)> {
    let plan = state.plan(limit);
    (0..plan.lowest.len())
        .map(|at| {
            (
                plan.lowest[at],
                plan.after[at],
                plan.highest[at],
                plan.upto[at],
            )
        })
        .collect()
}

fn claim(state: &mut State, limit: usize, places: &[Place]) {
    let plan = state.plan(limit);
    state.claimed(&plan, limit, places, snapshot(1000));
}

#[test]
fn a_new_queue_is_read_from_its_begin() {
    assert_eq!(
        pieces(&State::default(), 10),
        [(i32::MIN, 0, i32::MAX, END)]
    );
}

#[test]
fn each_priority_goes_on_behind_what_was_claimed_and_unknown_ones_are_read_too() {
    let mut state = State::default();
    claim(&mut state, 2, &[(-5, 7), (0, 3)]);
    assert_eq!(
        pieces(&state, 10),
        [
            (i32::MIN, 0, -6, END),
            (-5, 7, -1, END),
            (0, 3, i32::MAX, END)
        ]
    );
}

#[test]
fn what_came_back_is_read_before_what_is_new() {
    let mut state = State::default();
    claim(&mut state, 2, &[(0, 10), (0, 20)]);
    state.came_back((0, 15));
    state.came_back((0, 12));
    let expected = [
        (i32::MIN, 0, -1, END),
        (0, 11, 0, 12),
        (0, 14, 0, 15),
        (0, 20, i32::MAX, END),
    ];
    assert_eq!(pieces(&state, 10), expected);
    assert_eq!(pieces(&state, 1).len(), 3, "no more than are wanted");
    claim(&mut state, 10, &[(0, 12)]);
    assert_eq!(
        pieces(&state, 10).len(),
        2,
        "15 was read and is not claimable any more"
    );
}

#[test]
fn what_came_back_and_was_not_reached_is_read_by_the_next_claim() {
    let mut state = State::default();
    claim(&mut state, 2, &[(-5, 10), (0, 20)]);
    state.came_back((0, 15));
    claim(&mut state, 1, &[(-5, 11)]);
    assert!(pieces(&state, 10).contains(&(0, 14, 0, 15)));
}

#[test]
fn reading_ends_before_an_event_that_is_claimed_alone() {
    let mut state = State::default();
    claim(&mut state, 2, &[(-5, 30), (0, 20)]);
    state.came_back((0, 9));
    state.is_suspect((0, 10));
    state.came_back((0, 11));
    assert_eq!(
        pieces(&state, 10),
        [(i32::MIN, 0, -6, END), (-5, 30, -1, END), (0, 8, 0, 9)]
    );
    state.forget_suspect(&(0, 10));
    assert_eq!(pieces(&state, 10).len(), 5);
}

#[test]
fn moving_back_is_not_undone_by_a_claim_under_way() {
    let mut state = State::default();
    claim(&mut state, 1, &[(0, 100)]);
    let plan = state.plan(10);
    state.rewind(Some(0), 50);
    state.claimed(&plan, 10, &[(0, 120)], snapshot(1000));
    assert_eq!(pieces(&state, 10)[1], (0, 49, i32::MAX, END));
}

#[test]
fn what_is_told_while_a_later_event_is_claimed_is_not_passed() {
    let mut state = State::default();
    claim(&mut state, 1, &[(0, 100)]);
    let plan = state.plan(10);
    state.rewind(Some(1), 105);
    state.rewind(Some(0), 110);
    state.claimed(&plan, 2, &[(0, 108), (0, 120)], snapshot(120));
    assert_eq!(pieces(&state, 10)[1], (0, 109, i32::MAX, END));
    claim(&mut state, 2, &[(0, 110), (0, 130)]);
    assert_eq!(pieces(&state, 10)[1], (0, 130, i32::MAX, END));
}

#[test]
fn what_was_told_and_taken_or_told_long_ago_holds_nothing_back() {
    let mut state = State::default();
    claim(&mut state, 1, &[(0, 100)]);
    state.rewind(Some(0), 101);
    let (slow, fast) = (state.plan(10), state.plan(10));
    for id in 101..=300 {
        state.rewind(None, id);
    }
    state.claimed(&fast, 2, &[(0, 101), (0, 102)], snapshot(300));
    assert_eq!(pieces(&state, 10)[1].1, 102);
    // Of what is remembered together only the first is known.
    state.claimed(&slow, 1, &[(0, 299)], snapshot(300));
    assert_eq!(pieces(&state, 10)[1].1, 102);
    let places: Vec<Place> = (103..=300).map(|id| (0, id)).collect();
    claim(&mut state, places.len(), &places);
    assert_eq!(pieces(&state, 10)[1].1, 300);
}

#[test]
fn what_is_noted_during_a_turn_outlives_it() {
    let hour = Duration::from_secs(3600);
    let mut state = State::default();
    assert!(state.turned(Some(hour)));
    state.due_in(hour / 2);
    state.turning();
    assert!(!state.turned(Some(hour)), "later than what was known");
    assert!(state.next_due().unwrap() > hour / 2, "of before the turn");
    state.turning();
    state.due_in(hour / 4);
    assert!(!state.turned(None));
    assert!(state.next_due().unwrap() <= hour / 4);
    state.turning();
    assert!(state.turned(Some(Duration::ZERO)), "who waits has to know");
    state.turning();
    assert!(!state.turned(None));
    assert!(state.next_due().is_none());
}

#[test]
fn an_idle_frontier_follows_what_is_settled() {
    let mut state = State::default();
    claim(&mut state, 1, &[(0, 5)]);
    for _ in 0..3 {
        claim(&mut state, 10, &[]);
    }
    assert_eq!(pieces(&state, 10)[1], (0, 1000, i32::MAX, END));
}

#[test]
fn what_was_there_before_is_read_in_windows_and_the_less_urgent_waits() {
    let mut state = State::default();
    state.add_level((0, 101), 25_000);
    state.add_level((5, 7), 25_000);
    assert_eq!(
        pieces(&state, 10),
        [(i32::MIN, 0, -1, END), (0, 100, 0, 10_100)]
    );
    claim(&mut state, 10, &[(0, 102)]);
    assert_eq!(pieces(&state, 10)[1], (0, 10_100, 0, 20_100));
    let full: Vec<Place> = (0..10).map(|n| (0, 10_200 + n)).collect();
    claim(&mut state, 10, &full);
    assert_eq!(
        pieces(&state, 10)[1],
        (0, 10_209, 0, 20_209),
        "it was not read to its end"
    );
    claim(&mut state, 10, &[]);
    assert_eq!(pieces(&state, 10)[1], (0, 20_209, 0, 25_000));
    claim(&mut state, 10, &[]);
    assert_eq!(
        pieces(&state, 10)[1..],
        [(0, 25_000, 4, END), (5, 6, 5, 10_006)],
        "now it is known"
    );
}

/// The first claim was asked before the second and sees less, and its answer comes last.
#[test]
fn a_claim_does_not_pass_what_only_another_one_saw() {
    let mut state = State::default();
    let seen = |oldest_running, own, last_id| Snapshot {
        oldest_running,
        own: Some(own),
        last_id,
    };
    let claimed = |state: &mut State, plan, limit, places: &[Place], seen| {
        state.claimed(&plan, limit, places, seen);
    };
    let plan = state.plan(1);
    claimed(&mut state, plan, 1, &[(0, 5)], seen(10, 12, 100));
    let plan = state.plan(1);
    claimed(&mut state, plan, 1, &[(0, 6)], seen(10, 12, 100));
    // 11 still runs when the server runs the first, and has stored event 50 when it runs the second.
    let (first, second) = (state.plan(10), state.plan(1));
    claimed(&mut state, second, 1, &[(0, 7)], seen(12, 12, 100));
    claimed(&mut state, first, 10, &[], seen(11, 12, 100));
    assert_eq!(pieces(&state, 10)[1], (0, 7, i32::MAX, END));
    let plan = state.plan(10);
    claimed(&mut state, plan, 10, &[(0, 50)], seen(12, 12, 100));
    assert_eq!(pieces(&state, 10)[1], (0, 100, i32::MAX, END));
}

#[test]
fn after_a_doubt_claims_begin_no_higher_than_ids_have_come() {
    let mut state = State::default();
    claim(&mut state, 1, &[(-5, 700)]);
    claim(&mut state, 1, &[(0, 20)]);
    state.add_level((3, 30), 900);
    for level in state.levels.values_mut() {
        level.floor = 10;
    }
    let asked_before = state.plan(10);
    state.doubt();
    assert!(state.levels.values().all(|level| level.floor == 0));
    state.claimed(&asked_before, 10, &[(0, 800)], snapshot(1000));
    assert_eq!(
        pieces(&state, 10)[1..3],
        [(-5, 700, -1, END), (0, 20, 2, END)]
    );
    let asked = state.plan(1);
    let plan = state.plan(1);
    state.claimed(&plan, 1, &[(0, 21)], snapshot(500));
    let again = [(-5, 500, -1, END), (0, 20, 2, END), (3, 29, 3, 500)];
    assert_eq!(pieces(&state, 10)[1..], again);
    // It was asked when claims still began behind 700.
    state.claimed(&asked, 1, &[(-5, 701)], snapshot(800));
    assert_eq!(pieces(&state, 10)[1..], again);
}

#[test]
fn whoever_says_that_there_is_something_to_look_for_is_not_forgotten_by_a_turn_under_way() {
    let day = Duration::from_secs(86_400);
    let mut state = State::default();
    claim(&mut state, 10, &[]);
    assert!(state.wants_turn(day), "the first");
    let stirs = state.stirs();
    state.pass.begin(stirs);
    state.turned(None);
    assert!(!state.wants_turn(day) && !state.is_stirred());
    state.stir();
    assert!(state.wants_turn(day) && state.is_stirred());
    // It has looked at one thing already when there is another.
    let stirs = state.stirs();
    state.stir();
    state.pass.begin(stirs);
    state.turned(None);
    assert!(state.is_stirred(), "another turn follows");
    state.pass.begin(state.stirs());
    assert!(!state.is_stirred());
}

#[test]
fn of_very_many_priorities_the_empty_ones_are_forgotten() {
    let mut state = State::default();
    for rank in 0..1000 {
        claim(&mut state, 1, &[(rank, rank.into())]);
    }
    for (rank, level) in &mut state.levels {
        level.empty = rank % 100 != 0;
    }
    claim(&mut state, 1, &[(7, 2000)]);
    state.came_back((8, 8));
    state.turned(None);
    let left: Vec<i32> = state.levels.keys().copied().collect();
    assert_eq!(left, [0, 7, 8, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    for level in state.levels.values_mut() {
        level.empty = true;
    }
    state.turned(None);
    assert_eq!(state.levels.len(), 12, "so few cost nothing");
}
