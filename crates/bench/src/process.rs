//! Processes under measurement: started, observed through `/proc`, stopped.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Linux counts the CPU time that it reports in `/proc` in hundredths of a second, whatever its own
/// tick is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process that printed its address. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// `HOST:PORT`.
    pub(crate) address: String,
    child: Child,
    /// Held open: a process that prints more must not fail.
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a process and waits for the line of its standard output in which `address` finds one.
    ///
    /// # Errors
    /// When it does not start, or ends before such a line.
    pub(crate) fn start(command: &mut Command, address: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let program = command.get_program().to_owned();
        let describe = || format!("cannot start {}", program.display());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(describe)?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut running = Self { address: String::new(), child, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        while running.stdout.read_line(&mut line)? > 0 {
            if let Some(address) = address(line.trim()) {
                running.address = address;
                return Ok(running);
            }
            line.clear();
        }
        Err(anyhow::anyhow!("it printed no address")).with_context(describe)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, all its threads together, in user mode and in the kernel.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(path)?;
    cpu_time_of(&stat).context("/proc/PID/stat has another form")
}

/// CPU time of all processes of this name so far, whoever started them. One that ends takes its share with it.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn cpu_time_of_all(name: &str) -> Result<Duration> {
    let named =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    let entries = fs::read_dir("/proc").context("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter(named).filter_map(|pid| cpu_time(pid).ok()).sum())
}

fn cpu_time_of(stat: &str) -> Option<Duration> {
    // The second field is the name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

/// Resident memory of a process, in megabytes of 10^6 bytes.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_megabytes(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).context(path)?;
    resident_megabytes_of(&status).context("/proc/PID/status has another form")
}

fn resident_megabytes_of(status: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u32 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kibibytes) * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 123 77 0 0 20 0";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time_of("42"), None);
        let megabytes = resident_megabytes_of("Name:\tx\nVmRSS:\t    1000 kB\n").unwrap();
        assert!((megabytes - 1.024).abs() < 1e-9);
        assert_eq!(resident_megabytes_of("Name:\tx\n"), None);
        assert!(resident_megabytes(std::process::id()).unwrap() > 0.1);
        assert!(cpu_time(std::process::id()).is_ok());
    }
}
