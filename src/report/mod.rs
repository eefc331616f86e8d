//! What people read: tables for the terminal, Markdown, CSV and JSON.

pub mod table;
