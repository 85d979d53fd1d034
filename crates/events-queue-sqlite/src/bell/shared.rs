//! The one bell of a database that this process has open, however many channel objects use it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use events_queue::Wakes;
use parking_lot::{Mutex, RwLock};

use super::file::BellFile;
use super::page::{Rung, Slots};
use super::ringer::{Ring, Ringer, ring_all};
use super::watch::{MakeWatch, Watch, wait_readable};
use super::watcher::Watcher;
use crate::SqliteConfig;
use crate::sql::Statements;

/// How long a ring of our own may take until we are told of it; it takes microseconds.
const SELF_TEST: Duration = Duration::from_millis(50);
/// A deleted or replaced bell is noticed by its ringers after this.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// All bells that this process has open, by path.
static BELLS: LazyLock<Mutex<HashMap<PathBuf, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// The bell of a database.
#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    database: PathBuf,
    make_watch: MakeWatch,
    file: RwLock<Opened>,
    locals: RwLock<Vec<Arc<Local>>>,
    /// Whether a ring is noticed; that of the last attempt.
    works: AtomicBool,
    next_value: AtomicU64,
    watcher: Mutex<Option<Watcher>>,
}

#[derive(Debug)]
struct Opened {
    file: Option<Arc<BellFile>>,
    checked: Instant,
}

/// A channel object on the database.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) wakes: Arc<Wakes>,
    pub(super) slots: Slots,
    /// The name of its table, in lower case.
    pub(super) table: String,
    /// The statement that tells whether a queue of that table holds anything.
    pub(super) waiting: Arc<str>,
}

/// The place of one channel object at the bell.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    local: Arc<Local>,
    left: AtomicBool,
}

impl Local {
    /// Wakes one idle consumer of each queue whose slot was rung; it passes the wake on if there
    /// is more than it can take.
    pub(super) fn hear(&self, rung: &Rung) {
        self.wakes.ring_where(|queue_id, channel| {
            rung.has(self.slots.channel(channel)) || rung.has(self.slots.queue(queue_id))
        });
    }
}

impl Ringer {
    /// Takes a seat at the bell of the database file `database`, which exists.
    pub(crate) fn join(
        database: &Path,
        config: &SqliteConfig,
        sql: &Statements,
        make_watch: MakeWatch,
    ) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-events-bell");
        let path = PathBuf::from(path);
        let mut bells = BELLS.lock();
        let shared = Arc::clone(
            bells
                .entry(path.clone())
                .or_insert_with(|| Arc::new(Shared::open(path, database, make_watch))),
        );
        let watching = Arc::downgrade(&shared);
        let settings = config.clone();
        let wakes = Arc::new(Wakes::for_consumers(move || {
            if let Some(shared) = watching.upgrade() {
                shared.watch(&settings);
            }
        }));
        let table = &config.queue.table;
        let local = Arc::new(Local {
            wakes: Arc::clone(&wakes),
            slots: Slots::new(table),
            table: table.base().to_ascii_lowercase(),
            waiting: Arc::clone(&sql.waiting),
        });
        shared.locals.write().push(Arc::clone(&local));
        drop(bells);
        let seat = Seat {
            shared,
            local,
            left: AtomicBool::new(false),
        };
        Self::seated(wakes, seat)
    }
}

impl Seat {
    pub(super) fn database(&self) -> &Path {
        &self.shared.database
    }

    /// Whether rings are noticed.
    pub(super) fn works(&self) -> bool {
        self.shared.works.load(Ordering::Relaxed)
    }

    /// Wakes the consumers of other channel objects, and of other processes if there are any.
    pub(super) fn ring(&self, rings: &[Ring]) {
        let mine = |other: &&Arc<Local>| {
            !Arc::ptr_eq(other, &self.local) && other.table == self.local.table
        };
        // Collected first, because whoever is woken may drop its channel on the spot.
        let others: Vec<_> = self
            .shared
            .locals
            .read()
            .iter()
            .filter(mine)
            .cloned()
            .collect();
        for other in others {
            ring_all(&other.wakes, rings, |_| false);
        }
        self.shared.ring_others(&self.local.slots, rings);
    }

