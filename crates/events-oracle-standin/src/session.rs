//! A session on a server: its engines, and what ends it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::OraError;
use crate::call::Call;
use crate::engine::{self, Engine, Outcome};
use crate::gate::Gate;
use crate::value::Binds;

/// Shared by the handles of a connection, and by the thread that breaks its calls.
pub(crate) struct Session {
    pub(crate) call: Call,
    gate: Arc<Gate>,
    engines: Mutex<Vec<Box<dyn Engine>>>,
    /// The client knows that the session is gone.
    dead: AtomicBool,
    /// The server ended the session, and the client takes the server for alive.
    ended: AtomicBool,
}

impl Session {
    pub(crate) fn begin(folder: &Path, user: &str, password: &str) -> Result<Self, OraError> {
        let gate = Arc::new(Gate::open(folder, user, password)?);
        Ok(Self {
            engines: Mutex::new(engine::begin(folder, gate.session, gate.version)?),
            call: Call::guarded(Arc::clone(&gate)),
            gate,
            dead: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    pub(crate) fn version(&self) -> u32 {
        self.gate.version
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn execute(&self, sql: &str, binds: &mut Binds) -> Result<Outcome, OraError> {
        let text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        self.run(&text, binds, |call, engines, binds| {
            engines
                .iter_mut()
                .find(|engine| engine.understands(sql))
                .ok_or_else(|| OraError::unknown(&text))?
                .execute(call, sql, binds)
        })
    }

    pub(crate) fn commit(&self) -> Result<(), OraError> {
        self.run("COMMIT", &mut Binds::default(), |_, engines, _| {
            engines.iter_mut().try_for_each(|engine| engine.commit())
        })
    }

    pub(crate) fn rollback(&self) -> Result<(), OraError> {
        self.run("ROLLBACK", &mut Binds::default(), |_, engines, _| {
            engines.iter_mut().try_for_each(|engine| engine.rollback())
        })
    }

    pub(crate) fn ping(&self) -> Result<(), OraError> {
        self.run("PING", &mut Binds::default(), |_, _, _| Ok(()))
    }

    /// One call: refused on a dead session, its faults first, and deadly when they are.
    fn run<T>(
        &self,
        what: &str,
        binds: &mut Binds,
        work: impl FnOnce(&Call, &mut Vec<Box<dyn Engine>>, &mut Binds) -> Result<T, OraError>,
    ) -> Result<T, OraError> {
        if self.is_dead() {
            return Err(OraError::new(3114, "not connected to ORACLE"));
        }
        if self.ended.load(Ordering::SeqCst) {
            return Err(OraError::new(1012, "not logged on"));
        }
        self.call.begin();
        let answer = self.faults(what, binds).and_then(|()| {
            let mut engines = self.engines.lock();
            work(&self.call, &mut engines, binds)
        });
        if answer.as_ref().is_err_and(|error| error.code == 3113) {
            self.end();
        }
        answer
    }

    fn faults(&self, what: &str, binds: &Binds) -> Result<(), OraError> {
        let Some(fault) = self.gate.pass(what)? else {
            return Ok(());
        };
        let end = Instant::now() + fault.pause;
        while let left @ 1.. = end.saturating_duration_since(Instant::now()).as_nanos() {
            let left = u64::try_from(left).unwrap_or(u64::MAX);
            self.call.wait(std::time::Duration::from_nanos(left))?;
        }
        match (fault.kill, fault.code) {
            (false, 0) => Ok(()),
            (false, code) => Err(OraError::planned(code, binds).inside(fault.inside)),
            (true, 0) => Err(OraError::session_gone()),
            (true, code) => {
                self.gate.kill()?;
                self.ended.store(true, Ordering::SeqCst);
                self.engines.lock().clear();
                Err(OraError::planned(code, binds).inside(fault.inside))
            }
        }
    }

    /// Ends the session: what was not committed is rolled back.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.engines.lock().clear();
    }
}
