//! Who orders something, where nobody says so: a user of this machine.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::ByArgs;

/// `ana@desk`; with sudo `ana as root@desk`.
pub fn orders(args: &ByArgs) -> String {
    args.by.clone().unwrap_or_else(|| format!("{}@{}", user(), host()))
}

fn user() -> String {
    let Ok(own) = fs::metadata("/proc/self") else {
        return variable("USER").unwrap_or_else(|| "unknown".to_owned());
    };
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(own.uid(), &known).unwrap_or_else(|| format!("uid {}", own.uid()));
    match variable("SUDO_USER").filter(|sudo| own.uid() == 0 && *sudo != name) {
        Some(sudo) => format!("{sudo} as {name}"),
        None => name,
    }
}

fn name_of(uid: u32, known: &str) -> Option<String> {
    let is_it = |line: &&str| line.split(':').nth(2).is_some_and(|number| number.parse() == Ok(uid));
    known.lines().find(is_it)?.split(':').next().map(str::to_owned)
}

fn host() -> String {
    let named = fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    named.filter(|name| !name.is_empty()).or_else(|| variable("HOSTNAME")).unwrap_or_else(|| "unknown".to_owned())
}

/// Of one line: it stands in lists.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty() && !value.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_called_as_the_machine_calls_it() {
        let known = "root:x:0:0:root:/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\n";
        assert_eq!(name_of(1000, known).as_deref(), Some("ana"));
        assert_eq!(name_of(100, known), None);
    }
}
