//! The reference store, with answers that come late or fail, and a record of what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use events_core::{
    Capabilities, ChannelName, Closer, DeadLetter, ErrorKind, EventId, GroupName, Op, Pending,
    Result, Stats, Timestamp,
};
use events_queue::{
    Claim, Claimed, CleanUp, Clock, MemoryStore, NewRow, Outcome, QueueStore, Registration,
    StoreSettlement, StoreVerdict, Wakes,
};

/// Longer than any answer takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A store that does what a test says; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedStore {
    memory: MemoryStore,
    clock: Clock,
    state: Arc<Mutex<State>>,
    changed: Arc<Event>,
}

#[derive(Debug, Default)]
struct State {
    claims: Vec<Claim>,
    settled: Vec<(StoreSettlement, Timestamp)>,
    clean_ups: usize,
    claims_held: bool,
    /// Answers to verdicts before this number are held.
    settlements_held: usize,
    settlements: usize,
    failing_claims: VecDeque<ErrorKind>,
    failing_settlements: VecDeque<ErrorKind>,
    told: bool,
    closed: bool,
    closed_before_wait: Option<Closer>,
}

impl ScriptedStore {
    pub(crate) fn by(clock: Clock, retention: Duration) -> Self {
        Self {
            memory: MemoryStore::with(clock.clone(), retention),
            clock,
            state: Arc::default(),
            changed: Arc::default(),
        }
    }

    /// Its clock stands still, so that no lease ends by itself.
    pub(crate) fn still() -> Self {
        let start = Timestamp::from_second(1_000_000).unwrap();
        Self::by(Clock::still(start), Duration::from_secs(3600))
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        self.memory.advance(by);
    }

    /// Answers of claims wait until they are let go.
    pub(crate) fn hold_claims(&self, held: bool) {
        self.change(|state| state.claims_held = held);
    }

    /// Answers of verdicts wait until they are let go.
    pub(crate) fn hold_settlements(&self, held: bool) {
        self.change(|state| state.settlements_held = if held { usize::MAX } else { 0 });
    }

    /// Answers of the verdicts that came until now go on waiting, later ones do not.
    pub(crate) fn answer_later_settlements(&self) {
        self.change(|state| state.settlements_held = state.settlements);
    }

    pub(crate) fn fail_claims(&self, kinds: &[ErrorKind]) {
        self.change(|state| state.failing_claims.extend(kinds));
    }

    pub(crate) fn fail_settlements(&self, kinds: &[ErrorKind]) {
        self.change(|state| state.failing_settlements.extend(kinds));
    }

    /// Claims say that whatever appears is told.
    pub(crate) fn tell(&self) {
        self.change(|state| state.told = true);
    }

    /// Closes a consumer when it has looked for its end and has not begun to wait.
    pub(crate) fn close_before_wait(&self, closer: Closer) {
        self.change(|state| state.closed_before_wait = Some(closer));
    }

    pub(crate) fn claims(&self) -> Vec<Claim> {
        self.lock().claims.clone()
    }

    pub(crate) fn settled(&self) -> Vec<StoreSettlement> {
        let settled = self.lock().settled.clone();
        settled.into_iter().map(|(what, _)| what).collect()
    }

    pub(crate) fn clean_ups(&self) -> usize {
        self.lock().clean_ups
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// When the lease that the last renewal of an event gave it ends, by the store's clock.
    pub(crate) fn renewed_until(&self, id: EventId) -> Option<Timestamp> {
        let state = self.lock();
        let renewal = |(what, at): &(StoreSettlement, Timestamp)| match what.verdict {
            StoreVerdict::Extend(by) if what.event_id == id => Some(*at + by),
            _ => None,
        };
        state.settled.iter().rev().find_map(renewal)
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.listen();
                if is_so(self) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("waited for {what}"));
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify(usize::MAX);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that comes when it is let go.
    fn later<T: Send + 'static>(
        &self,
        answer: Result<T>,
        is_held: impl Fn(&State) -> bool + Send + 'static,
    ) -> Pending<T> {
        let store = self.clone();
        Pending::from_future(async move {
            loop {
                let changed = store.changed.listen();
                if !is_held(&store.lock()) {
                    return answer;
                }
                changed.await;
            }
        })
    }

