//! JSON that two readers could read differently is refused before anything is read from it.
