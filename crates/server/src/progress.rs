//! How far a long command has come, on standard error: on a terminal one line that is written over, elsewhere a
//! line now and then.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// Between two lines on a terminal.
const TERMINAL: Duration = Duration::from_millis(100);
/// Between two lines in a file.
const PLAIN: Duration = Duration::from_secs(10);
/// Characters of the bar.
const WIDTH: u64 = 24;

/// A line that says how far a command has come.
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

    /// `done` of `all` is done; what there is to say about it.
    pub(crate) fn tell(&mut self, done: u64, all: u64, about: impl FnOnce() -> String) {
        let percent = percent(done, all);
        if self.terminal {
            self.show(|| format!("{} {percent:>3}%  {}", bar(percent), about()));
        } else {
            self.show(|| format!("{percent}%  {}", about()));
        }
    }

    /// What is done, of nobody knows how much.
    pub(crate) fn count(&mut self, about: impl FnOnce() -> String) {
        self.show(about);
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        if self.told.elapsed() < if self.terminal { TERMINAL } else { PLAIN } {
            return;
        }
        self.told = Instant::now();
        // Nobody has to be told: a standard error that is closed ends nothing.
        let _ = if self.terminal {
            self.shown = true;
            write!(stderr(), "\r{}\x1b[K", text())
        } else {
            writeln!(stderr(), "{}", text())
        };
        let _ = stderr().flush();
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

/// Rows may be added while somebody counts.
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
