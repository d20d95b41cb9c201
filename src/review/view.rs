//! The canonical part of a review that a policy may see.
