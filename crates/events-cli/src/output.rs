//! Standard output, a whole flushed line at a time.

use std::io::Write as _;

use crate::exit::Done;

/// Writes a line and flushes it, so that what is printed can be relied on.
pub(crate) fn line(text: impl std::fmt::Display) -> Done {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}
