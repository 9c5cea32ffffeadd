//! The machine on which the numbers were measured.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Properties of the machine that explain the numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Cores that a process may use.
    pub(crate) cores: usize,
    /// Model name of the processor.
    pub(crate) processor: String,
    /// The version of Linux.
    pub(crate) kernel: String,
    /// The file system under the databases.
    pub(crate) file_system: String,
}

impl Machine {
    /// This machine, with the file system under `scratch`.
    ///
    /// # Errors
    /// When the cores cannot be counted or there is no such directory.
    pub(crate) fn here(scratch: &Path) -> Result<Self> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system_of(&scratch.canonicalize()?, &read("/proc/self/mounts")),
        })
    }

    /// Whether commits cost nothing here (a file system in memory), which makes every ratio meaningless.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.file_system.as_str(), "tmpfs" | "ramfs")
    }
}

/// The type of the last mount that `path` is below.
fn file_system_of(path: &Path, mounts: &str) -> String {
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(directory, _)| path.starts_with(directory))
        .max_by_key(|(directory, _)| directory.len());
    found.map_or("unknown", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/b /run/disk xfs rw 0 0\n";
        let of = |path| file_system_of(Path::new(path), mounts);
        assert_eq!(
            [of("/srv/x"), of("/run/x"), of("/runner"), of("/run/disk/y")],
            ["ext4", "tmpfs", "ext4", "xfs"]
        );
        assert_eq!(file_system_of(Path::new("/x"), ""), "unknown");
    }
}