    /// Ends the watch if this was the last channel object on the database.
    pub(super) fn leave(&self) {
        if self.left.swap(true, Ordering::SeqCst) {
            return;
        }
        // Under this lock, so that nobody takes a seat at a bell that is being left.
        let mut bells = BELLS.lock();
        let mut locals = self.shared.locals.write();
        locals.retain(|local| !Arc::ptr_eq(local, &self.local));
        let last = locals.is_empty();
        drop(locals);
        if last {
            bells.remove(&self.shared.path);
            drop(bells);
            self.shared.forget_file();
            if let Some(watcher) = self.shared.watcher.lock().take() {
                watcher.stop();
            }
            // Whoever took a seat at a new one meanwhile has lost its lock with our file.
            let successor = BELLS.lock().get(&self.shared.path).cloned();
            if let Some(successor) = successor {
                successor.announce_again();
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Shared {
    fn open(path: PathBuf, database: &Path, make_watch: MakeWatch) -> Self {
        let shared = Self {
            file: RwLock::new(Opened {
                file: None,
                checked: Instant::now(),
            }),
            path,
            database: database.to_owned(),
            make_watch,
            locals: RwLock::default(),
            works: AtomicBool::new(false),
            // Never a value that another process writes.
            next_value: AtomicU64::new(fastrand::u64(..)),
            watcher: Mutex::default(),
        };
        let works = BellFile::open(&shared.path, &shared.database).and_then(|file| {
            shared.self_test(&file)?;
            shared.file.write().file = Some(Arc::new(file));
            Ok(())
        });
        shared.note(&works);
        shared
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn make_watch(&self) -> io::Result<Watch> {
        (self.make_watch)(&self.path)
    }

    pub(super) fn locals(&self) -> Vec<Arc<Local>> {
        self.locals.read().clone()
    }

    /// Says once, when it changes, whether the bell works.
    pub(super) fn note(&self, works: &io::Result<()>) {
        let worked = self.works.swap(works.is_ok(), Ordering::Relaxed);
        let bell = self.path.display();
        match works {
            Ok(()) => tracing::debug!(%bell, "commits of other processes wake consumers at once"),
            Err(error) if worked => {
                tracing::warn!(%bell, %error, "the bell was lost; commits of other processes are found by polling until it is back");
            }
            Err(error) => {
                tracing::debug!(%bell, %error, "commits of other processes are found by polling");
            }
        }
    }

    /// Rings, and expects to be told.
    fn self_test(&self, file: &BellFile) -> io::Result<()> {
        use std::os::fd::AsFd as _;
        let watch = self.make_watch()?;
        file.ring_nobody(self.next_value())?;
        let start = Instant::now();
        while start.elapsed() < SELF_TEST {
            wait_readable(&[watch.as_fd()], SELF_TEST)?;
            if watch.take()?.written {
                return Ok(());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this file system does not tell when a file is written to",
        ))
    }

    fn next_value(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    /// The bell that the path leads to now; opened again if it was replaced, made again if it was
    /// deleted. Without `force` it is only looked at once in a while.
    pub(super) fn file(&self, force: bool) -> io::Result<Arc<BellFile>> {
        let opened = self.file.read();
        if !force && opened.checked.elapsed() < CHECK_EVERY {
            return opened.file.clone().ok_or_else(gone);
        }
        drop(opened);
        let mut opened = self.file.write();
        opened.checked = Instant::now();
        if let Some(file) = opened.file.as_ref().filter(|file| file.is_at(&self.path)) {
            return Ok(Arc::clone(file));
        }
        if self.locals.read().is_empty() {
            return Err(gone());
        }
        opened.file = None;
        let file = Arc::new(BellFile::open(&self.path, &self.database)?);
        opened.file = Some(Arc::clone(&file));
        drop(opened);
        if !force {
            // Whoever only publishes has nobody else who would find out.
            self.note(&self.self_test(&file));
        }
        Ok(file)
    }

    /// Tells other processes again that this one listens, if it does.
    fn announce_again(&self) {
        let listens = self.watcher.lock().is_some();
        let file = self.file.read().file.clone();
        if let Some(file) = file.filter(|_| listens)
            && let Err(error) = file.announce()
        {
            tracing::debug!(%error, "the bell is announced again in a second");
        }
    }

    /// Opens it anew the next time.
    pub(super) fn forget_file(&self) {
        self.file.write().file = None;
    }

    fn ring_others(&self, slots: &Slots, rings: &[Ring]) {
        let Ok(file) = self.file(false) else {
            return;
        };
        if !file.has_other_listeners() {
            return;
        }
        let mut rung = Vec::with_capacity(rings.len());
        for ring in rings {
            let slot = match ring {
                Ring::Channel { channel, .. } => slots.channel(channel),
                Ring::Queue(queue_id, _) => slots.queue(*queue_id),
            };
            if !rung.contains(&slot) {
                rung.push(slot);
            }
        }
        for slot in rung {
            if let Err(error) = file.ring(slot, self.next_value()) {
                self.note(&Err(error));
                self.forget_file();
                return;
            }
        }
    }

    /// Starts to listen, at the first consumer of this process.
    fn watch(self: &Arc<Self>, config: &SqliteConfig) {
        let mut watcher = self.watcher.lock();
        if watcher.is_none() && !self.locals.read().is_empty() {
            match Watcher::start(self, config.clone()) {
                Ok(started) => *watcher = Some(started),
                Err(error) => self.note(&Err(error)),
            }
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}
