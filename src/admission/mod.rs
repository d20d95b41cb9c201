//! Floor 4: the way of a review, from its body to its answer.
