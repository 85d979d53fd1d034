//! Handles and descriptors: what each is, who owns it, and that it still lives.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::pool::Pool;
use super::statement::Statement;
use super::{Failure, Pointer};
use crate::OraError;
use crate::session::Session;
use crate::value::Column;

pub(crate) const ENVIRONMENT: u32 = 1;
pub(crate) const ERROR: u32 = 2;
pub(crate) const SERVICE: u32 = 3;
pub(crate) const STATEMENT: u32 = 4;
pub(crate) const BIND: u32 = 5;
pub(crate) const DEFINE: u32 = 6;
pub(crate) const SERVER: u32 = 8;
pub(crate) const LOGIN: u32 = 9;
pub(crate) const POOL: u32 = 27;
pub(crate) const LOB: u32 = 50;
pub(crate) const PARAMETER: u32 = 53;
pub(crate) const TIMESTAMP: u32 = 68;
pub(crate) const TIMESTAMP_TZ: u32 = 69;
pub(crate) const TIMESTAMP_LTZ: u32 = 70;

/// What is behind a handle.
pub(crate) enum Body {
    Environment,
    Error(Option<OraError>),
    Service(Service),
    Server(Server),
    Login(Login),
    Statement(Box<Statement>),
    /// A bind or define: its statement, and its place in it.
    Place(Pointerless, usize),
    Pool(Box<Pool>),
    Lob(Lob),
    Parameter(Arc<Vec<Column>>, usize),
    Timestamp(Moment),
}

/// The number of a handle, kept where the handle itself would be a cycle.
pub(crate) type Pointerless = usize;

#[derive(Default)]
pub(crate) struct Service {
    pub(crate) server: Pointerless,
    pub(crate) login: Pointerless,
    pub(crate) session: Option<Arc<Session>>,
    /// The pool it is lent from, if any.
    pub(crate) pool: Pointerless,
    pub(crate) cache: u32,
    /// Handles made with the service, freed with it.
    pub(crate) owned: Vec<Pointerless>,
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) session: Option<Arc<Session>>,
}

#[derive(Default)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Values that ODPI-C keeps with a session, and the memory it asked for.
    pub(crate) context: HashMap<String, usize>,
}

#[derive(Default, Clone)]
pub(crate) struct Lob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_text: bool,
    pub(crate) temporary: bool,
}

/// A moment as a calendar and a clock show it, with its distance from UTC in minutes.
#[derive(Default, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) year: i16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) nanosecond: u32,
    pub(crate) offset: i32,
}

struct Handle {
    kind: u32,
    parent: Pointerless,
    body: Arc<Mutex<Body>>,
}

static HANDLES: Mutex<Option<HashMap<usize, Handle>>> = Mutex::new(None);
static NEXT: AtomicUsize = AtomicUsize::new(1);

fn handles<T>(work: impl FnOnce(&mut HashMap<usize, Handle>) -> T) -> T {
    let mut handles: MutexGuard<'_, _> = HANDLES.lock();
    work(handles.get_or_insert_default())
}

/// A new handle.
pub(crate) fn allocate(kind: u32, parent: Pointer, body: Body) -> Pointer {
    // Never reused, and far from what a small integer passed by mistake would be.
    let number = NEXT.fetch_add(1, Ordering::Relaxed) * 16 + (1 << 40);
    let handle = Handle {
        kind,
        parent: parent.addr(),
        body: Arc::new(Mutex::new(body)),
    };
    handles(|handles| handles.insert(number, handle));
    pointer(number)
}

/// The empty body of a kind that a program may ask for.
pub(crate) fn blank(kind: u32) -> Result<Body, Failure> {
    Ok(match kind {
        ERROR => Body::Error(None),
        SERVICE => Body::Service(Service::default()),
        SERVER => Body::Server(Server::default()),
        LOGIN => Body::Login(Login::default()),
        POOL => Body::Pool(Box::default()),
        LOB => Body::Lob(Lob::default()),
        TIMESTAMP | TIMESTAMP_TZ | TIMESTAMP_LTZ => Body::Timestamp(Moment::default()),
        other => {
            return Err(OraError::new(
                24315,
                format_args!("the stand-in has no handles of kind {other}"),
            )
            .into());
        }
    })
}

pub(crate) fn pointer(number: Pointerless) -> Pointer {
    std::ptr::without_provenance_mut::<c_void>(number)
}

/// The kind of a living handle.
pub(crate) fn kind(handle: Pointer) -> Result<u32, Failure> {
    handles(|handles| handles.get(&handle.addr()).map(|handle| handle.kind)).ok_or(Failure::Handle)
}

/// Works on what is behind a handle; nothing else can meanwhile.
pub(crate) fn body<T>(handle: Pointer, work: impl FnOnce(&mut Body) -> T) -> Result<T, Failure> {
    let found = handles(|handles| {
        handles
            .get(&handle.addr())
            .map(|found| Arc::clone(&found.body))
    });
    let found = found.ok_or(Failure::Handle)?;
    let mut body = found.lock();
    Ok(work(&mut body))
}

/// Frees a handle and everything that was made of it.
pub(crate) fn free(handle: Pointer, as_kind: u32) -> Result<(), Failure> {
    let is = kind(handle)?;
    if is != as_kind {
        return Err(Failure::Handle);
    }
    let mut gone = Vec::new();
    handles(|handles| {
        let mut doomed = vec![handle.addr()];
        while let Some(number) = doomed.pop() {
            let Some(freed) = handles.remove(&number) else {
                continue;
            };
            // Only these have children that are not freed by name.
            if matches!(freed.kind, ENVIRONMENT | STATEMENT) {
                doomed.extend(
                    handles
                        .iter()
                        .filter(|(_, handle)| handle.parent == number)
                        .map(|(number, _)| *number),
                );
            }
            gone.push(freed);
        }
    });
    // A session that ends here may take its time: not under the lock of every handle.
    drop(gone);
    Ok(())
}

macro_rules! as_kind {
    ($name:ident, $variant:ident, $type:ty) => {
        /// Works on a handle of this kind.
        pub(crate) fn $name<T>(
            handle: Pointer,
            work: impl FnOnce(&mut $type) -> T,
        ) -> Result<T, Failure> {
            body(handle, |body| match body {
                Body::$variant(inner) => Ok(work(inner)),
                _ => Err(Failure::Handle),
            })?
        }
    };
}

as_kind!(service, Service, Service);
as_kind!(server, Server, Server);
as_kind!(login, Login, Login);
as_kind!(statement, Statement, Statement);
as_kind!(pool, Pool, Pool);
as_kind!(lob, Lob, Lob);
as_kind!(timestamp, Timestamp, Moment);

/// The session of a service context.
pub(crate) fn session(handle: Pointer) -> Result<Arc<Session>, Failure> {
    service(handle, |service| service.session.clone())?
        .ok_or_else(|| OraError::new(3114, "not connected to ORACLE").into())
}
