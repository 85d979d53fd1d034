//! The driver's and the pool's errors in the library's words.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use events_core::{Error, ErrorKind, Op};
use tokio_postgres::error::SqlState;

use crate::server_error::server;

/// The name under which errors are reported.
pub(crate) const BACKEND: &str = "notify";

/// An error of the driver in the library's words, without anything that could quote a value.
///
/// It is reported for the backend `notify`; another one says so with `in_backend`.
#[must_use]
pub fn driver(op: Op, error: tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return server(op, said);
    }
    let (kind, detail) = kind_of(&error);
    let mapped = Error::new(kind, op).because(detail).in_backend(BACKEND);
    match error.into_source() {
        Some(source) => mapped.caused_by(source),
        None => mapped,
    }
}

/// An error of the pool in the library's words, as [`driver_error`](crate::driver_error).
#[must_use]
pub fn pool(op: Op, error: PoolError) -> Error {
    let (kind, detail) = match error {
        PoolError::Backend(error) => return driver(op, error),
        PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => (
            ErrorKind::Busy,
            "no connection of the pool became free in time; use a larger pool_size",
        ),
        PoolError::Timeout(_) => (
            ErrorKind::Unavailable,
            "no connection could be made in time",
        ),
        PoolError::Closed => (ErrorKind::Closed, "the pool of connections is closed"),
        PoolError::NoRuntimeSpecified => (
            ErrorKind::InvalidConfig,
            "the pool has time limits and no runtime; build it with Runtime::Tokio1",
        ),
        PoolError::PostCreateHook(_) => (
            ErrorKind::Backend,
            "a hook of the pool refused a new connection",
        ),
    };
    Error::new(kind, op).because(detail).in_backend(BACKEND)
}

/// Whether the transaction was undone because of another one, so that it can simply be run again.
#[must_use]
pub fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

/// A consumer did not keep up, and the policy is to end its subscription.
pub(crate) fn too_slow(capacity: usize) -> Error {
    let why = format!(
        "{capacity} events wait for this consumer; handle them faster, raise listener_queue_capacity, or let listener_overflow drop or block"
    );
    Error::new(ErrorKind::Overflow, Op::Receive)
        .because(why)
        .in_backend(BACKEND)
}

/// Errors that are not the server's answer.
fn kind_of(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let cause = error.source();
    let text = cause.map(ToString::to_string).unwrap_or_default();
    if cause.is_some_and(|cause| cause.is::<tokio_postgres::types::WrongType>()) {
        let why = "a column has another type than this library writes";
        return (ErrorKind::Codec, why.into());
    }
    let is_tls = cause.is_some_and(is_about_tls)
        // The driver has no code for it.
        || error.to_string().contains("TLS handshake");
    if is_tls {
        return (ErrorKind::Tls, tls_way_out(&text));
    }
    if error.is_closed() {
        return (ErrorKind::Unavailable, "the connection is closed".into());
    }
    match error.to_string().as_str() {
        "authentication error" => (
            ErrorKind::Auth,
            format!("the login cannot be done as the server asks: {text}"),
        ),
        "invalid configuration" if text == "password missing" => (
            ErrorKind::Auth,
            "the server asks for a password and the URL has none".into(),
        ),
        "error connecting to server" => (
            ErrorKind::Unavailable,
            format!("the server cannot be reached: {text}"),
        ),
        "error communicating with the server" => (
            ErrorKind::Unavailable,
            format!("the connection is lost: {text}"),
        ),
        other if text.is_empty() => (ErrorKind::Backend, other.to_owned()),
        other => (ErrorKind::Backend, format!("{other}: {text}")),
    }
}

/// Whether rustls is somewhere among the causes; an I/O error wraps its own.
fn is_about_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    let inner = cause
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

fn tls_way_out(cause: &str) -> String {
    let way_out = if cause.contains("does not support TLS") {
        "turn ssl on in the server, or use sslmode=disable if the network can be trusted"
    } else if cause.contains("UnknownIssuer") {
        "name the authority that signed the server's certificate with sslrootcert"
    } else if cause.contains("not valid for name") {
        "connect by a name that the certificate holds, or use sslmode=verify-ca"
    } else if cause.contains("xpired") {
        "renew the server's certificate"
    } else if cause.contains("CertificateRequired") || cause.contains("certificate required") {
        "the server wants a certificate of the client; set sslcert and sslkey"
    } else {
        "check sslmode, sslrootcert, sslcert and sslkey"
    };
    format!("{cause}; {way_out}")
}
