//! IPMI over LAN. So far the session alone; the device that uses it is not written yet.

pub(crate) mod session;
