//! The proxy does what it is told, to an echo server.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use events_testkit::proxy::{Direction, FaultProxy, Flow, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

async fn before_echo() -> FaultProxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    FaultProxy::start(Upstream::Tcp(address)).await.unwrap()
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port()))
        .await
        .unwrap()
}

async fn echoed(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut back = vec![0; text.len()];
    match tokio::time::timeout(LIMIT, stream.read_exact(&mut back)).await {
        Ok(read) => read.map(|_| back),
        Err(_) => panic!("nothing came back within {LIMIT:?}"),
    }
}

/// Nothing comes although something was sent.
async fn is_silent(stream: &mut TcpStream) -> bool {
    stream.write_all(b"anybody there?").await.unwrap();
    let read = stream.read_u8();
    tokio::time::timeout(Duration::from_millis(100), read)
        .await
        .is_err()
}

#[tokio::test]
async fn bytes_pass_and_the_end_of_a_stream_too() {
    let proxy = before_echo().await;
    let mut stream = connect(&proxy).await;
    assert_eq!(echoed(&mut stream, b"hello").await.unwrap(), b"hello");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn cut_ends_with_fin_and_reset_with_rst() {
    let proxy = before_echo().await;
    let mut stream = connect(&proxy).await;
    echoed(&mut stream, b"x").await.unwrap();
    proxy.cut();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    let mut stream = connect(&proxy).await;
    echoed(&mut stream, b"x").await.unwrap();
    proxy.reset();
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echoed(&mut connect(&proxy).await, b"new ones work")
        .await
        .unwrap();
}

/// A server that goes away resets what it has not accepted yet; nobody may wait for that for ever.
#[tokio::test]
async fn a_reset_of_the_server_is_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = FaultProxy::start(Upstream::Tcp(address)).await.unwrap();
    let mut stream = connect(&proxy).await;
    stream.write_all(b"x").await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    server.set_zero_linger().unwrap();
    drop(server);
    let mut bytes = [0; 8];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut bytes)).await;
    let error = read.expect("it does not hang").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn half_open_is_silent_for_ever_and_new_ones_work() {
    let proxy = before_echo().await;
    let mut dead = connect(&proxy).await;
    echoed(&mut dead, b"x").await.unwrap();
    proxy.half_open();
    assert!(is_silent(&mut dead).await);
    echoed(&mut connect(&proxy).await, b"x").await.unwrap();
    assert!(is_silent(&mut dead).await);
}

#[tokio::test]
async fn held_bytes_come_later_in_each_direction() {
    for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
        let proxy = before_echo().await;
        let mut stream = connect(&proxy).await;
        proxy.set(direction, Flow::Hold);
        assert!(is_silent(&mut stream).await);
        proxy.set(direction, Flow::Pass);
        let mut text = [0; 14];
        stream.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"anybody there?");
    }
}

#[tokio::test]
async fn delayed_and_trickled_bytes_arrive_whole() {
    let proxy = before_echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Direction::ToClient, Flow::Delay(Duration::from_millis(80)));
    let sent = Instant::now();
    assert_eq!(echoed(&mut stream, b"late").await.unwrap(), b"late");
    assert!(sent.elapsed() >= Duration::from_millis(80));
    proxy.set(Direction::Both, Flow::Trickle);
    let text: Vec<u8> = (0..=255).cycle().take(2_000).collect();
    assert_eq!(echoed(&mut stream, &text).await.unwrap(), text);
}

#[tokio::test]
async fn refused_connections_end_at_once() {
    let proxy = before_echo().await;
    proxy.refuse(true);
    let mut stream = connect(&proxy).await;
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    proxy.refuse(false);
    echoed(&mut connect(&proxy).await, b"x").await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}
