//! Floor 3: the remote webhook that judges.

pub mod answer;
