//! Session pools: services that are lent and come back.

use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::handle::{self, Body, Login, Pointerless, Server, Service, pointer};
use super::service::folder;
use super::{Failure, Pointer, SUCCESS, answer, text};
use crate::OraError;
use crate::gate::Gate;
use crate::session::Session;

/// What a session pool handle is.
#[derive(Default)]
pub(crate) struct Pool {
    name: Box<str>,
    environment: Pointerless,
    folder: PathBuf,
    user: String,
    password: String,
    at_most: usize,
    pub(crate) mode: u8,
    pub(crate) wait: Duration,
    shared: Arc<(Mutex<Lent>, Condvar)>,
}

#[derive(Default)]
struct Lent {
    idle: Vec<Pointerless>,
    open: usize,
}

impl Pool {
    /// Sessions that are open, and of these the ones that are lent.
    pub(crate) fn counts(&self) -> (u32, u32) {
        let lent = self.shared.0.lock();
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (count(lent.open), count(lent.open - lent.idle.len()))
    }
}

static NAMES: AtomicUsize = AtomicUsize::new(1);
static POOLS: Mutex<Vec<(String, Pointerless)>> = Mutex::new(Vec::new());

const GET_NOWAIT: u8 = 1;
const GET_FORCE: u8 = 2;
const GET_TIMED: u8 = 3;

#[unsafe(no_mangle)]
unsafe extern "C" fn OCISessionPoolCreate(
    environment: Pointer,
    error: Pointer,
    pool: Pointer,
    name: *mut *const u8,
    name_length: *mut u32,
    connect: *const u8,
    connect_length: u32,
    at_least: u32,
    at_most: u32,
    _increment: u32,
    user: *const u8,
    user_length: u32,
    password: *const u8,
    password_length: u32,
    _mode: u32,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes texts and their lengths.
        let (connect, user, password) = unsafe {
            (
                text(connect, connect_length as usize),
                text(user, user_length as usize),
                text(password, password_length as usize),
            )
        };
        let made = format!("pool{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let folder = folder(&connect)?;
        handle::pool(pool, |pool| {
            pool.name = made.clone().into();
            pool.environment = environment.addr();
            pool.folder = folder;
            pool.user = user;
            pool.password = password;
            pool.at_most = at_most.max(1) as usize;
            // SAFETY: the caller passes places for the name, which the pool keeps.
            unsafe {
                *name = pool.name.as_ptr();
                *name_length = u32::try_from(pool.name.len()).unwrap_or(0);
            }
        })?;
        POOLS.lock().push((made, pool.addr()));
        for _ in 0..at_least {
            let service = open(pool)?;
            handle::pool(pool, |pool| pool.shared.0.lock().idle.push(service))?;
        }
        Ok(SUCCESS)
    })
}

/// Opens a session for the pool, and counts it.
fn open(pool: Pointer) -> Result<Pointerless, Failure> {
    let (folder, user, password, environment, shared) = handle::pool(pool, |pool| {
        (
            pool.folder.clone(),
            pool.user.clone(),
            pool.password.clone(),
            pointer(pool.environment),
            Arc::clone(&pool.shared),
        )
    })?;
    Gate::reach(&folder, None)?;
    let session = Arc::new(Session::begin(&folder, &user, &password)?);
    let server = Body::Server(Server {
        folder: Some(folder),
        session: Some(Arc::clone(&session)),
    });
    let server = handle::allocate(handle::SERVER, environment, server);
    let login = Body::Login(Login::default());
    let login = handle::allocate(handle::LOGIN, environment, login);
    let service = Body::Service(Service {
        server: server.addr(),
        login: login.addr(),
        session: Some(session),
        pool: pool.addr(),
        cache: 0,
        owned: vec![server.addr(), login.addr()],
    });
    shared.0.lock().open += 1;
    Ok(handle::allocate(handle::SERVICE, environment, service).addr())
}

/// Ends a session of a pool and frees its handles.
fn close(service: Pointerless) -> Result<(), Failure> {
    let service = pointer(service);
    let (session, owned) = handle::service(service, |service| {
        (service.session.take(), std::mem::take(&mut service.owned))
    })?;
    if let Some(session) = session {
        session.end();
    }
    handle::free(service, handle::SERVICE)?;
    handle::free(pointer(owned[0]), handle::SERVER)?;
    handle::free(pointer(owned[1]), handle::LOGIN)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCISessionGet(
    _environment: Pointer,
    error: Pointer,
    service: *mut Pointer,
    _login: Pointer,
    name: *const u8,
    name_length: u32,
    _tag: *const u8,
    _tag_length: u32,
    _tag_found: *mut *const u8,
    _tag_found_length: *mut u32,
    found: *mut c_int,
    _mode: u32,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a name and its length.
        let name = unsafe { text(name, name_length as usize) };
        let known = POOLS
            .lock()
            .iter()
            .find(|(pool, _)| *pool == name)
            .map(|pool| pool.1);
        let pool = pointer(known.ok_or_else(|| OraError::new(24316, "no such pool"))?);
        let (shared, at_most, mode, wait) = handle::pool(pool, |pool| {
            (Arc::clone(&pool.shared), pool.at_most, pool.mode, pool.wait)
        })?;
        let lent = lend(pool, &shared, at_most, mode, wait)?;
        // SAFETY: the caller passes places for the handle and for whether a tag was found.
        unsafe {
            *service = pointer(lent);
            if !found.is_null() {
                *found = 0;
            }
        }
        Ok(SUCCESS)
    })
}

fn lend(
    pool: Pointer,
    shared: &(Mutex<Lent>, Condvar),
    at_most: usize,
    mode: u8,
    wait: Duration,
) -> Result<Pointerless, Failure> {
    let end = (mode == GET_TIMED).then(|| Instant::now() + wait);
    loop {
        let mut lent = shared.0.lock();
        if let Some(idle) = lent.idle.pop() {
            return Ok(idle);
        }
        if lent.open < at_most || mode == GET_FORCE {
            drop(lent);
            return open(pool);
        }
        let late = end.is_some_and(|end| Instant::now() >= end);
        if mode == GET_NOWAIT || late {
            return Err(OraError::new(24418, "cannot open further sessions").into());
        }
        let left = end.map_or(Duration::from_secs(1), |end| {
            end.saturating_duration_since(Instant::now())
        });
        shared.1.wait_for(&mut lent, left);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCISessionRelease(
    service: Pointer,
    error: Pointer,
    _tag: *const u8,
    _tag_length: u32,
    mode: u32,
) -> c_int {
    const DROP: u32 = 1;
    answer(error, || {
        let session = handle::service(service, |service| service.session.clone())?;
        let dead = session.is_none_or(|session| session.is_dead());
        let pool = pointer(handle::service(service, |service| service.pool)?);
        let shared = handle::pool(pool, |pool| Arc::clone(&pool.shared))?;
        if dead || mode & DROP != 0 {
            shared.0.lock().open -= 1;
            close(service.addr())?;
        } else {
            shared.0.lock().idle.push(service.addr());
        }
        shared.1.notify_one();
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OCISessionPoolDestroy(pool: Pointer, error: Pointer, _mode: u32) -> c_int {
    answer(error, || {
        let shared = handle::pool(pool, |pool| Arc::clone(&pool.shared))?;
        POOLS.lock().retain(|(_, number)| *number != pool.addr());
        let idle = std::mem::take(&mut shared.0.lock().idle);
        for service in idle {
            close(service)?;
        }
        Ok(SUCCESS)
    })
}
