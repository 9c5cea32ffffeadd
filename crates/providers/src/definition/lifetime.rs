//! Lifetimes of access.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::Check;
use crate::values::seconds::Seconds;

/// Lifetime of access where the answers of the provider do not say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The life of an access token whose answer has none. `None`: it has no known end.
    pub access_token: Option<Seconds>,
    /// The time after which access ends that was not renewed.
    pub idle_end: Option<Seconds>,
    /// The time after which access ends in any case; only the user can renew it.
    pub absolute_end: Option<Seconds>,
    /// The time after which the provider gives out no more of the user's data, although the token lives.
    pub access_end: Option<Seconds>,
}

/// `[lifetime]`: lifetime of access where the answers do not say it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Lifetime")]
pub(crate) struct RawLifetime {
    /// The life of an access token whose answer has none; left out: no known end
    access_token: Option<Seconds>,
    /// Access ends if it is not renewed for this long
    idle_end: Option<Seconds>,
    /// Access ends after this long in any case, and only the user can renew it
    absolute_end: Option<Seconds>,
    /// The provider gives out no more data after this long, although the token lives
    access_end: Option<Seconds>,
}

impl RawLifetime {
    pub(crate) fn check(&self, check: &mut Check<'_, '_>) -> Lifetime {
        if let (Some(idle), Some(absolute)) = (self.idle_end, self.absolute_end)
            && idle > absolute
        {
            let problem = format!("{idle} without use is longer than absolute_end ({absolute})");
            check.report("lifetime.idle_end", problem, "remove it, or correct one of the two");
        }
        let Self { access_token, idle_end, absolute_end, access_end } = *self;
        Lifetime { access_token, idle_end, absolute_end, access_end }
    }
}