    fn release(&self, claimed: &Claimed) {
        let release = |row: &events_queue::Row| StoreSettlement {
            token: row.token,
            event_id: row.event_id,
            verdict: StoreVerdict::Release {
                suspect: claimed.alone,
            },
        };
        let released = claimed.rows.iter().map(release).collect();
        self.memory.settle(released).wait().unwrap();
    }
}

/// What a claim brought; given back unless somebody takes it.
struct Caught(ScriptedStore, Option<Claimed>);

impl Drop for Caught {
    fn drop(&mut self) {
        if let Some(claimed) = self.1.take() {
            self.0.release(&claimed);
        }
    }
}

impl QueueStore for ScriptedStore {
    fn name(&self) -> &'static str {
        self.memory.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn wakes(&self) -> &Arc<Wakes> {
        self.memory.wakes()
    }

    fn insert(&self, rows: Vec<NewRow>) -> Pending<usize> {
        self.memory.insert(rows)
    }

    fn register(&self, channel: ChannelName, group: Option<GroupName>) -> Pending<Registration> {
        self.memory.register(channel, group)
    }

    fn claim(&self, claim: Claim) -> Pending<Claimed> {
        let (failure, told) = self.change(|state| {
            state.claims.push(claim.clone());
            (state.failing_claims.pop_front(), state.told)
        });
        let answer = match failure {
            Some(kind) => Err(events_core::Error::new(kind, Op::Claim)),
            None => self.memory.claim(claim).wait(),
        };
        let caught = answer.map(|mut claimed| {
            claimed.told = told;
            Caught(self.clone(), Some(claimed))
        });
        self.later(caught, |state| state.claims_held)
            .then(|caught| Ok(caught?.1.take().unwrap()))
    }

    fn claim_later(&self, _: Claim) -> Option<Pending<Claimed>> {
        if let Some(closer) = self.change(|state| state.closed_before_wait.take()) {
            closer.close();
        }
        None
    }

    fn settle(&self, settlements: Vec<StoreSettlement>) -> Pending<Vec<Outcome>> {
        let now = self.clock.now();
        let (failure, number) = self.change(|state| {
            state.settlements += 1;
            (state.failing_settlements.pop_front(), state.settlements)
        });
        let answer = match failure {
            Some(kind) => Err(events_core::Error::new(kind, Op::Ack)),
            None => self.memory.settle(settlements.clone()).wait(),
        };
        self.change(|state| {
            let noted = settlements.into_iter().map(|settlement| (settlement, now));
            state.settled.extend(noted);
        });
        self.later(answer, move |state| number <= state.settlements_held)
    }

    fn clean_up(&self, limit: usize) -> Pending<CleanUp> {
        self.change(|state| state.clean_ups += 1);
        self.memory.clean_up(limit)
    }

    fn stats(&self, channel: Option<ChannelName>) -> Pending<Vec<Stats>> {
        self.memory.stats(channel)
    }

    fn dead_letters(&self, channel: ChannelName, limit: usize) -> Pending<Vec<DeadLetter>> {
        self.memory.dead_letters(channel, limit)
    }

    fn requeue(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.memory.requeue(channel, ids)
    }

    fn purge_dead(&self, channel: ChannelName, ids: Option<Vec<EventId>>) -> Pending<u64> {
        self.memory.purge_dead(channel, ids)
    }

    fn ping(&self) -> Pending<String> {
        self.memory.ping()
    }

    fn close(&self) -> Pending<()> {
        self.change(|state| state.closed = true);
        self.memory.close()
    }
}
