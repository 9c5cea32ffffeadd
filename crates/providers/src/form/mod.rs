//! The client of sites that know a sign-in form and cookies: what a definition of the kind `form` says becomes requests,
//! and answers become sessions.
//!
//! [`SiteClient`] sends: to the declared addresses only, each request within a deadline and each answer within the memory
//! budget of the process. It stores nothing and tries nothing again. A [`SiteSession`] is what a site knows a user by.

mod browse;
mod client;
mod error;
mod html;
mod jar;
mod session;
mod sign_in;

pub use browse::SiteClient;
pub use client::{Renewal, SiteContext};
pub use error::SiteError;
pub use jar::{Change, CookieJar, changes};
pub use session::{SessionChange, SiteSession};
pub use sign_in::{Asked, SignIn, SignedIn, Typed};
