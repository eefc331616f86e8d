//! What is stored: files and folders that are there whole or not at all, locks between processes, and logs of JSON lines
//! that only grow. Nothing else in the program creates, renames or removes what a user keeps.

mod atomic;
mod folder;
mod json_lines;
mod lock;
mod unfinished;

pub use atomic::{replace_file, sync_folder, write_file};
pub use folder::{create_folder, recover_folder, replace_folder};
pub use json_lines::JsonLines;
pub use lock::FileLock;
pub use unfinished::{UnfinishedFolder, is_temporary, remove_leftovers};
