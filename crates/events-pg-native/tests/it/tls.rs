//! Who is let in by each `sslmode`, and what the others are told.

use std::path::Path;

use events_core::{Backend as _, ErrorKind, NewEvent, Op, Result};
use events_pg_native::{Connector, Endpoint};
use events_testkit::postgres::{Server, ServerOptions};

use crate::certificates::{Authority, Files, Signed};
use crate::support::{config, next, open, server, subscribe};

/// Whether the connection is encrypted, as the server sees it.
async fn encrypted(url: &str) -> Result<bool> {
    let connector = Connector::new(Endpoint::parse(url)?).await?;
    let client = connector.client(Op::Open).await?;
    let row = client
        .query_one(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    Ok(row.get(0))
}

fn with_tls(signed: &Signed, authority: &Authority) -> ServerOptions {
    ServerOptions::new()
        .setting("ssl = on")
        .setting("ssl_cert_file = 'own.crt'")
        .setting("ssl_key_file = 'own.key'")
        .setting("ssl_ca_file = 'clients.crt'")
        .file("own.crt", &*signed.certificate)
        .file("own.key", &*signed.key)
        .file("clients.crt", authority.pem())
}

fn url(server: &Server, user: &str, parameters: &str) -> String {
    let port = server.port();
    format!("postgres://{user}@localhost:{port}/postgres?hostaddr=127.0.0.1&{parameters}")
}

fn root(path: &Path) -> String {
    format!("sslrootcert={}", path.display())
}

/// Let in and encrypted, let in and not, or refused for a reason that holds these words.
type Expected = std::result::Result<bool, &'static [&'static str]>;

