//! This device's keys, in its database.

use ties_sealed_log::{DeviceKeys, Secret};
use ties_store::{Read, Table};

use crate::records::{DEVICE, DeviceRecord, Fault, record};

/// The keys of this device.
pub(crate) fn device_keys(read: &dyn Read) -> Result<Option<DeviceKeys>, Fault> {
    let kept: Option<DeviceRecord> = record(read, Table::SETTINGS, DEVICE, "this device")?;
    Ok(kept.map(|kept| DeviceKeys::from_seed(Secret::new(kept.seed))))
}
