//! Who there is and what they may see: looked up for every request, so that a change of it holds from the next one on.

use argon2::password_hash::{Output, PasswordHash};
use subtle::{Choice, ConstantTimeEq};

use super::secret::{Secret, hash};
use super::settings::{DirectorySettings, Role, TeamSettings, TokenSettings, UserSettings};
use crate::review::clock::Timestamp;
use crate::store::reach::{Realm, Rights};

#[derive(Debug)]
pub struct Directory {
    settings: DirectorySettings,
    /// In the order of the teams.
    realms: Vec<Realm>,
    /// The hash of no password: who is not known is held against it, for as long as anybody.
    nobody: Option<String>,
}

/// What somebody may see, and why.
#[derive(Debug, Clone)]
pub struct Standing {
    pub role: Role,
    pub rights: Rights,
}

/// Teams that are named as whom to ask.
const NAMED: usize = 3;

// === impl Directory ===

impl Directory {
    pub fn of(settings: &DirectorySettings) -> Self {
        let realms = settings.teams.iter().map(|team| Realm::new(&team.clusters, &team.namespaces)).collect();
        let nobody = settings.users.first().and_then(|user| unmatched(&user.hash));
        Self { settings: settings.clone(), realms, nobody }
    }

    pub fn user(&self, name: &str) -> Option<&UserSettings> {
        self.settings.users.iter().find(|user| user.name == name)
    }

    /// The hash to hold a password against: of who is not known, one that none matches.
    pub fn hash(&self, name: &str) -> Option<&str> {
        self.user(name).map(|user| user.hash.as_str()).or(self.nobody.as_deref())
    }

    /// `None`: neither their own role nor a group gives them any.
    pub fn standing(&self, own: Option<Role>, groups: &[String]) -> Option<Standing> {
        let roles = &self.settings.roles;
        let mapped = [(Role::Admin, &roles.admin), (Role::Auditor, &roles.auditor), (Role::Viewer, &roles.viewer)];
        let by_group = mapped.into_iter().filter(|(_, of_role)| of_role.iter().any(|group| groups.contains(group)));
        let role = by_group.map(|(role, _)| role).chain(own).min().filter(|role| *role != Role::NamespaceViewer);
        if let Some(role) = role {
            return Some(Standing { role, rights: Rights::Everything });
        }
        let teams = self.teams().filter(|(team, _)| groups.contains(&team.group));
        let realms: Vec<Realm> = teams.map(|(_, realm)| realm.clone()).collect();
        (!realms.is_empty()).then_some(Standing { role: Role::NamespaceViewer, rights: Rights::Only(realms) })
    }

    /// The token's name and what it may see, where it is known and has not ended.
    pub fn token(&self, shown: &str, now: Timestamp) -> Option<(&str, Standing)> {
        let shown = hash(shown);
        let is_it = |token: &&TokenSettings| bool::from(token.hash.ct_eq(&shown));
        // Each is looked at, whichever it is.
        let known = self.settings.tokens.iter().fold(Choice::from(0), |any, token| any | token.hash.ct_eq(&shown));
        if !bool::from(known) {
            return None;
        }
        let token = self.settings.tokens.iter().find(is_it).filter(|token| now < token.until)?;
        let standing = match &token.team {
            None => Standing { role: token.role, rights: Rights::Everything },
            Some(name) => {
                let teams = self.teams().filter(|(team, _)| team.name == *name);
                let rights = Rights::Only(teams.map(|(_, realm)| realm.clone()).collect());
                Standing { role: Role::NamespaceViewer, rights }
            }
        };
        Some((&token.name, standing))
    }

    /// Whom to ask for what is of a cluster and a namespace, as far as an address names them. It says who looks after a
    /// name, whether there is such a thing or not.
    pub fn contact(&self, cluster: Option<&str>, namespace: Option<&str>) -> Option<String> {
        let own = self.settings.contact.clone();
        if cluster.is_none() && namespace.is_none() {
            return own;
        }
        let teams = self.teams().filter(|(_, realm)| realm.reaches(cluster, namespace));
        let told = |(team, _): (&TeamSettings, &Realm)| match &team.contact {
            Some(contact) => format!("{} ({contact})", team.name),
            None => team.name.clone(),
        };
        let teams: Vec<String> = teams.map(told).take(NAMED).collect();
        if teams.is_empty() { own } else { Some(teams.join(", ")) }
    }

    fn teams(&self) -> impl Iterator<Item = (&TeamSettings, &Realm)> {
        self.settings.teams.iter().zip(&self.realms)
    }
}

/// A hash that costs what this one does, and that no password has.
fn unmatched(hash: &str) -> Option<String> {
    let mut parsed = PasswordHash::new(hash).ok()?;
    parsed.hash = Some(Output::new(Secret::random().bytes()).ok()?);
    Some(parsed.to_string())
}
