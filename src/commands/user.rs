//! `rehearsal user`: what stands for secrets in the configuration.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::config::token_hash;
use crate::web::access::secret::{Secret, hash};
use crate::web::access::{TOKEN_PREFIX, password};

use super::config::print;

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Read a password and print its hash, for `report.users`.
    ///
    /// From a terminal it is read twice and not shown; else it is the first line of standard input.
    Hash,
    /// Make a token for a program, and print it with its hash, for `report.tokens`.
    ///
    /// The token is shown this once: only its hash goes into the configuration.
    Token,
}

/// Runs one of the commands.
pub fn run(command: &UserCommand) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::Hash => {
            let password = password()?;
            print(&format!("{}\n", password::hash(&password).map_err(anyhow::Error::msg)?))
        }
        UserCommand::Token => {
            let token = format!("{TOKEN_PREFIX}{}", Secret::random().text());
            print(&format!("token: {token}\nhash: {}\n", token_hash(hash(&token))))
        }
    }
}

fn password() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let mut text = String::new();
        io::stdin().lock().read_line(&mut text).context("the password cannot be read")?;
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ").context("the password cannot be read")?;
    let again = rpassword::prompt_password("Once more: ").context("the password cannot be read")?;
    anyhow::ensure!(first == again, "the two are not the same: begin again");
    Ok(first)
}
