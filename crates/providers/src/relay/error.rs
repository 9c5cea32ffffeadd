//! Reasons for which a call is not relayed.

use thiserror::Error;

use crate::values::fill::FillError;

/// Why a call is not relayed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The path can be read in more than one way.
    #[error("the path {0}")]
    Path(&'static str),
    /// The caller sent a credential of its own.
    #[error("the parameter {0} is a credential, which Causeway adds itself")]
    Credential(String),
    /// The definition denies a parameter with this value.
    #[error("the parameter {0} may not have this value")]
    Parameter(String),
    /// The body cannot be read, and may have parameters that are denied.
    #[error("the body {0}")]
    Body(&'static str),
    /// The origin is not one of the definition's.
    #[error("the origin is not one that may be called")]
    Origin,
    /// The path is not one that may be called.
    #[error("the path is not one that may be called")]
    NotAllowed,
    /// An address of the definition lacks a value. It may be that of the managed account.
    #[error(transparent)]
    Value(#[from] FillError),
}
