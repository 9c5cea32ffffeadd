//! Output of commands on standard output.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// Exit code that a shell reports for a program ended by SIGPIPE, which Rust ignores.
const BROKEN_PIPE: i32 = 141;

/// Prints a line. A closed pipe (`causeway doctor | head -1`) ends the command without a message.
macro_rules! say {
    ($($text:tt)*) => { $crate::out::line(format_args!($($text)*)) };
}

/// Implements [`say!`].
pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(BROKEN_PIPE);
        }
        let _ = writeln!(std::io::stderr(), "causeway: standard output: {error}");
        std::process::exit(1);
    }
}
