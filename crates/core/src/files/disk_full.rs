//! Telling a full disk from other errors.

use std::io::{self, ErrorKind};

/// Whether the system refused to store more: the disk, the user's quota or the largest size of a file is used up.
pub fn is_disk_full(error: &anyhow::Error) -> bool {
    const FULL: [ErrorKind; 3] = [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
    ];
    // Errors of this program's own bounds have no error number of the system.
    let is_full =
        |error: &io::Error| error.raw_os_error().is_some() && FULL.contains(&error.kind());
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref())
        .any(is_full)
}
