//! One call of a client: what may cut it short.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::OraError;
use crate::gate::Gate;

/// How long a waiting call sleeps before it looks at what other processes did.
const LOOK: Duration = Duration::from_millis(5);

/// A session's calls: broken by another thread, bounded by the call timeout, ended with the session.
#[derive(Debug, Default)]
pub struct Call {
    broken: AtomicBool,
    timeout: Mutex<Option<Duration>>,
    deadline: Mutex<Option<Instant>>,
    bell: Condvar,
    gate: Option<Arc<Gate>>,
}

impl Call {
    /// The calls of a session that may be killed.
    pub(crate) fn guarded(gate: Arc<Gate>) -> Self {
        Self {
            gate: Some(gate),
            ..Self::default()
        }
    }

    /// Begins a call: its timeout runs from now, and an earlier break is forgotten.
    pub fn begin(&self) {
        self.broken.store(false, Ordering::SeqCst);
        *self.deadline.lock() = self.timeout.lock().map(|timeout| Instant::now() + timeout);
    }

    /// Bounds every later call; `None` lifts the bound.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        *self.timeout.lock() = timeout;
    }

    /// The bound of a call.
    pub fn timeout(&self) -> Option<Duration> {
        *self.timeout.lock()
    }

    /// Ends the call that is under way.
    pub fn interrupt(&self) {
        let held = self.deadline.lock();
        self.broken.store(true, Ordering::SeqCst);
        drop(held);
        self.bell.notify_all();
    }

    /// Waits a little, or less when there is a reason to end.
    ///
    /// # Errors
    ///
    /// ORA-01013 after a break, ORA-03136 after the call timeout, ORA-03113 when the session is gone.
    pub fn wait(&self, at_most: Duration) -> Result<(), OraError> {
        let mut deadline = self.deadline.lock();
        if !self.broken.load(Ordering::SeqCst) {
            let _ = self.bell.wait_for(&mut deadline, at_most.min(LOOK));
        }
        if self.broken.load(Ordering::SeqCst) {
            return Err(OraError::new(
                1013,
                "user requested cancel of current operation",
            ));
        }
        if deadline.is_some_and(|end| end <= Instant::now()) {
            return Err(OraError::new(3136, "inbound connection timed out"));
        }
        drop(deadline);
        match &self.gate {
            Some(gate) if gate.killed() => Err(OraError::session_gone()),
            _ => Ok(()),
        }
    }
}
