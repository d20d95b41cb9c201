//! `DATA_DIR/tickets.json`: whole or not at all, also after a crash of the machine. It is written beside its place, synced,
//! and renamed. Mode 0600.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::JournalError;
use super::super::files::{Disk, Files};
use crate::review::clock::Timestamp;
use crate::review::ticket::Ticket;

#[derive(Debug)]
pub struct TicketFile {
    data_dir: PathBuf,
}

const FILE: &str = "tickets.json";
/// Not in its place yet.
const NEW: &str = "tickets.json.new";
/// What could not be read, for a person.
const DAMAGED: &str = "tickets.json.damaged";

/// Raised when what was written before means something else.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
struct Written<'a> {
    format: u32,
    tickets: &'a [Ticket],
}

#[derive(Debug, Deserialize)]
struct Read {
    format: u32,
    tickets: Vec<Ticket>,
}

// === impl TicketFile ===

impl TicketFile {
    /// With what it holds, and what is wrong with it. What cannot be read is moved aside, so that nothing is written over it.
    pub fn open(data_dir: &Path) -> (Self, Vec<Ticket>, Option<String>) {
        let file = Self { data_dir: data_dir.to_owned() };
        let path = data_dir.join(FILE);
        let (tickets, trouble) = match read(&path) {
            Ok(tickets) => (tickets, None),
            Err(error) => {
                let aside = data_dir.join(DAMAGED);
                let moved = match fs::rename(&path, &aside) {
                    Ok(()) => format!("it is {} now", aside.display()),
                    Err(error) => format!("it cannot be moved aside either: {error}"),
                };
                let what = format!(
                    "Break-glass tickets that were used up may begin anew, unless the history has them: {} cannot be \
                     read: {error}; {moved}",
                    path.display()
                );
                (Vec::new(), Some(what))
            }
        };
        (file, tickets, trouble)
    }

    /// Blocks on the disk.
    pub fn write(&mut self, tickets: &[Ticket]) -> Result<(), JournalError> {
        let (path, new) = (self.data_dir.join(FILE), self.data_dir.join(NEW));
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        let mut file = opened.map_err(JournalError::io("create", &new))?;
        let text = serde_json::to_vec(&Written { format: FORMAT, tickets }).expect("keys are strings");
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        written.map_err(JournalError::io("write", &new))?;
        fs::rename(&new, &path).map_err(JournalError::io("create", &path))?;
        Disk.sync_dir(&self.data_dir).map_err(JournalError::io("sync", &self.data_dir))
    }
}

fn read(path: &Path) -> io::Result<Vec<Ticket>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let Read { format, tickets } = serde_json::from_slice(&text)?;
    if format != FORMAT {
        return Err(io::Error::other(format!("it is of format {format}, and this version reads {FORMAT}")));
    }
    let now = Timestamp::now();
    Ok(tickets.into_iter().filter(|ticket| !ticket.is_past(now)).collect())
}
