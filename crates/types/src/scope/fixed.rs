//! Scope values that are one fixed name.

wire_names! {
    /// The coarse scopes from before there was a grammar (atproto OAuth specification, "Transitional Scopes").
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum Transition {
        /// As much as an app password: all records, all files, all services but direct messages.
        Generic = "transition:generic",
        /// The email address.
        Email = "transition:email",
        /// Direct messages.
        ChatBsky = "transition:chat.bsky",
    }
}

wire_names! {
    /// Scopes between us and our clients only: a PDS never sees them.
    ///
    /// Exhaustive: see [the crate](crate#enums).
    pub enum OwnScope {
        /// An ID token (OpenID Connect Core section 3.1.2.1).
        Openid = "openid",
        /// The handle in it (OpenID Connect Core section 5.4).
        Profile = "profile",
        /// The email address in it (OpenID Connect Core section 5.4).
        Email = "email",
        /// Nothing: refresh tokens need no scope here. Stock clients send it by habit.
        OfflineAccess = "offline_access",
        /// A session for automation.
        BackgroundAccess = "background_access",
        /// A postal address (OpenID Connect Core section 5.4), which no account here has.
        Address = "address",
        /// A telephone number (OpenID Connect Core section 5.4), which no account here has.
        Phone = "phone",
    }
}
