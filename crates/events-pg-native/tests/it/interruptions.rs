//! The listening connection is lost in every way: consumers see one gap each time, and nothing is
//! missing outside of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events_core::telemetry::Count;
use events_core::{Backend as _, ErrorKind, Timestamp};
use events_pg_native::{Endpoint, NotifyConfig};
use events_testkit::postgres::{Server, ServerOptions, Stop};
use events_testkit::proxy::{Direction, FaultProxy, Flow};
use events_testkit::{long, seed};

use crate::load::{Load, Witness};
use crate::support::{
    HEARTBEAT, item, next, open, publish, quick, request, server, subscribe, until, within,
};

const LISTENER: &str = "the_listener";
const CHANNELS: &[&str] = &["orders", "Orders"];
/// A server that is back is to be noticed within this.
const BACK: Duration = Duration::from_secs(1);
/// What a busy machine may add to a single one.
const SLACK: Duration = Duration::from_secs(10);

/// Listens through the proxy under a name of its own, and publishes past it.
fn through(proxy: &FaultProxy, url: &str) -> NotifyConfig {
    let mut config = quick(url);
    let listen = format!("{}?application_name={LISTENER}", proxy.url(url));
    config.listen = Endpoint::parse(&listen).unwrap();
    config
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Terminate,
    Fin,
    Rst,
    HalfOpen,
    Restart,
}

impl Fault {
    fn any(random: &mut fastrand::Rng) -> Self {
        match random.u8(..16) {
            0..=4 => Self::Terminate,
            5..=8 => Self::Fin,
            9..=12 => Self::Rst,
            13..=14 => Self::HalfOpen,
            _ => Self::Restart,
        }
    }

    /// Does it; answers the moment from which on a connection can be had.
    fn strike(self, server: &Server, proxy: &FaultProxy) -> Timestamp {
        match self {
            Self::Terminate => drop(server.query(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = '{LISTENER}'"
            ))),
            Self::Fin => proxy.cut(),
            Self::Rst => proxy.reset(),
            Self::HalfOpen => proxy.half_open(),
            Self::Restart => {
                server.stop(Stop::Fast);
                server.start_again();
            }
        }
        Timestamp::now()
    }

    /// How long it may take to be back.
    fn limit(self) -> Duration {
        match self {
            Self::HalfOpen => HEARTBEAT.0 + HEARTBEAT.1 + BACK,
            _ => BACK,
        }
    }
}

