//! A server of the stand-in as a test sees it: made, told to misbehave, looked at.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::OraError;
use crate::control::{Ask, NUMBERS};

/// The name under which ODPI-C looks for Oracle's client library.
const LIBRARY: &str = "libclntsh.so";

/// The one password that no server accepts.
pub const WRONG_PASSWORD: &str = "wrong";

/// Places the stand-in into `folder` under the name that ODPI-C opens.
///
/// The folder is what `oracle::InitParams::oracle_client_lib_dir` wants; servers are made in it.
///
/// # Errors
///
/// When the library was not built beside the running program, or the folder cannot be written.
pub fn install(folder: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let library = [beside.to_owned(), beside.join("deps")]
        .into_iter()
        .map(|place| place.join("libevents_oracle_standin.so"))
        .find(|path| path.exists())
        .ok_or_else(|| {
            io::Error::other(format!(
                "libevents_oracle_standin.so is not in {}: build the package events-oracle-standin",
                beside.display()
            ))
        })?;
    let name = folder.join(LIBRARY);
    match symlink(library, &name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A server, whichever processes use it.
#[derive(Debug, Clone)]
pub struct Server {
    library: PathBuf,
    service: String,
}

/// What happens to calls whose text holds a given part.
///
/// The text of a call is its statement with single spaces, or `COMMIT`, `ROLLBACK`, `PING`.
#[derive(Debug, Clone)]
pub struct Plan {
    what: String,
    skip: u32,
    times: u32,
    code: i32,
    pause: Duration,
    kill: bool,
    inside: i32,
}

impl Plan {
    /// Plans for the next call whose text holds `what`.
    pub fn at(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            skip: 0,
            times: 1,
            code: 0,
            pause: Duration::ZERO,
            kill: false,
            inside: 0,
        }
    }

    /// Leaves the first `calls` of them alone.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Happens to so many of them instead of one.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = calls;
        self
    }

    /// Fails with this number, before anything is done.
    #[must_use]
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Wraps the number in this one, as a server does when its own statements fail.
    #[must_use]
    pub fn inside(mut self, code: i32) -> Self {
        self.inside = code;
        self
    }

    /// Takes this long first; a break or the call timeout ends the pause.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Ends the session, before anything is done. With a number too, the call fails with that and
    /// the client goes on taking the server for alive, as after ORA-00028.
    #[must_use]
    pub fn kill(mut self) -> Self {
        self.kill = true;
        self
    }
}

type Control = unsafe extern "C" fn(
    *const u8,
    usize,
    usize,
    *const u8,
    usize,
    *const [i64; NUMBERS],
    *mut i64,
) -> i32;

