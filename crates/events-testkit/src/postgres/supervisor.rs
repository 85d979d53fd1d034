//! A shell that ends a program, and removes its folder, when the tests let go of it.
//!
//! Rust runs no destructor when a test binary exits, and none at all when it is killed. The shell
//! waits on a pipe that the kernel closes in either case.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs::Programs;

/// The program is `$3` and what follows. A line on the pipe keeps the folder, the mere end of the
/// pipe removes it. A server takes QUIT, and drops everything; a shell starts programs that ignore
/// it, and those that have no handler of their own take TERM. The id stays that of our child until `wait`, so no other process is hit.
const SCRIPT: &str = r#"
folder=$1 log=$2 keep=; shift 2
"$@" </dev/null >>"$log" 2>&1 &
child=$!
echo "$child"
if read -r word; then keep=yes; fi
kill -QUIT "$child" 2>/dev/null; kill -TERM "$child" 2>/dev/null
wait "$child"
[ -n "$keep" ] || rm -rf "$folder"
"#;

/// A running program and its shell.
#[derive(Debug)]
pub(super) struct Supervisor {
    shell: Child,
    /// Taken when it is to end.
    pipe: Option<ChildStdin>,
    program: Pid,
}

impl Supervisor {
    /// Runs `command`, whose output goes to `log`; `folder` goes with it.
    pub(super) fn start(
        programs: &Programs,
        command: &Command,
        folder: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        let mut shell = programs.stepped_down(Command::new("/bin/sh"));
        shell.args(["-c", SCRIPT, "supervisor"]);
        shell.args([folder, log]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn()?;
        let pipe = shell.stdin.take();
        let mut line = String::new();
        if let Some(output) = shell.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let id = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self {
            shell,
            pipe,
            program: Pid::from_raw(id),
        })
    }

    /// Sends the program a signal.
    pub(super) fn signal(&self, signal: Signal) {
        // It may have ended already.
        let _ = kill(self.program, signal);
    }

    /// Whether it has ended by itself; it is then a zombie until the shell asks for its status.
    pub(super) fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.program));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    /// Ends the program, whether it has ended or not, and keeps its folder.
    pub(super) fn end_and_keep(mut self) {
        if let Some(pipe) = &mut self.pipe {
            let _ = pipe.write_all(b"keep\n");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}
