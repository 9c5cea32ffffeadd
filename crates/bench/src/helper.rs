//! Helper processes beside the server under measurement.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::Running;

/// Starts this program as a separate process, with this command.
///
/// # Errors
/// When it does not start.
pub(crate) fn start(command: &str) -> Result<Running> {
    let program = std::env::current_exe().context("our own binary")?;
    Running::start(Command::new(program).arg(command), |line| Some(line.to_owned()))
}

/// Prints the addresses, and returns when standard input ends, that is, when the parent process has exited.
pub(crate) fn announce(addresses: &[SocketAddr]) {
    for address in addresses {
        println!("{address}");
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}
