//! Who may look at the report: each way of signing in, what each person sees, and what is noted of it.

#[path = "../harness/mod.rs"]
mod harness;

mod export;
mod isolation;
mod oidc;
mod pages;
mod proxy;
mod sessions;
mod setup;
mod tls;
mod tokens;
mod users;
