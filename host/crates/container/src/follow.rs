//! Waiting for a log to grow, or for its container to end.

use std::time::Duration;

use jiff::Timestamp;

use crate::Container;
use crate::error::{Error, Result};

/// How long nothing is noticed where the system does not tell.
const PATIENCE: Duration = Duration::from_millis(200);

/// Wakes up when something is written to a log.
pub(crate) struct Watch {
    follows: bool,
    #[cfg(target_os = "linux")]
    events: Option<std::os::fd::OwnedFd>,
}

impl Watch {
    /// For a log that is read once.
    pub(crate) fn none() -> Self {
        Self {
            follows: false,
            #[cfg(target_os = "linux")]
            events: None,
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn start(container: &Container) -> Result<Self> {
        use rustix::fs::inotify::{self, CreateFlags};

        let failed =
            |errno: rustix::io::Errno| Error::Io { action: "watch", path: container.log(), source: errno.into() };
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        let watch = Self { follows: true, events: Some(events) };
        watch.renew(container)?;
        Ok(watch)
    }

    /// When the log has a new file.
    #[cfg(target_os = "linux")]
    pub(crate) fn renew(&self, container: &Container) -> Result<()> {
        use rustix::fs::inotify::{self, WatchFlags};

        let Some(events) = &self.events else { return Ok(()) };
        // The last is that it gets another name.
        let wanted = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
        match inotify::add_watch(events, container.log(), wanted) {
            // A container that never ran has none.
            Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::Io { action: "watch", path: container.log(), source: errno.into() }),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn start(_: &Container) -> Result<Self> {
        Ok(Self { follows: true })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn renew(&self, _: &Container) -> Result<()> {
        Ok(())
    }

    /// Whether nothing more will be written.
    pub(crate) fn has_ended(&self, container: &Container) -> Result<bool> {
        Ok(!self.follows || !container.folder.is_locked()?)
    }

    /// Returns when something may have been written, or ended.
    pub(crate) fn wait(&self, until: Option<Timestamp>) -> Result<()> {
        let left = until.map(|until| Timestamp::now().duration_until(until).unsigned_abs());
        let patience = left.map_or(PATIENCE, |left| left.min(PATIENCE)).max(Duration::from_millis(1));
        #[cfg(target_os = "linux")]
        if let Some(events) = &self.events {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};

            let patience = Timespec::try_from(patience).unwrap_or_default();
            let _ = poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&patience));
            let mut buffer = [0; 4096];
            while rustix::io::read(events, &mut buffer).is_ok_and(|length| length > 0) {}
            return Ok(());
        }
        std::thread::sleep(patience);
        Ok(())
    }
}
