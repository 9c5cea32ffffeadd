//! The state of a database's schema.

use std::fmt;

/// How a database's schema compares with the migrations that this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// Nothing was ever migrated.
    Empty,
    /// Some migrations are missing: `migrate up` applies them.
    Behind {
        /// How many.
        pending: usize,
    },
    /// All of ours, and no other.
    Current,
    /// All of ours, and newer ones beside which this program may run.
    Compatible {
        /// The versions that we don't know.
        unknown: Vec<String>,
    },
    /// Migrated by a newer program beside which this one may not run.
    Ahead {
        /// The versions that we don't know.
        unknown: Vec<String>,
    },
}

impl SchemaState {
    /// Whether this program may work with it.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Current | Self::Compatible { .. })
    }
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the database was never migrated: run `causeway migrate up`"),
            Self::Behind { pending } => {
                write!(f, "the database lacks {pending} migrations: run `causeway migrate up`")
            }
            Self::Current => f.write_str("the schema is current"),
            Self::Compatible { unknown } => write!(
                f,
                "the schema is newer than this version, which may run beside the newer one ({})",
                unknown.join(", ")
            ),
            Self::Ahead { unknown } => write!(
                f,
                "the database has migrations that this version does not know ({}): use the newer program",
                unknown.join(", ")
            ),
        }
    }
}
