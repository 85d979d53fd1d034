//! `--exec`: a shell command for each event.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use event_channels::{BoxError, EventMessage};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs `sh -c` with the payload on standard input; what it prints goes to our standard error.
///
/// Dropped half-way, the command is killed.
pub(crate) async fn run_command(shell: &str, message: &EventMessage) -> Result<(), BoxError> {
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
    if let Some(mut input) = child.stdin.take() {
        // A command need not read its input.
        let _ = input.write_all(&payload).await;
    }
    let status = child.wait().await?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit code {code}").into()),
        (None, Some(signal)) => Err(format!("killed by signal {signal}").into()),
        (None, None) => Err("the command ended without a code".into()),
    }
}
