//! One evaluation serves every repeat.
