//! Who may look, as it is configured.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::review::clock::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct AccessSettings {
    pub auth: Auth,
    pub sessions: SessionSettings,
    /// What may change while the process runs.
    pub directory: DirectorySettings,
    /// Browsers reach it by TLS: cookies may be for that alone.
    pub is_by_tls: bool,
}

/// What proves who somebody is.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// Nobody is asked: whoever reaches the report reads it.
    None,
    /// A name and a password.
    Users,
    Proxy(ProxySettings),
    Oidc(Box<OidcSettings>),
}

/// A proxy that signs people in and says who they are.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxySettings {
    /// Where it connects from.
    pub from: Vec<IpNet>,
    pub headers: ProxyHeaders,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeaders {
    /// `X-Forwarded-User`, `X-Forwarded-Email`, `X-Forwarded-Groups`: oauth2-proxy.
    #[default]
    XForwarded,
    /// `Remote-User`, `Remote-Email`, `Remote-Groups`: Authelia, Apache.
    Remote,
}

/// A provider of OpenID Connect.
#[derive(Debug, Clone, PartialEq)]
pub struct OidcSettings {
    /// As its tokens name it; its endpoints are read from there.
    pub issuer: String,
    pub client_id: String,
    pub client_secret_file: Option<PathBuf>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// What to call somebody by; without it, the subject.
    pub name_claim: String,
    pub groups_claim: String,
    /// CAs that its certificate may come from, beside the system's.
    pub ca: Option<PathBuf>,
    /// `report.public_url` and the path that the provider sends people back to.
    pub redirect_url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Since the last request.
    pub idle: Duration,
    /// Since the sign-in.
    pub absolute: Duration,
}

/// Who there is, and what they may see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DirectorySettings {
    pub users: Vec<UserSettings>,
    pub roles: RoleSettings,
    pub teams: Vec<TeamSettings>,
    pub tokens: Vec<TokenSettings>,
    /// Whom to ask, where no team is to be asked.
    pub contact: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UserSettings {
    pub name: String,
    /// Of the password: Argon2id, as PHC writes it.
    pub hash: String,
    pub role: Option<Role>,
    pub groups: Vec<String>,
}

/// The groups whose members have a role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoleSettings {
    pub admin: Vec<String>,
    pub auditor: Vec<String>,
    pub viewer: Vec<String>,
}

/// Who looks after which namespaces.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamSettings {
    pub name: String,
    pub group: String,
    /// Globs.
    pub clusters: Vec<String>,
    /// Globs.
    pub namespaces: Vec<String>,
    pub contact: Option<String>,
}

/// What a program shows in place of a sign-in.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSettings {
    pub name: String,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    pub role: Role,
    /// Only what this team may see.
    pub team: Option<String>,
    pub until: Timestamp,
}

/// The first may the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Admin,
    Auditor,
    Viewer,
    NamespaceViewer,
}

// === impl AccessSettings ===

impl AccessSettings {
    /// Nobody is asked.
    pub fn open() -> Self {
        Self {
            auth: Auth::None,
            sessions: SessionSettings::DEFAULT,
            directory: DirectorySettings::default(),
            is_by_tls: false,
        }
    }

    pub fn asks(&self) -> bool {
        self.auth != Auth::None
    }
}

// === impl SessionSettings ===

impl SessionSettings {
    pub const DEFAULT: Self = Self { idle: Duration::from_secs(3_600), absolute: Duration::from_secs(12 * 3_600) };
}

// === impl Role ===

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::Viewer => "viewer",
            Self::NamespaceViewer => "namespace-viewer",
        }
    }

    /// Whether it may see who did what with the report.
    pub fn sees_access(self) -> bool {
        matches!(self, Self::Admin | Self::Auditor)
    }
}
