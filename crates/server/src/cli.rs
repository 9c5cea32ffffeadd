//! The command line.

mod page;
mod tenancy;

use std::path::PathBuf;

use causeway_config::Settings;
use clap::{Args, Parser, Subcommand};

pub(crate) use self::page::PageOptions;
pub(crate) use self::tenancy::{
    AtProvider, ConnectOptions, ConnectionsCommand, OfTenant, OneUser, ProvidersCommand, TenantsCommand,
    UsersCommand,
};

/// An OAuth 2.1 and OpenID Connect server that signs users in with their AT Protocol account.
#[derive(Parser)]
#[command(
    name = "causeway",
    version,
    about = "An OAuth 2.1 and OpenID Connect server that signs users in with their AT Protocol account",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the server (the default)
    Serve,
    /// Change or show the database schema
    Migrate {
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Manage registered clients
    Clients {
        #[command(subcommand)]
        command: ClientsCommand,
    },
    /// Manage upstream sessions
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Revoke every token of a user or a client
    Tokens {
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// Manage signing keys, and re-encrypt secrets with a new encryption key
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Manage event subscriptions
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Show the audit log: who did what, and the outcome
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Manage tenants
    Tenants {
        #[command(subcommand)]
        command: TenantsCommand,
    },
    /// Manage the users of tenants
    Users {
        #[command(subcommand)]
        command: UsersCommand,
    },
    /// Manage connections at providers
    Connections {
        #[command(subcommand)]
        command: ConnectionsCommand,
    },
    /// Connect an account of a user: prints the address to open in a browser, and waits for the outcome
    Connect(ConnectOptions),
    /// Manage definitions of providers, and registrations there
    Providers {
        #[command(subcommand)]
        command: ProvidersCommand,
    },
    /// Check this deployment and report what to fix
    Doctor,
    /// Run a provider on this machine with one user, to try connections to the provider demo without an account anywhere
    DemoUpstream {
        /// The address to bind, on this machine; the definition demo is for the default
        #[arg(default_value = crate::demo_upstream::ADDRESS)]
        address: std::net::SocketAddr,
    },
    /// Print the OpenAPI document that is served at /openapi.json
    Openapi,
    /// Show or check the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum MigrateCommand {
    /// Apply every pending migration
    Up,
    /// Revert the newest migrations
    Down {
        /// How many
        #[arg(long, default_value_t = 1, value_name = "N")]
        steps: usize,
    },
    /// List every migration and whether it is applied
    Status,
}

#[derive(Subcommand)]
pub(crate) enum ClientsCommand {
    /// List the clients
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show one client as a document that --metadata reads
    Show {
        /// Its client_id
        client_id: String,
    },
    /// Register a client and print its secret, once
    Create(Box<ClientOptions>),
    /// Change a client. Members that neither a flag nor the document names stay as they are, and so do its tokens; null
    /// in the document removes a member
    Update(Box<UpdateClient>),
    /// Replace a client's secret and print the new one, once; the old one stops working
    RotateSecret {
        /// Its client_id
        client_id: String,
    },
    /// Delete a client: its tokens stop working at once, and its sessions are revoked upstream
    Delete {
        /// Its client_id
        client_id: String,
    },
}

/// Metadata of a client. Each flag is a member of the document of `--metadata`.
#[derive(Args)]
pub(crate) struct ClientOptions {
    /// A JSON document of its metadata, with the members of RFC 7591 and those that POST /admin/clients takes; - reads
    /// standard input. Flags take precedence. Members that neither names have the defaults of RFC 7591
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// The name that users see
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// A redirect URI; may be repeated. Required for the grant authorization_code
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<String>,
    /// A grant type that it may use; may be repeated [default: authorization_code, refresh_token]
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant_type: Vec<String>,
    /// none, client_secret_basic, client_secret_post or private_key_jwt [default: private_key_jwt with keys,
    /// client_secret_basic without]
    #[arg(long, value_name = "METHOD")]
    pub(crate) auth_method: Option<String>,
    /// Its public keys: a file with a JWK set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    pub(crate) jwks: Option<PathBuf>,
    /// Where its public keys are published
    #[arg(long, value_name = "URI")]
    pub(crate) jwks_uri: Option<String>,
    /// Require DPoP: issue only access tokens that are bound to a key (RFC 9449)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) dpop_bound: Option<bool>,
    /// Whether its DPoP proofs must carry a nonce of this server: off or required [default: off]
    #[arg(long, value_name = "POLICY")]
    pub(crate) dpop_nonce_policy: Option<String>,
    /// Its maximum scope; empty: as much as the server allows
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// A protected resource that it may request tokens for (RFC 8707); may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Vec<String>,
    /// The format of its access tokens: opaque, or jwt (RFC 9068), which live 600 seconds at most [default: opaque]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_token_format: Option<String>,
    /// Lifetime of its access tokens in seconds [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) access_token_expiration: Option<i64>,
    /// Lifetime of its refresh tokens in seconds, from each rotation; 0: no expiry [default: 1209600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refresh_token_expiration: Option<i64>,
    /// Allow it to request background_access: sessions for automation. With --scope, name it there too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_background_access: Option<bool>,
    /// Allow it to export the upstream tokens of its sessions and DPoP proofs by their keys; only for clients that you
    /// trust like this server
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_session_export: Option<bool>,
    /// Include the claims of the scopes profile and email in its ID tokens, for libraries that do not use the userinfo
    /// endpoint
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) id_token_claims: Option<bool>,
    /// A provider whose accounts it may connect and relay calls to; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Vec<String>,
    /// A tool of an MCP server that it may call, and none of that server that is not named; may be repeated
    #[arg(long, value_name = "PROVIDER=TOOL")]
    pub(crate) mcp_tool: Vec<String>,
    /// Allow it to make tenants and to act in them: a platform client
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) manage_tenants: Option<bool>,
    /// Allow it to import connections that were made elsewhere
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) import_connections: Option<bool>,
    /// Allow it to use connections without confirming that its user is the one who connected: somebody could be sent a link
    /// and connect their account for another user of it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_unconfirmed: Option<bool>,
    /// Whether its requests need PKCE: required, or nonce (a confidential OpenID client that sends and checks a nonce
    /// may omit PKCE) [default: required]
    #[arg(long, value_name = "POLICY")]
    pub(crate) pkce: Option<String>,
    /// A URI that users may be redirected to after a logout; may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) post_logout_redirect_uri: Vec<String>,
    /// The URI that receives back-channel logout requests
    #[arg(long, value_name = "URI")]
    pub(crate) backchannel_logout_uri: Option<String>,
    /// Require a sid in logout tokens (they always carry one)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) backchannel_logout_session_required: Option<bool>,
}

