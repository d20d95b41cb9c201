//! Globs over names and images.
