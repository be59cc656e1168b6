//! A process: its lock on the data folder, and its end in order.

mod data_folder;
pub mod shutdown;

pub use data_folder::DataFolder;
