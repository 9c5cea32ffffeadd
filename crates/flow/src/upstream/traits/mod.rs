//! The interface to the servers where sessions live: three traits, which each kind of provider implements. The
//! [registry](super::registry) picks the implementation by the provider's name.
//!
//! None of them stores anything or decides about a session: that is done once for all kinds, by the verbs of
//! [`connect`](super::connect), by the [keeper](super::keeper) and by the [relay](super::relay).

mod called;
mod connected;
mod kept;
mod redeemed;
mod typed;

pub use self::called::{
    Answer, Called, Injected, PassingHeaders, Permit, PermitRequest, RefusedAgain, Strip, Verdict, Verified,
};
pub use self::connected::{
    AskedOffer, BeginRequest, Begun, CallbackParams, Completion, ConnectError, ConnectRequest, Connected,
    NewAccount, NewConnection, NewManagedAccount, Offer, OfferError, Purpose, SignInRequest,
};
pub use causeway_providers::FormFieldType;
pub use causeway_providers::form::Typed;

pub use self::kept::{BindingUpdate, CredentialsUpdate, Kept, Located, NoAnswer, RenewalFailure, Renewed};
pub use self::redeemed::Redeemed;
pub use self::typed::{FormAnswer, FormRequest, SignInField, SignInForm};

/// A kind of provider: how accounts there are connected, how their sessions are kept, and how they are called.
pub trait Upstream: Connected + Kept + Called {}

impl<T: Connected + Kept + Called> Upstream for T {}
