//! The system's source of random numbers, which every key and nonce comes from.

use napi_derive::napi;

/// What getrandom(2) says when it must not wait: `ready`, `EAGAIN` (the kernel has not gathered
/// enough since it started) or another error. `null` where the system has another call.
#[napi]
#[must_use]
pub fn entropy() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::Errno;
        use rustix::rand::{GetRandomFlags, getrandom};

        let mut byte = [0_u8];
        Some(match getrandom(&mut byte, GetRandomFlags::NONBLOCK) {
            Ok(_) => "ready".to_owned(),
            Err(Errno::AGAIN) => "EAGAIN".to_owned(),
            Err(Errno::NOSYS) => "ENOSYS".to_owned(),
            Err(error) => error.to_string(),
        })
    }
    #[cfg(not(target_os = "linux"))]
    None
}
