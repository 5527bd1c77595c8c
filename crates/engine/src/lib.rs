#![deny(unsafe_code)]
//! Placeholder.
