//! The meaning of what is written about who may look at the report, in the configuration itself and in files of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::Uri;
use serde::de::DeserializeOwned;

use crate::policy::glob::Subject;
use crate::server::settings::TlsSettings;
use crate::web::access::settings::{
    AccessSettings, Auth, DirectorySettings, OidcSettings, ProxySettings, Role, RoleSettings, SessionSettings,
    TeamSettings, TokenSettings, UserSettings,
};

use super::files::Purpose;
use super::form::{Form as _, Text, Written};
use super::listed::{self, Found};
use super::meaning::{Ground, is_loopback};
use super::mistake::{Mistakes, Wrong};
use super::staging::globs;
use super::tree::Node;
use super::written::{self, ListOrFile, Team, Token, User};

/// The files that lists stand in.
#[derive(Debug, Default)]
pub struct ReadAccess {
    users: Option<PathBuf>,
    teams: Option<PathBuf>,
    tokens: Option<PathBuf>,
}

/// The path that a provider sends people back to, under `report.public_url`.
const CALLBACK: &str = "/sign-in/callback";

const USERS: &str = "report.users";
const TEAMS: &str = "report.teams";
const TOKENS: &str = "report.tokens";

/// Without what stands in files.
pub fn of(report: &written::Report, tls: &TlsSettings, ground: &mut Ground<'_>) -> (AccessSettings, ReadAccess) {
    let (users, users_file) = list(report.users.as_ref(), USERS, user, ground);
    let (teams, teams_file) = list(report.teams.as_ref(), TEAMS, team, ground);
    let (tokens, tokens_file) = list(report.tokens.as_ref(), TOKENS, token, ground);
    let groups = |groups: &[Written<Text>]| texts(groups);
    let roles = RoleSettings {
        admin: groups(&report.roles.admin),
        auditor: groups(&report.roles.auditor),
        viewer: groups(&report.roles.viewer),
    };
    let public_url = report.public_url.as_ref().map(|url| &url.0);
    let is_by_tls = *tls != TlsSettings::Off || public_url.is_some_and(|url| url.scheme_str() == Some("https"));
    protected(report, is_by_tls, ground);
    let settings = AccessSettings {
        auth: auth(report, public_url, ground),
        sessions: sessions(&report.sessions, ground),
        directory: DirectorySettings {
            users,
            roles,
            teams,
            tokens,
            contact: report.contact.as_ref().map(|contact| contact.0.0.clone()),
        },
        is_by_tls,
    };
    (settings, ReadAccess { users: users_file, teams: teams_file, tokens: tokens_file })
}

pub fn tls(written: Option<&written::ReportTls>, ground: &mut Ground<'_>) -> TlsSettings {
    let Some((certificate, key)) = written.and_then(|tls| Some((tls.certificate.as_ref()?, tls.key.as_ref()?))) else {
        return TlsSettings::Off;
    };
    let certificate = ground.file("report.tls.certificate", certificate, Purpose::Certificate);
    let purpose = Purpose::KeyOf { field: "report.tls.certificate".to_owned(), path: certificate.clone() };
    TlsSettings::Files { key: ground.file("report.tls.key", key, purpose), certificate, client_ca: None }
}

/// Off loopback somebody is asked for who they are, and not for all the network to hear.
fn protected(report: &written::Report, is_by_tls: bool, ground: &mut Ground<'_>) {
    let listen: SocketAddr = report.listen.0;
    if is_loopback(listen) || ground.mistakes.at("report.auth") || ground.mistakes.at("report.listen") {
        return;
    }
    let wrong = match report.auth {
        written::Auth::None if report.insecure => {
            return ground.warnings.push(format!(
                "report.insecure: {listen} can be reached from other machines and nobody is asked who they are: whoever \
                 reaches it reads what runs in the cluster"
            ));
        }
        written::Auth::None => Wrong::new(
            format!(
                "{listen} can be reached from other machines, and whoever reaches it would read what runs in the cluster"
            ),
            "say who may look (users, proxy or oidc), or accept that with `report.insecure: true`, or listen on 127.0.0.1",
        ),
        written::Auth::Proxy => return,
        written::Auth::Users | written::Auth::Oidc if is_by_tls || report.insecure => return,
        // What is mistaken there may be what would give TLS.
        written::Auth::Users | written::Auth::Oidc
            if ground.mistakes.touch("report.tls") || ground.mistakes.touch("report.public_url") =>
        {
            return;
        }
        written::Auth::Users | written::Auth::Oidc => {
            let wrong = Wrong::new(
                format!(
                    "{listen} can be reached from other machines, and without TLS whoever is between could sign in as anybody"
                ),
                "give `report.tls`, or the https:// `report.public_url` of what does TLS in front, or accept that with \
                 `report.insecure: true`",
            );
            return ground.wrong_near("report.tls", "report.listen", wrong);
        }
    };
    ground.wrong_near("report.auth", "report.listen", wrong);
}

