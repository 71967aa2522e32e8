//! A device's logs: what its owner is told when a data folder was copied, restored or set back.

use ties_engine::{DeviceId, LogId, LogNews, Parting};

use crate::api::{BookError, DeviceLogs, Event, Face};
use crate::book::Book;
use crate::devices::instant;
use crate::engine::fault;

impl Book {
    /// Says once that this device goes on in a new log, or that a copy of its folder does.
    pub(crate) fn tell_logs(&self, face: &mut dyn Face) -> Result<(), BookError> {
        if face.listens()
            && let Some(news) = self.space.log_news().map_err(fault)?
        {
            face.event(Event::Notice { text: sentence(news).to_owned() });
        }
        Ok(())
    }

    /// The same after a write, if it was this one that went into a new log.
    pub(crate) fn tell_parting(&self, face: &mut dyn Face) {
        // The write is done and will be reported; what cannot be read now is told by the next command.
        if face.listens() && self.space.has_parted().unwrap_or(false) {
            let _ = self.tell_logs(face);
        }
    }

    /// The devices with more than one log.
    pub(crate) fn device_logs(&self) -> Result<Vec<DeviceLogs>, BookError> {
        let logs = self.space.incarnations().map_err(fault)?;
        let devices = self.space.devices().map_err(fault)?;
        let several = devices.into_iter().filter_map(|device| {
            let logs = logs.get(&device.id).filter(|logs| logs.len() > 1)?;
            Some(DeviceLogs {
                id: device.id.to_string(),
                name: device.name,
                this: device.this,
                opened: logs.iter().map(|log| log.opened.and_then(instant)).collect(),
                copied: device.this && logs.iter().any(|log| !log.here),
            })
        });
        Ok(several.collect())
    }

    /// What is said of a log with two ends; nothing of this device's own, of which [`Self::tell_logs`] says more.
    pub(crate) fn fork(&self, log: &LogId) -> Option<Event> {
        let writer: DeviceId = self.space.writer_of(log).ok().flatten()?;
        let device = self.space.devices().ok()?.into_iter().find(|device| device.id == writer)?;
        let text = format!("{} was copied or set back to an earlier state; all that it wrote is kept", device.name);
        Some(Event::Notice { text }).filter(|_| !device.this)
    }
}

fn sentence(news: LogNews) -> &'static str {
    match news {
        LogNews::Parted(Parting::Moved) => {
            "this folder was copied, restored or moved to another disk, and goes on as a new incarnation of this device; \
             nothing is lost, nothing to do (should two copies stay in use, pair one anew: ties device add)"
        }
        LogNews::Parted(Parting::Forked | Parting::Continued) => {
            "this folder was set back to an earlier state, or copied, and goes on as a new incarnation of this device; \
             nothing is lost, nothing to do (should two copies stay in use, pair one anew: ties device add)"
        }
        LogNews::Copied => {
            "this folder was copied, and the copy goes on as another incarnation of this device; nothing is lost, nothing \
             to do (should it stay in use, pair it anew: ties device add; you made none? then somebody else did)"
        }
    }
}
