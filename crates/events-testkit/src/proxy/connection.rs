//! One connection through the proxy.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::fault_proxy::{End, Flow, Orders};

/// Hands bytes on as ordered until either side hangs up, or the connection is to end.
pub(super) async fn run<S>(
    mut client: TcpStream,
    mut server: S,
    number: usize,
    mut orders: watch::Receiver<Orders>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(&mut server);
        let up = pump(from_client, to_server, orders.clone(), |o| o.to_server);
        let down = pump(from_server, to_client, orders.clone(), |o| o.to_client);
        tokio::select! {
            // An order to end comes before what the pumps have in hand.
            biased;
            end = ordered_end(number, &mut orders) => Some(end),
            // A reset of either side is handed on like an end in good order.
            done = async { tokio::try_join!(up, down) } => done.err().map(|_| End::Rst),
        }
    };
    match ended {
        None | Some(End::Fin) => {
            let _ = client.shutdown().await;
        }
        Some(End::Rst) => {
            let _ = client.set_zero_linger();
        }
        Some(End::HalfOpen) => {
            // Both sockets stay open, until the proxy is dropped.
            std::future::pending::<()>().await;
        }
    }
}

async fn ordered_end(number: usize, orders: &mut watch::Receiver<Orders>) -> End {
    let ended = orders
        .wait_for(|orders| orders.end_until >= number)
        .await
        .map(|orders| orders.end);
    match ended {
        Ok(end) => end,
        // The proxy is gone.
        Err(_) => End::Fin,
    }
}

/// Copies one direction; the end of it is handed on too.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut orders: watch::Receiver<Orders>,
    flow: impl Fn(&Orders) -> Flow,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // Held bytes wait here, and the end of the stream with them.
        let flow = match orders.wait_for(|orders| flow(orders) != Flow::Hold).await {
            Ok(orders) => flow(&orders),
            Err(_) => return Ok(()),
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = &buffer[..read];
        match flow {
            Flow::Delay(time) => {
                tokio::time::sleep(time).await;
                to.write_all(bytes).await?;
            }
            Flow::Trickle => {
                for byte in bytes {
                    to.write_all(std::slice::from_ref(byte)).await?;
                    to.flush().await?;
                }
            }
            Flow::Pass | Flow::Hold => to.write_all(bytes).await?,
        }
    }
}