fn auth(report: &written::Report, public_url: Option<&Uri>, ground: &mut Ground<'_>) -> Auth {
    for (section, is_used) in [
        (USERS, report.auth == written::Auth::Users),
        (TEAMS, report.auth != written::Auth::None),
        (TOKENS, report.auth != written::Auth::None),
    ] {
        if !is_used && ground.tree.at(section).is_some() && !ground.mistakes.at("report.auth") {
            ground.warnings.push(format!("{section} has no effect: report.auth is {}", word(report.auth)));
        }
    }
    match report.auth {
        written::Auth::None => Auth::None,
        written::Auth::Users => Auth::Users,
        written::Auth::Proxy => {
            if report.proxy.from.is_empty() && !ground.mistakes.touch("report.proxy") {
                let fix = "add `report.proxy: {from: [ADDRESS]}`";
                ground.wrong_near(
                    "report.proxy.from",
                    "report.auth",
                    Wrong::new("it is not said who the proxy is", fix),
                );
            }
            let from = report.proxy.from.iter().map(|range| range.0).collect();
            Auth::Proxy(ProxySettings { from, headers: report.proxy.headers })
        }
        written::Auth::Oidc => oidc(&report.oidc, public_url, ground),
    }
}

fn word(auth: written::Auth) -> &'static str {
    match auth {
        written::Auth::None => "none",
        written::Auth::Users => "users",
        written::Auth::Proxy => "proxy",
        written::Auth::Oidc => "oidc",
    }
}

fn oidc(oidc: &written::Oidc, public_url: Option<&Uri>, ground: &mut Ground<'_>) -> Auth {
    let mut needed = |field: &str, is_there: bool, fix: &str| {
        if !is_there && !ground.mistakes.touch(field) {
            ground.wrong_near(field, "report.auth", Wrong::new("is missing", fix));
        }
    };
    needed("report.oidc.issuer", oidc.issuer.is_some(), "add the URL that the provider calls itself by");
    needed("report.oidc.client_id", oidc.client_id.is_some(), "add what the provider knows this report as");
    needed("report.public_url", public_url.is_some(), "add the URL that people reach the report by");
    let secret = oidc.client_secret_file.as_ref();
    let client_secret_file = secret.map(|file| ground.file("report.oidc.client_secret_file", file, Purpose::Password));
    let ca = oidc.ca.as_ref().map(|file| ground.file("report.oidc.ca", file, Purpose::Authorities));
    let (Some(issuer), Some(client_id), Some(public_url)) = (&oidc.issuer, &oidc.client_id, public_url) else {
        // Already a mistake.
        return Auth::None;
    };
    if let Err(wrong) = provider(&issuer.0.0) {
        ground.wrong_once("report.oidc.issuer", wrong);
    }
    Auth::Oidc(Box::new(OidcSettings {
        issuer: issuer.0.0.clone(),
        client_id: client_id.0.0.clone(),
        client_secret_file,
        scopes: texts(&oidc.scopes),
        name_claim: oidc.name_claim.0.0.clone(),
        groups_claim: oidc.groups_claim.0.0.clone(),
        ca,
        redirect_url: format!("{}{CALLBACK}", given(public_url)),
    }))
}

/// A URL that nobody between can change what comes from.
fn provider(issuer: &str) -> Result<(), Wrong> {
    let url = Uri::read(issuer)?;
    if url.scheme_str() == Some("https") || url.host().is_some_and(is_here) {
        return Ok(());
    }
    Err(Wrong::new("whoever is between could vouch for anybody", "write the https:// URL of the provider"))
}

