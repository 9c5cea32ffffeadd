//! The command line.

pub(crate) mod file;
pub(crate) mod layers;
pub(crate) mod nearest;
pub(crate) mod parse;
pub(crate) mod reference;
pub(crate) mod render;
pub(crate) mod table;
pub(crate) mod variables;

use std::fmt;

use clap::Arg;

/// The heading of these flags in `--help`; it also tells them from the flags of the command they join.
const HEADING: &str = "Settings";

/// The settings given as flags. Put it into a command with `#[command(flatten)]`: every flag is global, so it
/// may stand before or after a subcommand. Values are taken as text and checked by
/// [`Config::load`](crate::Config::load), so that one refusal serves flags, environment and file.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = HEADING, mut_args = annotate)]
pub struct Settings {
    /// Address and port to listen on; port 0 picks a free one and prints it
    #[arg(long, global = true, value_name = "ADDR")]
    pub listen: Option<String>,

    /// The issuer, as clients reach it: an origin, without path or trailing slash; https unless loopback
    #[arg(long, global = true, value_name = "URL")]
    pub external_url: Option<String>,

    /// Networks (CIDR) of the proxies whose forwarded address, request id and traceparent are trusted
    #[arg(long, global = true, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<String>>,

    /// The maximum scope declared to PDSes; a scope outside it is refused before any redirect
    #[arg(long, global = true, value_name = "SCOPES")]
    pub atp_scopes: Option<String>,

    /// How PDSes see this server: shared (one client), or per_client (a client document with the name and scopes of each client; https only)
    #[arg(long, global = true, value_name = "MODE")]
    pub upstream_client: Option<String>,

    /// The database: sqlite://FILE or postgres://USER@HOST/NAME
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Maximum number of database connections; on SQLite, of readers
    #[arg(long, global = true, value_name = "N")]
    pub database_connections: Option<String>,

    /// Seconds that a request waits for the database before it is answered with 503; PostgreSQL cancels statements and lock waits a little earlier
    #[arg(long, global = true, value_name = "SECONDS")]
    pub database_timeout: Option<String>,

    /// The connection pooler in front of PostgreSQL: none (or one in session mode), or transaction (such as PgBouncer in transaction mode)
    #[arg(long, global = true, value_name = "MODE")]
    pub database_pooler: Option<String>,

    /// File with the encryption key ring; CAUSEWAY_SECRET_KEY holds the key ring itself instead
    #[arg(long, global = true, value_name = "FILE")]
    pub secret_key_file: Option<String>,

    /// Allow http and private addresses upstream; for local networks only
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub dev_mode: Option<String>,

    /// The PLC directory that did:plc documents are read from
    #[arg(long, global = true, value_name = "URL")]
    pub plc_url: Option<String>,

    /// Base URL of a service with com.atproto.identity.resolveHandle, asked instead of DNS and https
    #[arg(long, global = true, value_name = "URL")]
    pub handle_resolver: Option<String>,

    /// PEM file with further trusted roots for upstream connections
    #[arg(long, global = true, value_name = "FILE")]
    pub extra_ca: Option<String>,

    /// Fixed address for an upstream name; may be repeated
    #[arg(long, global = true, value_name = "NAME=ADDR", value_delimiter = ',')]
    pub resolve: Option<Vec<String>>,

    /// Serve the demo page at /, an OAuth client to try a sign-in with
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub demo: Option<String>,

    /// Who may register clients over HTTP (RFC 7591): open (anyone), token (holders of the initial access token) or off
    #[arg(long, global = true, value_name = "POLICY")]
    pub registration: Option<String>,

    /// File with the initial access token of the registration policy `token`
    #[arg(long, global = true, value_name = "FILE")]
    pub registration_token_file: Option<String>,

    /// Accept clients without registration: by the metadata document at their client_id, an https URL, and http://localhost for apps under development
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub client_id_documents: Option<String>,

    /// Protected resources, such as an MCP server, that every client may request tokens for (RFC 8707): URIs, compared byte for byte
    #[arg(long, global = true, value_name = "URI", value_delimiter = ',')]
    pub resources: Option<Vec<String>>,

    /// Origins whose scripts may call the MCP endpoints with an access token, beside those of the client's redirect URIs, such as https://inspector.example.com
    #[arg(long, global = true, value_name = "ORIGIN", value_delimiter = ',')]
    pub mcp_allowed_origins: Option<Vec<String>>,

