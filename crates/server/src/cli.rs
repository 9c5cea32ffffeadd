//! The command line.

use std::path::PathBuf;

use causeway_config::Settings;
use causeway_store::PageRequest;
use clap::{Args, Parser, Subcommand};

/// An OAuth 2.1 server that signs people in with their AT Protocol account.
#[derive(Parser)]
#[command(
    name = "causeway",
    version,
    about = "An OAuth 2.1 server that signs people in with their AT Protocol account",
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
    /// Look at sessions at people's servers, and end them
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Revoke every token of a person or a client
    Tokens {
        #[command(subcommand)]
        command: TokensCommand,
    },
    /// Manage the keys that ID tokens and other answers are signed with, and change the key that seals secrets
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Tell clients what happens to their sign-ins and sessions
    Events {
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Look at the audit log: who did what, with what outcome
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Check that this deployment can do its work, and say what to mend
    Doctor,
    /// Print the OpenAPI document, as it is served at /openapi.json
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
    /// Show all that is known of one client, as a document that --metadata reads
    Show {
        /// Its client_id
        client_id: String,
    },
    /// Register a client and print its secret, once
    Create(Box<ClientOptions>),
    /// Change a client: what is not named, as a flag or in the document, stays as it is, and so do its tokens; what is
    /// null in the document is taken away
    Update(Box<UpdateClient>),
    /// Give a client a new secret and print it, once; the old one is refused from then on
    RotateSecret {
        /// Its client_id
        client_id: String,
    },
    /// Delete a client: its tokens are revoked, its sessions end at the people's servers too
    Delete {
        /// Its client_id
        client_id: String,
    },
}

/// What a client is to be. Each flag is a member of the document of `--metadata`.
#[derive(Args)]
pub(crate) struct ClientOptions {
    /// A JSON document of its metadata, with the members of RFC 7591 and those that POST /admin/clients takes; - reads
    /// standard input. Flags win over it. Of what neither names, a new client has the defaults of RFC 7591
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// The name that people see
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Where answers may go; may be repeated. Needed for the grant authorization_code
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<String>,
    /// What it may ask of the token endpoint; may be repeated [default: authorization_code, refresh_token]
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
    /// Refuse it tokens that are not bound to a DPoP key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) dpop_bound: Option<bool>,
    /// Whether its DPoP proofs must carry a nonce of this server: off or required [default: off]
    #[arg(long, value_name = "POLICY")]
    pub(crate) dpop_nonce_policy: Option<String>,
    /// The widest scope that it may ask for; empty: as much as the server allows
    #[arg(long, value_name = "SCOPES")]
    pub(crate) scope: Option<String>,
    /// A resource of others that it may ask tokens for (RFC 8707); may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Vec<String>,
    /// What its access tokens look like: opaque, or jwt (RFC 9068), which live 600 seconds at most [default: opaque]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_token_format: Option<String>,
    /// Seconds that its access tokens live [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) access_token_expiration: Option<i64>,
    /// Seconds that a refresh token of it lives, from its rotation; 0: without end [default: 1209600]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) refresh_token_expiration: Option<i64>,
    /// Let it ask for background_access: sessions for automation. With --scope, name it there too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_background_access: Option<bool>,
    /// Let it have the tokens of its sessions at people's servers and proofs by their keys; for clients that
    /// you trust like this server
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) allow_session_export: Option<bool>,
    /// Put into its id_tokens what the userinfo endpoint says by the scopes profile and email, for libraries that look
    /// nowhere else
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) id_token_claims: Option<bool>,
    /// Whether its requests need PKCE: required, or nonce: a request with the scope openid and a nonce, which the client
    /// checks, does without. For clients that authenticate [default: required]
    #[arg(long, value_name = "POLICY")]
    pub(crate) pkce: Option<String>,
    /// Where people may be sent after a logout; may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) post_logout_redirect_uri: Vec<String>,
    /// Where it is told that a session has ended
    #[arg(long, value_name = "URI")]
    pub(crate) backchannel_logout_uri: Option<String>,
    /// It needs to know which session that is (it is always told)
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
    /// List sessions, those that began last first
    List {
        #[command(flatten)]
        of: Whose,
        /// Those that are over, too
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
    /// End one session: its tokens are dead at once, a running server revokes it at the person's server
    Revoke {
        /// Its session_id
        session_id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum EventsCommand {
    /// List who is told, and where
    List,
    /// Tell a client from now on; a webhook's secret is printed, once
    Subscribe {
        /// Its client_id
        client_id: String,
        /// Where to send signed requests; without it the client reads GET /api/events
        #[arg(long, value_name = "URL")]
        webhook: Option<String>,
    },
    /// Tell a client nothing more
    Unsubscribe {
        /// Its client_id
        client_id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List acts, the latest first: one JSON object a line
    List {
        #[command(flatten)]
        of: Whose,
        /// The session
        #[arg(long, value_name = "SESSION_ID")]
        session: Option<String>,
        /// The name of the act, such as sign_in, consent, refresh or revocation
        #[arg(long, value_name = "NAME")]
        event: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokensCommand {
    /// End every session of a person, a client, or a person at a client, and all their tokens with them
    Revoke {
        #[command(flatten)]
        of: Whose,
    },
}

/// Which page of a list.
#[derive(Args)]
pub(crate) struct PageOptions {
    /// How many at most
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Begin behind this place, which the page before named
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

impl From<PageOptions> for PageRequest {
    fn from(PageOptions { limit, after }: PageOptions) -> Self {
        Self { after, limit }
    }
}

#[derive(Args)]
pub(crate) struct Whose {
    /// The person
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
    /// Sign with a fresh key; what the old one signed verifies for another day
    ///
    /// This is about signing keys, which clients see. What seals secrets in the database is the key ring of
    /// --secret-key-file: see `causeway keys reseal`.
    Rotate {
        /// RS256 or ES256; both when left out
        #[arg(long, value_name = "ALG")]
        alg: Option<String>,
    },
    /// Stop publishing a signing key that was rotated out: what it signed verifies no longer
    Retire {
        /// Its kid
        kid: String,
    },
    /// Seal secrets in the database anew, with the first key of the sealing key ring
    ///
    /// This is about the key ring of --secret-key-file, which no client ever sees, not about signing keys. Run it
    /// beside the servers, after all of them were restarted with the new key on top; what older keys sealed is
    /// sealed anew then, and it says which of them nothing needs any more. It may be interrupted and run again.
    Reseal {
        /// Only say what there is to do
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting in force and where it comes from, secrets left out
    Print,
    /// Check the configuration and exit
    Check,
}
