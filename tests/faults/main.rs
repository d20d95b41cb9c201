//! What must not cost a decision, over the real binary: kills, bad disks, clocks that jump, too little of everything.

#[path = "../harness/mod.rs"]
mod harness;

mod clock;
mod disk;
mod history;
mod kill;
mod load;
mod scarce;
mod secret;
mod shim;
mod stop;
mod stores;
mod sweep;
