//! `--exec`: a shell command for each event.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use event_channels::{BoxError, Closer, EventMessage};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs `sh -c` with the payload on standard input; what it prints goes to our standard error.
///
/// Dropped half-way, or when `now` is closed, the command is killed.
pub(crate) async fn run_command(
    shell: &str,
    message: &EventMessage,
    now: &Closer,
) -> Result<(), BoxError> {
    let payload = serde_json::to_vec(&message.payload)?;
    let mut child = Command::new("sh")
        .args(["-c", shell])
        .env("EVENT_ID", message.event_id.to_string())
        .env("EVENT_CHANNEL", message.channel.as_str())
        .env("EVENT_ATTEMPTS", message.attempts.to_string())
        .stdin(Stdio::piped())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        // A Ctrl-C at the terminal is for us: the command in hand may finish.
        .process_group(0)
        .spawn()?;
    let input = child.stdin.take();
    let feed = async move {
        if let Some(mut input) = input {
            // A command need not read its input.
            let _ = input.write_all(&payload).await;
        }
    };
    let fed_and_ended = async {
        // What the command leaves running may hold its input open without reading it.
        tokio::select! {
            status = child.wait() => return status,
            () = feed => {}
        }
        child.wait().await
    };
    let ended = tokio::select! {
        status = fed_and_ended => Some(status?),
        () = now.closed() => None,
    };
    let Some(status) = ended else {
        child.start_kill()?;
        return Err("the listener was ended".into());
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit code {code}").into()),
        (None, Some(signal)) => Err(format!("killed by signal {signal}").into()),
        (None, None) => Err("the command ended without a code".into()),
    }
}
