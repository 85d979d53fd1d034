//! A machine without Oracle's client library: opening says what to install.

use events_core::ErrorKind;
use events_oracle_session::{Server, Session, class_of, oracle};
use events_testkit::Missing;

#[test]
fn valgrind_sees_no_invalid_access() {
    events_testkit::valgrind::sees_no_invalid_access("valgrind_sees_no_invalid_access", &[]);
}

#[test]
fn opening_says_what_to_install() {
    let nowhere = std::env::temp_dir().join("no-oracle-client-here");
    let found = oracle::InitParams::new()
        .oracle_client_lib_dir(nowhere)
        .and_then(|params| params.init());
    let error = found.expect_err("there is no library in a folder that does not exist");
    assert_eq!(
        class_of(&error).0.kind(),
        ErrorKind::NotConfigured,
        "{error}"
    );

    let server = Server::parse("oracle://u:canary@127.0.0.1:1/s").unwrap();
    let error = Session::connect(&server, "poll_queue", None).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("oracle://127.0.0.1:1/s"), "{text}");
    if error.kind() == ErrorKind::Unavailable {
        let here = Missing::new("no-oracle", "Oracle's client library is installed here");
        return here.skip("opening_says_what_to_install");
    }
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
    assert!(text.contains("Instant Client"), "{text}");
}
