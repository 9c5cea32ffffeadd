//! Progress of a long command, on standard error: a terminal gets one line that is overwritten, anything else
//! gets a new line now and then.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// Minimum interval between updates on a terminal.
const TERMINAL: Duration = Duration::from_millis(100);
/// Minimum interval between lines elsewhere.
const PLAIN: Duration = Duration::from_secs(10);
/// Width of the bar, in characters.
const WIDTH: u64 = 24;

/// Progress display of a command.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    terminal: bool,
    told: Instant,
    shown: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { terminal: stderr().is_terminal(), told: Instant::now(), shown: false }
    }

    /// Shows `done` of `all`, followed by `about`.
    pub(crate) fn report(&mut self, done: u64, all: u64, about: impl FnOnce() -> String) {
        let percent = percent(done, all);
        if self.terminal {
            self.show(|| format!("{} {percent:>3}%  {}", bar(percent), about()));
        } else {
            self.show(|| format!("{percent}%  {}", about()));
        }
    }

    /// Shows progress without a known total.
    pub(crate) fn count(&mut self, about: impl FnOnce() -> String) {
        self.show(about);
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        if self.told.elapsed() < if self.terminal { TERMINAL } else { PLAIN } {
            return;
        }
        self.told = Instant::now();
        // A failed write is ignored: a closed standard error must not end the command.
        let _ = if self.terminal {
            self.shown = true;
            write!(stderr(), "\r{}\x1b[K", text())
        } else {
            writeln!(stderr(), "{}", text())
        };
        let _ = stderr().flush();
    }

    /// Erases the line.
    pub(crate) fn end(self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// Percentage, at most 100: rows may be added during the count.
fn percent(done: u64, all: u64) -> u64 {
    done.saturating_mul(100).checked_div(all).unwrap_or(100).min(100)
}

fn bar(percent: u64) -> String {
    let full = percent.min(100) * WIDTH / 100;
    (0..WIDTH).map(|at| if at < full { '#' } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        assert_eq!((percent(0, 7), percent(3, 4), percent(9, 7), percent(0, 0)), (0, 75, 100, 100));
        assert_eq!(bar(0), "-".repeat(24));
        assert_eq!(bar(50), format!("{}{}", "#".repeat(12), "-".repeat(12)));
        assert_eq!(bar(100), "#".repeat(24));
    }
}