    /// Issuers of authorization servers whose email verification is trusted, compared byte for byte; email_verified is false for accounts of any other. Empty: false for all
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',')]
    pub trusted_email_issuers: Option<Vec<String>>,

    /// A scope of a resource: its URI, the scope's name, and the text that users read at consent, separated by spaces; may be repeated
    #[arg(long, global = true, value_name = "\"URI NAME TEXT\"")]
    pub resource_scope: Option<Vec<String>>,

    /// Sign-ins begun per client and network address: N/second, N/minute, N/hour or off
    #[arg(long, global = true, value_name = "LIMIT")]
    pub sign_in_limit: Option<String>,

    /// Registrations per network address under open registration: N/second, N/minute, N/hour or off
    #[arg(long, global = true, value_name = "LIMIT")]
    pub registration_limit: Option<String>,

    /// Failed client authentications per client and network address: N/second, N/minute, N/hour or off
    #[arg(long, global = true, value_name = "LIMIT")]
    pub failed_authentication_limit: Option<String>,

    /// Authorization requests per client and network address, except those pushed by operator-entered clients that authenticate: N/second, N/minute, N/hour or off
    #[arg(long, global = true, value_name = "LIMIT")]
    pub authorization_limit: Option<String>,

    /// Device authorization requests and polls per client and network address, except from operator-entered clients that authenticate: N/second, N/minute, N/hour or off
    #[arg(long, global = true, value_name = "LIMIT")]
    pub device_limit: Option<String>,

    /// Memory in MiB for request bodies and PDS responses that are held as a whole; beyond it they are refused temporarily
    #[arg(long, global = true, value_name = "MIB")]
    pub body_memory: Option<String>,

    /// A separate address and port for Prometheus metrics, at /metrics; not for public access
    #[arg(long, global = true, value_name = "ADDR")]
    pub metrics_listen: Option<String>,

    /// Days that the audit log stores events; 0: forever
    #[arg(long, global = true, value_name = "DAYS")]
    pub audit_retention_days: Option<String>,

    /// Seconds that an idle connection of a client or proxy is kept open; set it longer than the proxy's own pool does
    #[arg(long, global = true, value_name = "SECONDS")]
    pub keep_alive_seconds: Option<String>,

    /// Seconds between SIGTERM and closing the listener; meanwhile /readyz answers 503 and everything else is served
    #[arg(long, global = true, value_name = "SECONDS")]
    pub drain_seconds: Option<String>,

    /// How many of a session's newest iterations (token sets) stay on record regardless of age
    #[arg(long, global = true, value_name = "COUNT")]
    pub session_history_count: Option<String>,

    /// Days that a session's other iterations stay on record; their secrets are wiped at once
    #[arg(long, global = true, value_name = "DAYS")]
    pub session_history_days: Option<String>,

    /// File with the operator's token for the HTTP API at /admin, which is off without it
    #[arg(long, global = true, value_name = "FILE")]
    pub admin_token_file: Option<String>,

    /// Directory with definitions of providers, one file NAME.toml each, which add to the built-in ones or take their place
    #[arg(long, global = true, value_name = "DIR")]
    pub providers_dir: Option<String>,

    /// Form of log lines, pretty or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Level of log lines: error, warn, info, debug or trace; RUST_LOG, if set, takes precedence. SIGHUP reloads it
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// TOML file with these settings under the same names; flags and environment take precedence
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
}

/// Adds environment variable and default to the help text. The variables are not read by clap: an empty
/// one would count as a value, and the source of a value would be lost.
fn annotate(arg: Arg) -> Arg {
    let Some(setting) = find(&arg) else { return arg };
    let meaning = meaning(&arg);
    let default = setting.default_in_words().replace('`', "");
    arg.help(format!("{meaning}{NOTE}{}] [default: {default}]", setting.env))
}

/// The separator between a help text and its notes.
const NOTE: &str = " [env: ";

/// The setting a flag belongs to; `None` for flags of other commands.
pub(crate) fn find(arg: &Arg) -> Option<&'static table::Setting> {
    if arg.get_help_heading() != Some(HEADING) {
        return None;
    }
    table::ALL.iter().copied().find(|setting| arg.get_long() == Some(setting.name))
}

/// The help text of a flag without its notes.
pub(crate) fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.split_once(NOTE).map_or(help.clone(), |(meaning, _)| meaning.to_owned())
}

impl fmt::Debug for Settings {
    /// Says nothing: a database URL may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}
