//! Who may look at the report: each way of signing in, what each person sees, and what is noted of it.

#[path = "../harness/mod.rs"]
mod harness;

mod isolation;
mod oidc;
mod proxy;
mod sessions;
mod setup;
mod tokens;
mod users;
