//! `--exec`: a shell command for each event.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use event_channels::{BoxError, Closer, EventMessage};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// Runs `sh -c` with the payload on standard input; what it prints goes to our standard error.
///
/// Dropped half-way, or when `now` is closed, the command and what it has started are killed.
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
        // A Ctrl-C at the terminal is for us: the command in hand may finish.
        .process_group(0)
        .spawn()?;
    let mut group = Group::of(&child);
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
    let status = tokio::select! {
        status = fed_and_ended => status?,
        () = now.closed() => return Err("the listener was ended".into()),
    };
    group.ended();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit code {code}").into()),
        (None, Some(signal)) => Err(format!("killed by signal {signal}").into()),
        (None, None) => Err("the command ended without a code".into()),
    }
}

/// The processes of a command that runs; killed together when this is dropped before its end.
///
/// `sh` alone would not do: it waits for what it has started, which would go on without it.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    /// The command ended by itself; what it left in the background is not ours to end.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The shell was not waited for yet, so its number is nobody else's.
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::warn!(%error, "a command could not be killed");
        }
    }
}