async fn rounds(test: &str, rounds: usize) {
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let _ = writeln!(std::io::stderr(), "EVENTS_TEST_SEED={seed}");
    let url = server.database();
    let proxy = FaultProxy::before(&server).await.unwrap();
    let config = through(&proxy, &url);
    let telemetry = Arc::clone(&config.telemetry);
    let listening = open(config).await;
    let mut witnesses = Vec::new();
    for channel in ["orders", "Orders", "orders"] {
        witnesses.push(Witness::of(subscribe(&listening, channel).await));
    }
    let load = Load::start(Arc::new(open(quick(&url)).await), CHANNELS);
    let mut times: BTreeMap<Fault, Vec<Duration>> = BTreeMap::new();
    for round in 1..=rounds {
        load.some_more().await;
        let fault = Fault::any(&mut random);
        let back = fault.strike(&server, &proxy);
        until("everybody sees the gap", || {
            witnesses.iter().all(|w| w.gaps().len() >= round)
        })
        .await;
        let gaps: Vec<_> = witnesses.iter().map(Witness::gaps).collect();
        let counts: Vec<_> = gaps.iter().map(Vec::len).collect();
        assert_eq!(counts, [round; 3], "one gap each after {fault:?}");
        let took = gaps[0][round - 1].until.duration_since(back);
        let took = Duration::try_from(took).unwrap_or_default();
        assert!(took < fault.limit() + SLACK, "{fault:?} took {took:?}");
        times.entry(fault).or_default().push(took);
    }
    load.some_more().await;
    let sent = load.count();
    let ledger = load.stop().await;
    let mut missed = Vec::new();
    for witness in witnesses {
        missed.push(witness.check(&ledger).await);
    }
    let _ = writeln!(std::io::stderr(), "{sent} sent, {missed:?} in gaps");
    for (fault, mut times) in times {
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        let _ = writeln!(
            std::io::stderr(),
            "{fault:?}: {} times, back after {median:?}, at worst {worst:?}",
            times.len()
        );
        assert!(median < fault.limit(), "{fault:?} takes {median:?}");
    }
    assert_eq!(telemetry.get(Count::ListenerReconnect), rounds as u64);
    listening.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_rounds_lose_nothing_outside_of_a_gap() {
    rounds("fifty_rounds_lose_nothing_outside_of_a_gap", 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rounds_lose_nothing_outside_of_a_gap() {
    let test = "a_thousand_rounds_lose_nothing_outside_of_a_gap";
    if long(test) {
        rounds(test, 1000).await;
    }
}

/// The only item for a while is one gap; then events come again.
async fn one_gap_then_events(
    listening: &events_pg_native::NotifyBackend,
    events: &mut events_core::BoxSubscription,
) {
    let error = item(events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    let id = publish(listening, "orders", 1).await;
    assert_eq!(next(events).await.event_id, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_asked_a_few_times_a_second() {
    let test = "a_server_that_is_away_is_asked_a_few_times_a_second";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let proxy = FaultProxy::before(&server).await.unwrap();
    let listening = open(through(&proxy, &url)).await;
    let mut events = subscribe(&listening, "orders").await;
    let before = proxy.accepted();
    server.stop(Stop::Fast);
    let begun = Instant::now();
    until("some attempts failed", || proxy.accepted() >= before + 12).await;
    let took = begun.elapsed();
    // The pauses before the later ones are at least a quarter of a second.
    assert!(took > Duration::from_millis(1_500), "12 within {took:?}");
    server.start_again();
    one_gap_then_events(&listening, &mut events).await;
    listening.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_each_session_at_once_is_not_asked_in_a_hot_loop() {
    let test = "a_server_that_ends_each_session_at_once_is_not_asked_in_a_hot_loop";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let proxy = FaultProxy::before(&server).await.unwrap();
    let listening = open(through(&proxy, &url)).await;
    let mut events = subscribe(&listening, "orders").await;
    let before = proxy.accepted();
    let begun = Instant::now();
    for _ in 0..10 {
        proxy.cut();
        let error = item(&mut events).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    }
    let took = begun.elapsed();
    assert!(proxy.accepted() >= before + 10);
    assert!(took > Duration::from_millis(900), "10 within {took:?}");
    listening.shutdown().await.unwrap();
}

/// Whether the listening session has left the channel of its proof and is at rest.
fn is_over(server: &Server) -> bool {
    let resting = server.query(&format!(
        "SELECT FROM pg_stat_activity WHERE application_name = '{LISTENER}' AND state = 'idle' \
         AND (query LIKE 'UNLISTEN%' OR query LIKE '%pg_listening_channels%')"
    ));
    !resting.is_empty()
}

/// Nothing comes and nothing arrives, on this connection and on new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_is_noticed_by_the_heartbeat() {
    let test = "a_black_hole_is_noticed_by_the_heartbeat";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    for direction in [Direction::Both, Direction::ToServer, Direction::ToClient] {
        let proxy = FaultProxy::before(&server).await.unwrap();
        let listening = open(through(&proxy, &url)).await;
        let mut events = subscribe(&listening, "orders").await;
        // An unanswered statement would be noticed too, so there must be none.
        until("the proof is over", || is_over(&server)).await;
        publish(&listening, "orders", 0).await;
        next(&mut events).await;
        let before = proxy.accepted();
        let begun = Instant::now();
        proxy.set(direction, Flow::Hold);
        until("another connection is tried", || proxy.accepted() > before).await;
        let took = begun.elapsed();
        assert!(took < HEARTBEAT.0 + HEARTBEAT.1 + BACK + SLACK, "{took:?}");
        proxy.set(Direction::Both, Flow::Pass);
        one_gap_then_events(&listening, &mut events).await;
        listening.shutdown().await.unwrap();
    }
}

/// A connection that is slow, or brings bytes one by one, is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_crumbled_bytes_are_no_interruption() {
    let test = "slow_and_crumbled_bytes_are_no_interruption";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let proxy = FaultProxy::before(&server).await.unwrap();
    let mut config = through(&proxy, &url);
    config.heartbeat_deadline = Duration::from_secs(10); // the machine may be busy too
    let listening = open(config).await;
    let mut events = subscribe(&listening, "orders").await;
    for flow in [Flow::Trickle, Flow::Delay(Duration::from_millis(30))] {
        proxy.set(Direction::Both, flow);
        for number in 0..20 {
            let id = publish(&listening, "orders", number).await;
            assert_eq!(next(&mut events).await.event_id, id);
        }
    }
    listening.shutdown().await.unwrap();
}

/// Who asks while nobody can be reached is told so; who was live goes on waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_while_the_server_is_away_is_refused_and_works_later() {
    let test = "subscribing_while_the_server_is_away_is_refused_and_works_later";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let proxy = FaultProxy::before(&server).await.unwrap();
    let listening = open(through(&proxy, &url)).await;
    let mut events = subscribe(&listening, "orders").await;
    proxy.refuse(true);
    proxy.cut();
    let refused = within(listening.subscribe(request("Orders"))).await;
    let error = refused.expect_err("nobody can be reached");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let port = proxy.port().to_string();
    assert!(
        error.to_string().contains(&port),
        "names the place: {error}"
    );
    proxy.refuse(false);
    let mut later = subscribe(&listening, "Orders").await;
    one_gap_then_events(&listening, &mut events).await;
    // Nothing was missed by one that was not live.
    let id = publish(&listening, "Orders", 2).await;
    assert_eq!(next(&mut later).await.event_id, id);
    listening.shutdown().await.unwrap();
}

/// The listening session waits for events, however short the patience of the server's owner is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sessions_that_the_server_ends_are_none_of_ours() {
    let test = "idle_sessions_that_the_server_ends_are_none_of_ours";
    let options = ServerOptions::new()
        .setting("idle_session_timeout = '50ms'")
        .setting("log_connections = on");
    let Some(server) = server(test, &options) else {
        return;
    };
    let url = server.database();
    let mut config = quick(&url);
    config.heartbeat_interval = Duration::from_secs(60);
    let listening = open(config).await;
    let mut events = subscribe(&listening, "orders").await;
    until("the idle connections of the pool were ended", || {
        server.log().contains("idle-session timeout")
    })
    .await;
    let id = publish(&listening, "orders", 1).await;
    assert_eq!(next(&mut events).await.event_id, id);
    listening.shutdown().await.unwrap();
}

/// The server answers, and knows of no channel: as if each statement had another session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_no_longer_listens_is_replaced() {
    let test = "a_session_that_no_longer_listens_is_replaced";
    let Some(server) = server(test, &ServerOptions::new()) else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    // Found before the server's own function of that name.
    server.query(&format!(
        "ALTER DATABASE {database} SET search_path = deaf, pg_catalog, public"
    ));
    let query = |sql: &str| events_testkit::postgres::query(&url, sql);
    query("CREATE SCHEMA deaf");
    let mut config = quick(&url);
    // Only the answer to a heartbeat tells; none of them comes late.
    config.heartbeat_deadline = SLACK;
    let telemetry = Arc::clone(&config.telemetry);
    let listening = open(config).await;
    let mut events = subscribe(&listening, "orders").await;
    query(
        "CREATE FUNCTION deaf.pg_listening_channels() RETURNS SETOF text \
         LANGUAGE sql AS 'SELECT NULL::text WHERE false'",
    );
    let error = item(&mut events).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gap, "{error}");
    assert!(error.to_string().contains("no longer listens"), "{error}");
    query("DROP FUNCTION deaf.pg_listening_channels()");
    // Each event arrives or lies in a gap, of which there may be some from the time before.
    loop {
        publish(&listening, "orders", 1).await;
        match item(&mut events).await {
            Ok(message) => break assert_eq!(message.payload, 1),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Gap, "{error}"),
        }
    }
    assert!(telemetry.get(Count::ListenerReconnect) > 0);
    listening.shutdown().await.unwrap();
}