async fn expect(server: &Server, what: &str, parameters: &str, expected: Expected) {
    let answer = encrypted(&url(server, "postgres", parameters)).await;
    match (answer, expected) {
        (Ok(encrypted), Ok(wanted)) => assert_eq!(encrypted, wanted, "{what}: {parameters}"),
        (Err(error), Err(words)) => {
            assert_eq!(
                error.kind(),
                ErrorKind::Tls,
                "{what}: {parameters}: {error}"
            );
            let text = error.to_string();
            for word in words {
                assert!(text.contains(word), "{what}: {parameters}: {text}");
            }
        }
        (answer, expected) => panic!("{what}: {parameters}: {answer:?}, not {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_lets_in_whom_it_should() {
    let test = "each_mode_lets_in_whom_it_should";
    let (trusted, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    let files = Files::new();
    let right = root(&files.put("trusted.crt", trusted.pem()));
    let wrong = root(&files.put("stranger.crt", stranger.pem()));
    let unknown: Expected = Err(&["sslrootcert"]);
    let name: Expected = Err(&["verify-ca", "name"]);
    let old: Expected = Err(&["renew"]);

    // The server's certificate, and what comes of: require, verify-ca and verify-full with the
    // authority that signed it.
    let cases = [
        ("right", trusted.server("localhost"), Ok(true), Ok(true)),
        (
            "wrong name",
            trusted.server("db.example.org"),
            Ok(true),
            name,
        ),
        ("expired", trusted.expired("localhost"), old, old),
        (
            "of a stranger",
            stranger.server("localhost"),
            unknown,
            unknown,
        ),
    ];
    for (what, signed, authority, full) in cases {
        let Some(server) = server(test, &with_tls(&signed, &trusted)) else {
            return;
        };
        let expect = async |parameters: &str, expected| {
            expect(&server, what, parameters, expected).await;
        };
        expect("sslmode=disable", Ok(false)).await;
        expect("sslmode=require", Ok(true)).await;
        expect(&format!("sslmode=verify-ca&{right}"), authority).await;
        expect(&format!("sslmode=verify-full&{right}"), full).await;
        // The default with an authority, and require with one, which means verify-ca.
        expect(&right, full).await;
        expect(&format!("sslmode=require&{right}"), authority).await;
        if what == "right" {
            expect(&format!("sslmode=verify-ca&{wrong}"), unknown).await;
            expect(&format!("sslmode=verify-full&{wrong}"), unknown).await;
            expect(&format!("sslmode=require&{wrong}"), unknown).await;
            // The authorities of this machine know nothing of ours.
            expect("sslmode=verify-full&sslrootcert=system", unknown).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_unless_that_is_wanted() {
    let test = "a_server_without_tls_is_refused_unless_that_is_wanted";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let files = Files::new();
    let right = root(&files.put("trusted.crt", Authority::new("trusted").pem()));
    let off: Expected = Err(&["sslmode=disable"]);
    expect(&server, "plain", "sslmode=disable", Ok(false)).await;
    expect(&server, "plain", "sslmode=require", off).await;
    expect(&server, "plain", &format!("sslmode=verify-ca&{right}"), off).await;
    expect(
        &server,
        "plain",
        &format!("sslmode=verify-full&{right}"),
        off,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_travel_encrypted_with_a_certificate_of_the_client() {
    let test = "events_travel_encrypted_with_a_certificate_of_the_client";
    let (trusted, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    let options = with_tls(&trusted.server("localhost"), &trusted)
        .access("hostssl all app all cert")
        .access("hostnossl all app all reject");
    let Some(server) = server(test, &options) else {
        return;
    };
    server.query("CREATE ROLE app LOGIN");
    let files = Files::new();
    let right = root(&files.put("trusted.crt", trusted.pem()));
    let login = |name: &str, signed: &Signed| {
        let certificate = files.put(&format!("{name}.crt"), &signed.certificate);
        let key = files.put(&format!("{name}.key"), &signed.key);
        let (certificate, key) = (certificate.display(), key.display());
        let parameters = format!("sslmode=verify-full&{right}&sslcert={certificate}&sslkey={key}");
        url(&server, "app", &parameters)
    };

    let own = login("app", &trusted.client("app"));
    let backend = open(config(&own)).await;
    let mut events = subscribe(&backend, "orders").await;
    backend
        .publish(vec![NewEvent::new("orders", 1)])
        .await
        .unwrap();
    assert_eq!(next(&mut events).await.payload, 1);
    backend.shutdown().await.unwrap();

    let none = url(&server, "app", &format!("sslmode=verify-full&{right}"));
    let plain = url(&server, "app", "sslmode=disable");
    let others = [
        ("none", none, ErrorKind::Tls, "sslcert"),
        ("plain", plain, ErrorKind::Tls, "sslmode"),
        (
            "of another user",
            login("other", &trusted.client("other")),
            ErrorKind::Tls,
            "user \"app\"",
        ),
        (
            "of a stranger",
            login("stranger", &stranger.client("app")),
            ErrorKind::Tls,
            "sslcert",
        ),
    ];
    for (what, url, kind, hint) in others {
        let error = encrypted(&url).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains(hint), "{what}: {error}");
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    let authority = Authority::new("trusted");
    let (one, other) = (authority.client("one"), authority.client("other"));
    let empty = files.put("empty.pem", "");
    let certificate = files.put("one.crt", &one.certificate);
    let key = files.put("other.key", &other.key);
    let missing = files.path().join("missing.pem");
    let pair = |certificate: &Path, key: &Path| {
        format!("sslcert={}&sslkey={}", certificate.display(), key.display())
    };
    for (parameters, named) in [
        (root(&missing), "missing.pem"),
        (root(&empty), "empty.pem"),
        (pair(&missing, &key), "missing.pem"),
        (pair(&certificate, &empty), "empty.pem"),
        (pair(&certificate, &key), "other.key"),
    ] {
        let url = format!("postgres://db.example.org/db?sslmode=require&{parameters}");
        let endpoint = Endpoint::parse(&url).unwrap();
        let error = Connector::new(endpoint).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}
