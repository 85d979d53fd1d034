//! A session's view of what tests ask of its server: refusals, faults, kills.

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::OraError;
use crate::control;
use crate::process::Process;

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
}

impl Gate {
    /// The listener's answer, and the logon's.
    pub(crate) fn open(folder: &Path, user: &str, password: &str) -> Result<Self, OraError> {
        Self::reach(folder)?;
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

    /// Whether the service exists and its listener answers.
    pub(crate) fn reach(folder: &Path) -> Result<(), OraError> {
        if !folder.join(control::CONTROL).exists() {
            return Err(OraError::new(
                12514,
                "TNS:listener does not currently know of service requested",
            ));
        }
        let db = control::control(folder)?;
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
                "SELECT id, skip, times, code, pause_ms, kill FROM faults
                 WHERE instr(?1, what) > 0 AND times > 0 ORDER BY id LIMIT 1",
            )?
            .query_row([what], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i32>(3)?,
                    row.get::<_, u32>(4)?,
                    row.get::<_, bool>(5)?,
                ))
            })
            .optional()?;
        let Some((id, skip, code, pause, kill)) = planned else {
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
        }))
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
