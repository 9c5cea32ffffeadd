//! Files of keys and tokens that every user of the machine can read.

use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Fault};
use crate::settings::layers::Layers;
use crate::settings::table::Setting;

/// The permissions that every user of the machine has, without those to search a directory.
const OTHERS: u32 = 0o006;

/// Whether every user of the machine can read or change a file. A group may: that is how a service shares one.
pub fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0)
}

/// The exposed ones among the files of settings; refused unless the issuer is on this machine only.
pub(crate) fn check<'a>(
    layers: &Layers<'_>,
    loopback: bool,
    files: impl IntoIterator<Item = (&'static Setting, Option<&'a Path>)>,
) -> Result<Vec<PathBuf>, ConfigError> {
    let named = files.into_iter().filter_map(|(setting, path)| Some((setting, path?)));
    let exposed: Vec<_> = named.filter(|(_, path)| is_exposed(path)).collect();
    match exposed.first() {
        Some((setting, path)) if !loopback => {
            let path = path.display();
            let problem = format!("every user of this machine can read or change {path}");
            let fix = format!("run chmod o= {path}; for a container secret, set its mode to 0400");
            Err(layers.refuse(setting, Fault::new(problem, fix)))
        }
        _ => Ok(exposed.into_iter().map(|(_, path)| path.to_owned()).collect()),
    }
}
