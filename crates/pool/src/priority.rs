/// The priority that the pool's threads take.
#[derive(Clone, Copy)]
pub(crate) struct Priority {
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        expect(dead_code, reason = "elsewhere nice(2) is for the whole process")
    )]
    nice: Option<i32>,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Priority {
    /// Absolute, since a new thread inherits from whichever thread had it started, which may be
    /// one of the pool.
    pub(crate) fn below_this_thread(niceness: Option<i32>) -> Priority {
        let nice = niceness.and_then(|by| {
            let own = rustix::process::getpriority_process(Some(rustix::thread::gettid())).ok()?;
            Some(own.saturating_add(by).clamp(-20, 19))
        });
        Priority { nice }
    }

    /// For the calling thread alone: Linux takes a thread's id as PRIO_PROCESS.
    pub(crate) fn apply(self) {
        if let Some(nice) = self.nice {
            // Refused in some sandboxes; the pool works as well at the normal priority.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Priority {
    pub(crate) fn below_this_thread(niceness: Option<i32>) -> Priority {
        Priority { nice: niceness }
    }

    pub(crate) fn apply(self) {}
}
