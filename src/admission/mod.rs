//! Floor 4: the way of a review, from its body to its answer.
//!
//! [`service`] takes a complete body on its `course`: decode, policies and webhooks at the same time, [`settle`] what
//! they said into one answer, record it, reply. [`failure`] turns every error into the reply that the API server can use.

pub mod answer;
mod asked;
mod bridge;
mod candidates;
mod course;
mod evaluation;
pub mod failure;
pub mod gate;
mod glass;
pub mod metrics;
pub mod opinion;
pub mod questions;
mod reply;
pub mod sample;
mod secrets;
pub mod seen;
pub mod sender;
pub mod service;
pub mod settle;
pub mod shed;
mod staying;
pub mod suspension;
mod views;
pub mod warning;

pub use reply::Reply;
pub use sender::Sender;
pub use service::{Arrival, Service};
