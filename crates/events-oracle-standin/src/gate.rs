//! A session's view of what tests ask of its server: refusals, faults, kills.

use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::OraError;
use crate::control;
use crate::process::Process;

/// How often a client that waits for a silent listener looks whether it speaks.
const LOOK: Duration = Duration::from_millis(5);

/// Asked at the beginning of each call, and while one waits.
#[derive(Debug)]
pub(crate) struct Gate {
    db: Mutex<Connection>,
    pub(crate) session: i64,
    pub(crate) version: u32,
}

/// What a test wants to happen to a call.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) pause: Duration,
    pub(crate) code: i32,
    pub(crate) kill: bool,
    /// The number of an error that the code is wrapped in.
    pub(crate) inside: i32,
}

impl Gate {
    /// The logon's answer.
    pub(crate) fn open(folder: &Path, user: &str, password: &str) -> Result<Self, OraError> {
        let db = control::control(folder)?;
        if let Some(code) = control::setting(&db, "refuse_login")? {
            let code = i32::try_from(code).unwrap_or(1017);
            return Err(OraError::new(
                code,
                "the stand-in was told to refuse logins",
            ));
        }
        if user.is_empty() || password == crate::WRONG_PASSWORD {
            return Err(OraError::new(
                1017,
                "invalid username/password; logon denied",
            ));
        }
        let version = control::setting(&db, "version")?.unwrap_or(23);
        let this = Process::this();
        db.execute(
            "INSERT INTO sessions (pid, begun) VALUES (?1, ?2)",
            params![this.id, this.begun],
        )?;
        Ok(Self {
            session: db.last_insert_rowid(),
            db: Mutex::new(db),
            version: u32::try_from(version).unwrap_or(23),
        })
    }

    /// Whether the service exists and its listener answers; one that is silent is waited for until
    /// `limit`, or for good.
    pub(crate) fn reach(folder: &Path, limit: Option<Duration>) -> Result<(), OraError> {
        if !folder.join(control::CONTROL).exists() {
            return Err(OraError::new(
                12514,
                "TNS:listener does not currently know of service requested",
            ));
        }
        let db = control::control(folder)?;
        let begun = Instant::now();
        while control::setting(&db, "silent")?.is_some() {
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return Err(OraError::new(12170, "TNS:Connect timeout occurred"));
            }
            std::thread::sleep(LOOK);
        }
        match control::setting(&db, "unreachable")? {
            None => Ok(()),
            Some(code) => Err(OraError::new(
                i32::try_from(code).unwrap_or(12541),
                "TNS:no listener",
            )),
        }
    }

    /// Counts a call and brings what was planned for it.
    pub(crate) fn pass(&self, what: &str) -> Result<Option<Fault>, OraError> {
        let db = self.db.lock();
        if killed(&db, self.session)? {
            return Err(OraError::session_gone());
        }
        db.prepare_cached(
            "INSERT INTO calls (what, count) VALUES (?1, 1)
             ON CONFLICT (what) DO UPDATE SET count = count + 1",
        )?
        .execute([what])?;
        let planned = db
            .prepare_cached(
                "SELECT id, skip, times, code, pause_ms, kill, inside FROM faults
                 WHERE instr(?1, what) > 0 AND times > 0 ORDER BY id LIMIT 1",
            )?
            .query_row([what], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i32>(3)?,
                    row.get::<_, u32>(4)?,
                    row.get::<_, bool>(5)?,
                    row.get::<_, i32>(6)?,
                ))
            })
            .optional()?;
        let Some((id, skip, code, pause, kill, inside)) = planned else {
            return Ok(None);
        };
        let column = if skip > 0 { "skip" } else { "times" };
        db.execute(
            &format!("UPDATE faults SET {column} = {column} - 1 WHERE id = ?1"),
            [id],
        )?;
        Ok((skip == 0).then_some(Fault {
            pause: Duration::from_millis(pause.into()),
            code,
            kill,
            inside,
        }))
    }

    /// Ends this session, for whoever looks at the server.
    pub(crate) fn kill(&self) -> Result<(), OraError> {
        self.db.lock().execute(
            "UPDATE sessions SET killed = 1 WHERE id = ?1",
            [self.session],
        )?;
        Ok(())
    }

    pub(crate) fn killed(&self) -> bool {
        killed(&self.db.lock(), self.session).unwrap_or(true)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A session that cannot say good-bye is found out by its process.
        let _ = self
            .db
            .get_mut()
            .execute("DELETE FROM sessions WHERE id = ?1", [self.session]);
    }
}

fn killed(db: &Connection, session: i64) -> Result<bool, OraError> {
    let row = db
        .prepare_cached("SELECT killed FROM sessions WHERE id = ?1")?
        .query_row([session], |row| row.get(0))
        .optional()?;
    Ok(row.unwrap_or(true))
}
