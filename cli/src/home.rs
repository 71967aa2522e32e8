//! Which folder this device's data live in, and what the device is called.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;

use crate::errors::{Failure, Outcome};

/// The folder: `--home`, else `$TIES_HOME`, else `ties` in the platform's data folder.
pub(crate) fn choose(option: Option<PathBuf>) -> Outcome<PathBuf> {
    let named = option.or_else(|| std::env::var_os("TIES_HOME").map(PathBuf::from));
    if let Some(home) = named {
        if home.as_os_str().is_empty() {
            return Err(
                Failure::usage("the data folder's name is empty").hint("give --home a folder, or unset TIES_HOME")
            );
        }
        return Ok(std::path::absolute(home)?);
    }
    let platform = etcetera::base_strategy::choose_native_strategy().map_err(|error| {
        Failure::failed("this user has no home folder")
            .because(&error)
            .hint("name a data folder with --home or TIES_HOME")
    })?;
    Ok(platform.data_dir().join("ties"))
}

/// What a device is called unless the user says otherwise: the host's name.
pub(crate) fn device_name() -> String {
    let name = host_name().unwrap_or_default();
    let first = name.split('.').next().unwrap_or_default().trim();
    if first.is_empty() { "device".to_owned() } else { first.to_owned() }
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}
