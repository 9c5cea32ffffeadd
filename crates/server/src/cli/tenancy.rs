//! The commands for tenants, their users and connections, and for registrations at providers.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::page::PageOptions;

/// The tenant that a command is about.
#[derive(Args)]
pub(crate) struct OfTenant {
    /// The tenant
    #[arg(long = "tenant", value_name = "TENANT_ID", default_value = "default")]
    pub(crate) tenant_id: String,
}

#[derive(Subcommand)]
pub(crate) enum TenantsCommand {
    /// Make a tenant and print it
    Create {
        /// Its name
        name: String,
        /// Its identifier [default: a random one]
        #[arg(long, value_name = "TENANT_ID")]
        id: Option<String>,
        /// A client that acts in it; may be repeated
        #[arg(long, value_name = "CLIENT_ID")]
        client: Vec<String>,
        /// The namespace of names for users that its clients share [default: each client has its own]
        #[arg(long, value_name = "NAME")]
        user_namespace: Option<String>,
    },
    /// List the tenants
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show one tenant
    Show {
        /// Its tenant_id
        tenant_id: String,
    },
    /// Delete a tenant with everything in it: nobody acts in it from now on, its connections end, and a running server
    /// revokes them at the providers. It may be interrupted and run again
    Delete {
        /// Its tenant_id
        tenant_id: String,
    },
}

/// One user of a tenant.
#[derive(Args)]
pub(crate) struct OneUser {
    /// The user, as the party of --namespace names them
    pub(crate) user_id: String,
    /// The party whose name it is: a client_id, did, or the namespace that the tenant's clients share
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) tenant: OfTenant,
}

#[derive(Subcommand)]
pub(crate) enum UsersCommand {
    /// List the users of a tenant: namespace and name
    List {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Print everything that is stored about a user, without secrets, as JSON
    Export(OneUser),
    /// Delete a user: their connections end, and a running server revokes them at the providers. It may be interrupted; a
    /// running server does the rest
    Delete(OneUser),
}

#[derive(Subcommand)]
pub(crate) enum ConnectionsCommand {
    /// List the connections of a tenant, newest first
    List {
        #[command(flatten)]
        tenant: OfTenant,
        /// Those at this provider
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        /// Those that this client may use
        #[arg(long, value_name = "CLIENT_ID")]
        client: Option<String>,
        /// Those in this state: active, reauth_required or ended [default: all but ended ones]
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show how the connections of a tenant are kept: state, end of the access token, last refresh, last error, correlation ID
    Status {
        #[command(flatten)]
        tenant: OfTenant,
        /// Those at this provider
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show one connection, without secrets
    Show {
        /// Its connection_id
        connection_id: String,
        #[command(flatten)]
        tenant: OfTenant,
    },
    /// End one connection; a running server revokes it at the provider
    Revoke {
        /// Its connection_id
        connection_id: String,
        #[command(flatten)]
        tenant: OfTenant,
    },
    /// Let another client of the tenant use a connection
    Share {
        /// Its connection_id
        connection_id: String,
        /// The client
        #[arg(long, value_name = "CLIENT_ID")]
        client: String,
        #[command(flatten)]
        tenant: OfTenant,
    },
}

/// An account to connect.
#[derive(Args)]
pub(crate) struct ConnectOptions {
    /// The name of the provider
    pub(crate) provider: String,
    /// The user: a DID, or the client's own name for its user
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,
    /// The client that may use the connection
    #[arg(long, value_name = "CLIENT_ID")]
    pub(crate) client: String,
    #[command(flatten)]
    pub(crate) tenant: OfTenant,
}

/// A registration at a provider.
#[derive(Args)]
pub(crate) struct AtProvider {
    /// The name of the provider
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) tenant: OfTenant,
    /// The issuer, where users choose it [default: the one of the definition, or of its default values]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum ProvidersCommand {
    /// List the providers: name, kind, origin of the definition, and what the operator has to register
    List,
    /// Add the definition of an MCP server to --providers-dir
    Add {
        /// Its name: it is in addresses, and cannot be changed later
        name: String,
        /// The address of the server
        #[arg(long, value_name = "URL")]
        mcp: String,
        /// The name that users see [default: NAME]
        #[arg(long, value_name = "TITLE")]
        title: Option<String>,
    },
    /// Print the definition of a provider, which may be the beginning of another one
    Show {
        /// Its name
        name: String,
    },
    /// Check definitions and print every problem with its line, key and fix
    Check {
        /// Files to check [default: all definitions in effect, with those of --providers-dir]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Enter what a provider gave when you registered Causeway there, for one tenant. New authorizations use it
    Register {
        #[command(flatten)]
        at: AtProvider,
        /// The identifier that the provider gave
        #[arg(long, value_name = "ID")]
        client_id: String,
        /// File with the secret that it gave; - reads standard input. None for a public client
        #[arg(long, value_name = "FILE")]
        client_secret_file: Option<PathBuf>,
    },
    /// Enter the next secret of a registration: it takes the place of the one in use as soon as the provider refuses that
    Secret {
        #[command(flatten)]
        at: AtProvider,
        /// File with the secret; - reads standard input
        #[arg(long, value_name = "FILE")]
        client_secret_file: PathBuf,
    },
    /// List the registrations of a tenant, without their secrets
    Registrations {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Try a provider without signing in: read its metadata, and print the registration and the authorization URL of a
    /// sign-in, or what is missing
    Test {
        #[command(flatten)]
        at: AtProvider,
    },
}
