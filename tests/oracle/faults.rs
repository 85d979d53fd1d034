//! What the server does wrong, and what a caller sees of it.

use event_channels::{BackendKind, ErrorKind, Fallback};

use crate::support::{config, with_standin};

#[test]
fn a_lost_session_is_an_error_once_and_is_replaced() {
    with_standin(
        "a_lost_session_is_an_error_once_and_is_replaced",
        async |database, server| {
            let channel = config(database).pool_size(1).open().await?;
            channel.publish("orders", 1).await?;
            server.kill_sessions().unwrap();
            let error = channel.publish("orders", 2).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(
                error.is_retryable() && error.to_string().contains("ORA-0"),
                "{error}"
            );
            channel.publish("orders", 3).await?;
            let ready = channel.stats("orders").await?.total().ready;
            assert_eq!(ready, 2, "the publish that failed stored nothing");
            channel.shutdown().await.map(drop)
        },
    );
}

#[test]
fn a_transaction_that_lost_is_run_again() {
    with_standin(
        "a_transaction_that_lost_is_run_again",
        async |database, server| {
            let channel = config(database).open().await?;
            for code in [60, 54, 8177] {
                let before = server.calls("events.table.insert").unwrap();
                server
                    .plan(events_testkit::oracle::Plan::at("events.table.insert").code(code))
                    .unwrap();
                channel.publish("orders", code).await?;
                let calls = server.calls("events.table.insert").unwrap() - before;
                assert_eq!(calls, 2, "ORA-{code:05}");
            }
            assert_eq!(channel.stats("orders").await?.total().ready, 3);
            channel.shutdown().await.map(drop)
        },
    );
}

#[test]
fn what_the_server_says_has_its_kind() {
    with_standin(
        "what_the_server_says_has_its_kind",
        async |database, server| {
            let channel = config(database).open().await?;
            for (code, kind) in [
                (1653, ErrorKind::StorageFull),
                (1031, ErrorKind::Permission),
                (2290, ErrorKind::InvalidInput),
                (20_001, ErrorKind::Backend),
                (942, ErrorKind::SchemaMissing),
                (3113, ErrorKind::Unavailable),
            ] {
                server
                    .plan(events_testkit::oracle::Plan::at("events.table.insert").code(code))
                    .unwrap();
                let error = channel.publish("orders", "canary").await.unwrap_err();
                assert_eq!(error.kind(), kind, "{error}");
                assert!(
                    !format!("{error} {error:?}").contains("canary"),
                    "{error:?}"
                );
            }
            channel.shutdown().await.map(drop)
        },
    );
}

/// A login or network failure is never answered with another backend.
#[test]
fn a_login_or_network_failure_stays_an_error() {
    with_standin(
        "a_login_or_network_failure_stays_an_error",
        async |database, server| {
            for backend in [BackendKind::PollQueue, BackendKind::Aq] {
                let wanted = config(database).backend(backend).fallback(Fallback::Queue);
                server.refuse_logins(Some(1017)).unwrap();
                let error = wanted.clone().open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
                assert!(!format!("{error} {error:?}").contains("tiger"), "{error:?}");
                server.refuse_logins(None).unwrap();
                server.unreachable(Some(12541)).unwrap();
                let error = wanted.open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains(server.service()), "{error}");
                server.unreachable(None).unwrap();
            }
            Ok(())
        },
    );
}
