//! A process: its lock on the data folder, its end in order, what it reads again, and lines that it writes seldom.

mod data_folder;
pub mod hangup;
mod seldom;
pub mod shutdown;

pub use data_folder::DataFolder;
pub use seldom::Seldom;
