//! The devices, one file or folder each.

pub mod ipmi;
pub mod libvirt;
pub mod meatware;
pub mod process;
pub mod redfish;
pub mod stonith_helper;
pub mod xen;
