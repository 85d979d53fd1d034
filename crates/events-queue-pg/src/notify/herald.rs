//! Notifies consumers of other processes, after the commit of what they are told of.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use events_core::Op;
use parking_lot::Mutex;

use crate::database::Database;
use crate::tasks::Tasks;

/// The pause between two statements; it grows while there is always something to tell.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// How often a statement that failed is tried again before those who wait have to look themselves.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Queues of which something is to be told, each with the lowest id; without one it is to be
/// looked at everywhere.
type News = BTreeMap<i32, Option<i64>>;

#[derive(Debug)]
pub(crate) struct Herald {
    tasks: Arc<Tasks>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    news: News,
    /// A task takes care of the news.
    served: bool,
    sent: Option<Instant>,
    pause: Duration,
}

impl Herald {
    pub(crate) fn new(tasks: Arc<Tasks>) -> Self {
        Self {
            tasks,
            state: Mutex::new(State {
                news: News::new(),
                served: false,
                sent: None,
                pause: SHORTEST_PAUSE,
            }),
        }
    }

    /// Something of a queue can be claimed, from this id on, or is to be looked for.
    pub(crate) fn announce(
        self: &Arc<Self>,
        db: Weak<Database>,
        queue_id: i32,
        lowest: Option<i64>,
    ) {
        let mut state = self.state.lock();
        add(&mut state.news, queue_id, lowest);
        if std::mem::replace(&mut state.served, true) {
            return;
        }
        drop(state);
        self.tasks.spawn(serve(Arc::clone(self), db));
    }

    /// How long to wait before the next statement.
    fn pause(&self) -> Duration {
        let state = self.state.lock();
        let since = state.sent.map_or(Duration::MAX, |at| at.elapsed());
        state.pause.saturating_sub(since)
    }

    /// What is to be told; `None` when nothing is.
    fn take(&self) -> Option<News> {
        let mut state = self.state.lock();
        let news = std::mem::take(&mut state.news);
        if news.is_empty() {
            state.pause = SHORTEST_PAUSE;
            // Under the lock that announcements take, so that the next one starts another task.
            state.served = false;
            return None;
        }
        state.sent = Some(Instant::now());
        Some(news)
    }

    /// More came while something was being told.
    fn slow_down(&self) {
        let mut state = self.state.lock();
        if !state.news.is_empty() {
            state.pause = (state.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn add(news: &mut News, queue_id: i32, lowest: Option<i64>) {
    news.entry(queue_id)
        .and_modify(|known| *known = known.zip(lowest).map(|(a, b)| a.min(b)))
        .or_insert(lowest);
}

/// Tells until there is no news. The task ends early only with its runtime, and with that ends
/// whoever could bring more.
async fn serve(herald: Arc<Herald>, db: Weak<Database>) {
    loop {
        tokio::time::sleep(herald.pause()).await;
        let Some(news) = herald.take() else { return };
        let Some(db) = db.upgrade() else { return };
        tell(&db, &news).await;
        herald.slow_down();
    }
}

async fn tell(db: &Database, news: &News) {
    let Some(notify) = &db.notify else { return };
    let queues: Vec<i32> = news.keys().copied().collect();
    let lowest: Vec<Option<i64>> = news.values().copied().collect();
    let channel = notify.channel.as_str();
    let mut tries = 0;
    loop {
        let told = db
            .query(
                Op::Publish,
                &db.sql.wake,
                &[&channel, &queues, &lowest, &notify.me],
            )
            .await;
        let Err(error) = told else { return };
        tries += 1;
        if tries == TRIES || !error.is_retryable() {
            tracing::debug!(%error, "consumers were not woken and find the events by looking");
            return;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_id_counts_and_looking_everywhere_counts_more() {
        let mut news = News::new();
        for (queue_id, lowest) in [
            (1, Some(5)),
            (1, Some(3)),
            (2, Some(9)),
            (2, None),
            (2, Some(1)),
        ] {
            add(&mut news, queue_id, lowest);
        }
        assert_eq!(news, News::from([(1, Some(3)), (2, None)]));
    }
}
