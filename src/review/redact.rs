//! Secrets leave an object before it is written anywhere.