/// The way into the library in this folder, the very copy that the driver uses.
fn way_in(library: &Path) -> Option<Control> {
    let path = CString::new(library.join(LIBRARY).as_os_str().as_bytes()).ok()?;
    // SAFETY: the library is ours, and stays loaded: it is never closed.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return None;
    }
    // SAFETY: the handle is that of the line before.
    let found = unsafe { libc::dlsym(handle, c"events_oracle_standin_control".as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the function of this name has this type.
    Some(unsafe { std::mem::transmute::<*mut libc::c_void, Control>(found) })
}

impl Server {
    /// Makes the server `service` in the folder of the installed library; it then accepts
    /// `//any-host:any-port/service`.
    ///
    /// # Errors
    ///
    /// When its files cannot be made, or the name is not made of letters, digits and `_`.
    pub fn create(library: &Path, service: &str) -> Result<Self, OraError> {
        let server = Self::at(library, service)?;
        server.ask(Ask::Create, "", [0; NUMBERS])?;
        Ok(server)
    }

    /// The server `service`, which may not exist.
    ///
    /// # Errors
    ///
    /// When the name is not made of letters, digits and `_`.
    pub fn at(library: &Path, service: &str) -> Result<Self, OraError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if service.is_empty() || !service.chars().all(plain) {
            return Err(OraError::new(12514, "not a service of the stand-in"));
        }
        Ok(Self {
            library: library.to_owned(),
            service: service.to_owned(),
        })
    }

    /// Its name, the last part of a connect string.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where its files are.
    pub fn folder(&self) -> PathBuf {
        self.library.join(&self.service)
    }

    fn ask(&self, ask: Ask, text: &str, numbers: [i64; NUMBERS]) -> Result<i64, OraError> {
        let way_in = way_in(&self.library)
            .ok_or_else(|| OraError::new(600, "the stand-in is not installed in this folder"))?;
        let folder = self.folder();
        let folder = folder.as_os_str().as_bytes();
        let number = Ask::ALL
            .iter()
            .position(|one| *one == ask)
            .unwrap_or(usize::MAX);
        let mut answer = 0;
        // SAFETY: texts with their lengths, and places that live as long as the call.
        let code = unsafe {
            way_in(
                folder.as_ptr(),
                folder.len(),
                number,
                text.as_ptr(),
                text.len(),
                &raw const numbers,
                &raw mut answer,
            )
        };
        match code {
            0 => Ok(answer),
            code => Err(OraError::new(code, "the stand-in could not do it")),
        }
    }

    fn set(&self, key: &str, value: Option<i64>) -> Result<(), OraError> {
        let ask = if value.is_some() {
            Ask::Set
        } else {
            Ask::Unset
        };
        let numbers = [value.unwrap_or(0), 0, 0, 0, 0, 0];
        self.ask(ask, key, numbers).map(|_| ())
    }

    /// Says it is this version from now on; 23 unless told.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn set_version(&self, version: u32) -> Result<(), OraError> {
        self.set("version", Some(version.into()))
    }

    /// Refuses every login with this number, or accepts them again.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn refuse_logins(&self, code: Option<i32>) -> Result<(), OraError> {
        self.set("refuse_login", code.map(Into::into))
    }

    /// Answers no new connection but with this number, or answers again.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn unreachable(&self, code: Option<i32>) -> Result<(), OraError> {
        self.set("unreachable", code.map(Into::into))
    }

    /// Lets every new connection wait for an answer, or answers those that wait.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn silent(&self, silent: bool) -> Result<(), OraError> {
        self.set("silent", silent.then_some(1))
    }

    /// Takes a privilege away from every session, such as `DBMS_AQ`, or gives it back.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn revoke(&self, package: &str, revoked: bool) -> Result<(), OraError> {
        let key = format!("revoked {}", package.to_ascii_uppercase());
        self.set(&key, revoked.then_some(1))
    }

    /// Lets queries that pass over locked rows lock none, from now on: the worst that a row that is
    /// read in an old state could be.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn skip_without_locks(&self, unlocked: bool) -> Result<(), OraError> {
        self.set("skip_without_locks", unlocked.then_some(1))
    }

    /// Ends every session; each finds out at its next call, or at once when it waits in one.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn kill_sessions(&self) -> Result<i64, OraError> {
        self.ask(Ask::Kill, "", [0; NUMBERS])
    }

    /// How many sessions there are.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub fn sessions(&self) -> Result<i64, OraError> {
        self.ask(Ask::Sessions, "", [0; NUMBERS])
    }

    /// Adds a plan.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn plan(&self, plan: Plan) -> Result<(), OraError> {
        let pause = i64::try_from(plan.pause.as_millis()).unwrap_or(i64::MAX);
        let numbers = [
            plan.skip.into(),
            plan.times.into(),
            plan.code.into(),
            pause,
            plan.kill.into(),
            plan.inside.into(),
        ];
        self.ask(Ask::Plan, &plan.what, numbers).map(|_| ())
    }

    /// Forgets every plan.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub fn forget_plans(&self) -> Result<(), OraError> {
        self.ask(Ask::ForgetPlans, "", [0; NUMBERS]).map(|_| ())
    }

    /// How many calls there were whose text holds `what`.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub fn calls(&self, what: &str) -> Result<i64, OraError> {
        self.ask(Ask::Calls, what, [0; NUMBERS])
    }
}
