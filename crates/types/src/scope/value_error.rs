//! Errors in scope values.

/// Why a scope value was refused. The text stands behind the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeValueError {
    /// No scope begins like this.
    #[error("it is unknown to this server")]
    Unknown,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("its percent-encoding is malformed")]
    Encoding,
    /// A parameter that this kind of scope does not have.
    #[error("the parameter {0} is not allowed")]
    Parameter(String),
    /// A parameter that it must have.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter that it can have once, or that stands before the question mark and behind it.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    /// A parameter with a value that it cannot have.
    #[error("its {name} must be {expected}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// The values that it may have.
        expected: &'static str,
    },
    /// `rpc:*?aud=*`.
    #[error("it would allow every method of every service: name lxm or aud")]
    AnyMethodAnywhere,
}
