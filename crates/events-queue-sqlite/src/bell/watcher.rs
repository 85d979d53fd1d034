//! The thread that listens: to the bell at once, to the floor once in a while.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::ear::{Ear, Heard};
use super::floor::Floor;
use super::shared::Shared;
use super::watch::wait_readable;
use crate::SqliteConfig;

/// Without a working bell the floor is looked at this soon after something was found; the pause
/// doubles up to what is configured.
const FASTEST: Duration = Duration::from_millis(1);
/// A breath after an error that repeats.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is made sure that the bell is still the one that the path leads to.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The thread and what ends it.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Stop {
    wanted: AtomicBool,
    /// Can be read from when the thread is to look at `wanted`.
    call: OwnedFd,
}

impl Watcher {
    pub(super) fn start(shared: &Arc<Shared>, config: SqliteConfig) -> io::Result<Self> {
        let stop = Arc::new(Stop {
            wanted: AtomicBool::new(false),
            call: eventfd(0, EventfdFlags::CLOEXEC)?,
        });
        let listener = Listener {
            shared: Arc::clone(shared),
            floor_every: config.floor,
            floor: Floor::new(config),
            ear: None,
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("events-sqlite-bell".to_owned())
            .spawn(move || listener.run(&stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread, and with it the connection of the floor.
    pub(super) fn stop(self) {
        self.stop.wanted.store(true, Ordering::SeqCst);
        // The thread is ending anyway if the write fails.
        let _ = rustix::io::write(&self.stop.call, &1_u64.to_ne_bytes());
        // It wakes consumers, and one of them may drop the last channel where it is woken.
        if self.thread.thread().id() != thread::current().id() {
            let _ = self.thread.join();
        }
    }
}

/// What the thread owns.
struct Listener {
    shared: Arc<Shared>,
    floor_every: Duration,
    floor: Floor,
    ear: Option<Ear>,
}

impl Listener {
    fn run(mut self, stop: &Stop) {
        let mut checked = None;
        let mut looked = None;
        let mut pause = self.floor_every;
        while !stop.wanted.load(Ordering::SeqCst) {
            if passed(checked, CHECK_EVERY) {
                checked = Some(Instant::now());
                self.keep_listening();
            }
            if passed(looked, pause) {
                looked = Some(Instant::now());
                let found = self.floor.find(&self.shared.locals());
                pause = match &self.ear {
                    Some(_) => self.floor_every,
                    None if found => FASTEST.min(self.floor_every),
                    None => (pause * 2).min(self.floor_every),
                };
            }
            let waited = looked.map_or(Duration::ZERO, |at| at.elapsed());
            let mut sources = vec![stop.call.as_fd()];
            sources.extend(self.ear.as_ref().map(Ear::as_fd));
            let at_most = pause.saturating_sub(waited).min(CHECK_EVERY);
            match wait_readable(&sources, at_most) {
                Ok(true) if self.hear() => checked = None,
                Ok(_) => {}
                // A lack of memory, nothing else; not to turn in circles.
                Err(_) => thread::sleep(BREATH),
            }
        }
    }

    /// Makes sure that it is the bell of the path that is listened to, and that others know.
    fn keep_listening(&mut self) {
        let listening = self.shared.file(true).and_then(|file| match &self.ear {
            Some(ear) if ear.is_on(&file) => ear.announce(),
            _ => {
                // Closing the old one first: it may be the same file, and its lock goes with it.
                self.ear = None;
                self.ear = Some(Ear::new(&self.shared, file)?);
                // What was rung before this moment was rung for nobody.
                self.ring_everybody();
                Ok(())
            }
        });
        if let Err(error) = &listening {
            self.ear = None;
            if error.kind() == io::ErrorKind::InvalidData {
                // Opening it again completes it, or says what is wrong with it.
                self.shared.forget_file();
            }
        }
        self.shared.note(&listening);
    }

    /// Wakes whom the bell rings for; answers whether the bell may not be what it was.
    fn hear(&mut self) -> bool {
        let Some(ear) = &mut self.ear else {
            return false;
        };
        match ear.hear() {
            Heard::Nothing => false,
            Heard::Rung(rung) => {
                for local in self.shared.locals() {
                    local.hear(&rung);
                }
                false
            }
            Heard::Anything => {
                self.ring_everybody();
                true
            }
            Heard::NoBell => {
                self.ear = None;
                self.shared.forget_file();
                self.ring_everybody();
                true
            }
        }
    }

    fn ring_everybody(&self) {
        for local in self.shared.locals() {
            local.wakes.ring_all();
        }
    }
}

fn passed(since: Option<Instant>, time: Duration) -> bool {
    since.is_none_or(|at| at.elapsed() >= time)
}
