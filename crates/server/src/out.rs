//! What commands print.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// What a shell says of a program that SIGPIPE ended, which Rust ignores.
const BROKEN_PIPE: i32 = 141;

/// Prints a line. Whoever reads no further (`causeway doctor | head -1`) ends the command, quietly.
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// What [`say!`] does.
pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(BROKEN_PIPE);
        }
        let _ = writeln!(std::io::stderr(), "causeway: standard output: {error}");
        std::process::exit(1);
    }
}