#[derive(Args)]
pub(crate) struct UpdateClient {
    /// Its client_id
    pub(crate) client_id: String,
    #[command(flatten)]
    pub(crate) options: ClientOptions,
}

#[derive(Subcommand)]
pub(crate) enum SessionsCommand {
    /// List sessions, newest first
    List {
        #[command(flatten)]
        of: Whose,
        /// Include ended sessions
        #[arg(long)]
        ended: bool,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show one session
    Show {
        /// Its session_id
        session_id: String,
    },
    /// End one session: its tokens stop working at once, and a running server revokes it at the authorization server
    Revoke {
        /// Its session_id
        session_id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum EventsCommand {
    /// List the subscriptions
    List,
    /// Subscribe a client; a webhook's secret is printed, once
    Subscribe {
        /// Its client_id
        client_id: String,
        /// Where to send signed requests; without it the client reads GET /api/events
        #[arg(long, value_name = "URL")]
        webhook: Option<String>,
    },
    /// Remove a client's subscription
    Unsubscribe {
        /// Its client_id
        client_id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List audit events, newest first: one JSON object per line
    List {
        #[command(flatten)]
        of: Whose,
        /// The session
        #[arg(long, value_name = "SESSION_ID")]
        session: Option<String>,
        /// The name of the event, such as sign_in, consent, refresh or revocation
        #[arg(long, value_name = "NAME")]
        event: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokensCommand {
    /// End every session of a user, of a client, or of a user at a client, with all their tokens
    Revoke {
        #[command(flatten)]
        of: Whose,
    },
}

#[derive(Args)]
pub(crate) struct Whose {
    /// The user
    #[arg(long, value_name = "DID")]
    pub(crate) user: Option<String>,
    /// The client
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// List the signing keys, the ones that sign first
    List,
    /// Sign with a new key; signatures of the old one verify for another day
    ///
    /// Signing keys are those that clients see. Secrets in the database are encrypted with the key ring of
    /// --secret-key-file: see `causeway keys reencrypt`.
    Rotate {
        /// RS256 or ES256 [default: both]
        #[arg(long, value_name = "ALG")]
        alg: Option<String>,
    },
    /// Stop publishing a signing key that was rotated out: its signatures no longer verify
    Retire {
        /// Its kid, which may begin with a hyphen
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Re-encrypt the secrets in the database with the first key of the key ring
    ///
    /// This concerns the key ring of --secret-key-file, which no client ever sees, not the signing keys. Restart all
    /// servers with the new key on top first, then run this while they run: it re-encrypts every value that an older key
    /// encrypted and reports which keys are no longer needed. It may be interrupted and run again.
    Reencrypt {
        /// Only report what would be re-encrypted
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting in effect and its source, without secrets
    Print,
    /// Check the configuration and exit
    Check,
}
