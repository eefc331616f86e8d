//! Files and folders that appear whole or not at all, locks between processes, and append-only logs
//! of JSON lines. Every command writes through this module.

mod atomic;
mod folder;
mod json_lines;
mod lock;
mod unfinished;

pub use atomic::{is_disk_full, replace_file, sync_folder, write_file};
pub use folder::{create_folder, recover_folder, replace_folder};
pub use json_lines::JsonLines;
pub use lock::FileLock;
pub use unfinished::{UnfinishedFolder, is_temporary, remove_leftovers};