/// A name that only begins like an address (`127.example.com`) may be of anywhere.
fn is_here(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// Without the slash that a URL gets where it has no path.
fn given(url: &Uri) -> String {
    let text = url.write();
    if url.path() == "/" { text.trim_end_matches('/').to_owned() } else { text }
}

fn sessions(sessions: &written::Sessions, ground: &mut Ground<'_>) -> SessionSettings {
    let idle = ground.not_zero("report.sessions.idle", sessions.idle.clone());
    let absolute = ground.not_zero("report.sessions.absolute", sessions.absolute.clone());
    SessionSettings { idle, absolute }
}

/// What is here, or the file that it is in.
fn list<T: Clone, S>(
    written: Option<&ListOrFile<T>>,
    field: &str,
    one: fn(T, &str, &mut Ground<'_>) -> Option<S>,
    ground: &mut Ground<'_>,
) -> (Vec<S>, Option<PathBuf>) {
    match written {
        None => (Vec::new(), None),
        Some(ListOrFile::List(list)) => (all(list.clone(), field, one, ground), None),
        Some(ListOrFile::File(file)) => (Vec::new(), file.file.as_ref().map(|path| ground.path(path))),
    }
}

fn all<T, S>(
    list: Vec<T>,
    path: &str,
    one: fn(T, &str, &mut Ground<'_>) -> Option<S>,
    ground: &mut Ground<'_>,
) -> Vec<S> {
    let list = list.into_iter().enumerate();
    list.filter_map(|(at, written)| one(written, &format!("{path}[{at}]"), ground)).collect()
}

/// `None` where what it lacks is a mistake already, as in those below.
fn user(user: User, path: &str, ground: &mut Ground<'_>) -> Option<UserSettings> {
    if user.role == Some(Role::NamespaceViewer) {
        let wrong = Wrong::new(
            "which namespaces somebody sees is said by the teams of their groups, so this role gives nothing",
            "leave `role` out, and write the `group` of a team into `groups`",
        );
        ground.wrong(&format!("{path}.role"), wrong);
    }
    let groups = user.groups.as_deref().map(texts).unwrap_or_default();
    Some(UserSettings { name: user.name?.0.0, hash: user.hash?.0.0, role: user.role, groups })
}

fn team(team: Team, path: &str, ground: &mut Ground<'_>) -> Option<TeamSettings> {
    let clusters = team.clusters.as_deref().map_or_else(|| vec!["*".to_owned()], texts);
    let namespaces = texts(&team.namespaces?);
    globs(&clusters, &format!("{path}.clusters"), Subject::Name, ground);
    globs(&namespaces, &format!("{path}.namespaces"), Subject::Name, ground);
    let contact = team.contact.map(|contact| contact.0.0);
    Some(TeamSettings { name: team.name?.0.0, group: team.group?.0.0, clusters, namespaces, contact })
}

fn token(token: Token, path: &str, ground: &mut Ground<'_>) -> Option<TokenSettings> {
    let (role, team) = (token.role?, token.team.map(|team| team.0.0));
    let wrong = match (role, &team) {
        (Role::NamespaceViewer, None) => Some(("team", "a namespace-viewer sees what a team sees", "add `team: NAME`")),
        (Role::Admin | Role::Auditor, Some(_)) => {
            Some(("role", "what a team sees is less than this role does", "write viewer, or leave `team` out"))
        }
        _ => None,
    };
    if let Some((field, problem, fix)) = wrong {
        ground.wrong_near(&format!("{path}.{field}"), path, Wrong::new(problem, fix));
    }
    Some(TokenSettings { name: token.name?.0.0, hash: token.hash?.0.0, role, team, until: token.until?.0.0 })
}

fn texts(texts: &[Written<Text>]) -> Vec<String> {
    texts.iter().map(|text| text.0.0.clone()).collect()
}

// === impl ReadAccess ===

impl ReadAccess {
    /// What the files hold, and the mistakes that only show when all is seen together. Those that were looked at go to
    /// `looked_at`, to be watched.
    pub fn read(
        &self,
        access: &mut AccessSettings,
        tree: &Node,
        mistakes: &mut Mistakes,
        warnings: &mut Vec<String>,
        looked_at: &mut Vec<PathBuf>,
    ) {
        let mut files = Files { tree, mistakes, warnings, looked_at };
        let directory = &mut access.directory;
        directory.users.extend(files.read(self.users.as_deref(), USERS, user));
        directory.teams.extend(files.read(self.teams.as_deref(), TEAMS, team));
        directory.tokens.extend(files.read(self.tokens.as_deref(), TOKENS, token));
        if mistakes.touch("report") {
            return;
        }
        let mut wrong = |field: &str, problem: String, fix: &str| {
            mistakes.add(tree.place_of(field), field, Wrong::new(problem, fix));
        };
        if access.auth == Auth::Users && directory.users.is_empty() {
            wrong(
                USERS,
                "nobody can sign in".to_owned(),
                "add a user; `rehearsal user hash` makes the hash of a password",
            );
        }
        for (field, names) in [
            (USERS, directory.users.iter().map(|user| &user.name).collect::<Vec<_>>()),
            (TEAMS, directory.teams.iter().map(|team| &team.name).collect()),
            (TOKENS, directory.tokens.iter().map(|token| &token.name).collect()),
        ] {
            let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
            if let Some((_, name)) = twice {
                wrong(field, format!("{name} is there twice"), "give each its own name");
            }
        }
        for token in &directory.tokens {
            if let Some(name) =
                token.team.as_ref().filter(|name| directory.teams.iter().all(|team| team.name != **name))
            {
                wrong(TOKENS, format!("{}: no team is called {name}", token.name), "name one of report.teams");
            }
        }
    }
}

struct Files<'a> {
    tree: &'a Node,
    mistakes: &'a mut Mistakes,
    warnings: &'a mut Vec<String>,
    looked_at: &'a mut Vec<PathBuf>,
}

// === impl Files ===

impl Files<'_> {
    fn read<T: DeserializeOwned, S>(
        &mut self,
        file: Option<&Path>,
        field: &str,
        one: fn(T, &str, &mut Ground<'_>) -> Option<S>,
    ) -> Vec<S> {
        let Some(file) = file else { return Vec::new() };
        self.looked_at.push(file.to_owned());
        let field_of_file = format!("{field}.file");
        let place = self.tree.place_of(&field_of_file);
        let mut found = Found { place, field: &field_of_file, mistakes: self.mistakes, warnings: self.warnings };
        listed::of_file(file, field, &mut found, |list, ground| all(list, "", one, ground))
    }
}
