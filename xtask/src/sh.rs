//! Running other programs.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets this when it runs us; the value from the build would name another checkout when
    // two of them share a target folder.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), Path::to_path_buf)
}

/// The cargo that runs us, in the current folder.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// The cargo that runs us, in the folder of the workspace, with `arguments` split at spaces.
pub(crate) fn cargo_at_root(arguments: &str) -> Command {
    let mut command = cargo();
    command
        .current_dir(root())
        .args(arguments.split_whitespace());
    command
}

/// Prints and runs a command; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = status(command)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}` failed: {status}", shown(command)).into())
}

/// Runs a command and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run `{}`: {error}", shown(command)))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let (line, status) = (shown(command), output.status);
        return Err(format!("`{line}` failed: {status}\n{}", text.trim_end()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command and returns how it ended.
fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .map_err(|error| format!("cannot run `{}`: {error}", shown(command)).into())
}

/// Runs a command and passes its exit code on.
pub(crate) fn exit_code(command: &mut Command) -> ExitCode {
    match status(command) {
        // No code: a signal ended it.
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a command can be run and succeeds; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether a program of this name is in a folder of `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_file(&folder, program)))
}

/// Whether `folder` holds a file of this name.
pub(crate) fn is_file(folder: &Path, name: &str) -> bool {
    folder.join(name).is_file()
}

/// A command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.starts_with("`false` failed"), "{error}");
        let error = output(&mut Command::new("no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("cannot run `no-such-program`"), "{error}");
    }

    #[test]
    fn programs_are_found_on_path() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program"));
    }

    #[test]
    fn the_root_holds_this_package() {
        assert!(root().join("xtask/Cargo.toml").is_file());
    }
}
