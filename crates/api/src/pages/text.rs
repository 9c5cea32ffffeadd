//! The words of the pages. A language is one [`Text`].

/// A sentence with a hole: what stands before and after the value.
pub(super) type Around = (&'static str, &'static str);

/// All words of all pages in one language.
pub(super) struct Text {
    /// BCP 47 language tag.
    pub(super) lang: &'static str,
    pub(super) footer: &'static str,
    pub(super) sign_in: SignIn,
    pub(super) consent: Consent,
    pub(super) form_post: FormPost,
    pub(super) error: Error,
    pub(super) demo: Demo,
    pub(super) home: Home,
}

pub(super) struct SignIn {
    pub(super) heading: Around,
    pub(super) app: &'static str,
    pub(super) this_device: Around,
    pub(super) server: &'static str,
    pub(super) server_note: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: Around,
    pub(super) example: &'static str,
    pub(super) submit: &'static str,
    pub(super) cancel: &'static str,
    pub(super) help: &'static str,
    pub(super) help_account: &'static str,
    pub(super) help_handle: Around,
    pub(super) help_domain: Around,
    pub(super) help_did: Around,
    pub(super) help_server: Around,
}

pub(super) struct Consent {
    pub(super) heading: Around,
    pub(super) app: &'static str,
    pub(super) verified: &'static str,
    pub(super) not_verified: &'static str,
    pub(super) not_verified_note: &'static str,
    pub(super) only_if_from_there: &'static str,
    pub(super) only_if_this_device: &'static str,
    pub(super) you: &'static str,
    pub(super) no_handle: &'static str,
    pub(super) on_server: Around,
    pub(super) scopes: &'static str,
    pub(super) allow: &'static str,
    pub(super) deny: &'static str,
    pub(super) return_to: Around,
}

pub(super) struct FormPost {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) proceed: &'static str,
}

pub(super) struct Error {
    pub(super) advice: &'static str,
    pub(super) status: &'static str,
    pub(super) code: &'static str,
    pub(super) request_id: &'static str,
    pub(super) request_id_note: &'static str,
}

/// What the page says; what the script says stands at the top of the script.
pub(super) struct Demo {
    pub(super) title: &'static str,
    pub(super) heading: &'static str,
    pub(super) what: &'static str,
    pub(super) how: &'static str,
    pub(super) try_it: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: Around,
    pub(super) submit: &'static str,
    pub(super) note: &'static str,
    pub(super) no_script: &'static str,
    pub(super) signed_in: &'static str,
    pub(super) gets: &'static str,
    pub(super) account: &'static str,
    pub(super) handle: &'static str,
    pub(super) did: &'static str,
    pub(super) pds: &'static str,
    pub(super) scope: &'static str,
    pub(super) session: &'static str,
    pub(super) session_id: &'static str,
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) head_iteration: &'static str,
    pub(super) session_iteration: &'static str,
    pub(super) token_expires: &'static str,
    pub(super) session_expires: &'static str,
    pub(super) refresh: &'static str,
    pub(super) refresh_note: &'static str,
    pub(super) refresh_token: &'static str,
    pub(super) refresh_token_note: &'static str,
    pub(super) sign_out: &'static str,
    pub(super) sign_out_note: &'static str,
    pub(super) developers: &'static str,
    pub(super) developers_note: &'static str,
    pub(super) issuer: &'static str,
    pub(super) client_id: &'static str,
    pub(super) metadata: &'static str,
}

pub(super) struct Home {
    pub(super) title: &'static str,
    pub(super) heading: &'static str,
    pub(super) what: &'static str,
    pub(super) how: &'static str,
    pub(super) issuer: &'static str,
    pub(super) metadata: &'static str,
}

/// English.
pub(super) const EN: Text = Text {
    lang: "en",
    footer: "Causeway connects apps with AT Protocol accounts. Your password stays with your own server.",
    sign_in: SignIn {
        heading: ("Sign in to ", ""),
        app: "The app",
        this_device: ("an app on this device (", ")"),
        server: "Your own server",
        server_note: "asks for your password; we never see it",
        label: "Your handle",
        hint: ("For example ", ", or your own domain."),
        example: "alice.bsky.social",
        submit: "Continue",
        cancel: "Cancel",
        help: "What is my handle?",
        help_account: "You sign in with your AT Protocol account, the kind that Bluesky and other apps use. \
                       One account works in all of them.",
        help_handle: (
            "Your handle is the full name of your account, ",
            ", as your profile shows it, without spaces.",
        ),
        help_domain: ("If your handle is a domain of your own, type that, such as ", "."),
        help_did: ("An account id works too: ", "."),
        help_server: (
            "If you only know the server that keeps your account, type its address, such as ",
            ", and choose the account there.",
        ),
    },
    consent: Consent {
        heading: ("Let ", " use your account?"),
        app: "The app",
        verified: "verified",
        not_verified: "not verified",
        not_verified_note: "Nobody has checked this app’s name.",
        only_if_from_there: "Go on only if you came from the address above.",
        only_if_this_device: "Go on only if you started this app yourself, just now.",
        you: "You",
        no_handle: "no verified handle",
        on_server: ("on ", ""),
        scopes: "It will be able to",
        allow: "Allow",
        deny: "Deny",
        return_to: ("Whatever you choose, you return to ", "."),
    },
    form_post: FormPost {
        title: "Back to the app",
        lead: "You are being sent back to the app that you came from.",
        proceed: "Continue",
    },
    error: Error {
        advice: "What to do",
        status: "Status",
        code: "Error",
        request_id: "Request id",
        request_id_note: "If you ask for help, give the request id.",
    },
    demo: Demo {
        title: "Try it",
        heading: "One OAuth server in front of every AT Protocol account",
        what: "Causeway lets any standard OAuth client sign people in with their AT Protocol account, on \
               whichever server that account lives.",
        how: "The client speaks plain OAuth 2.1; Causeway speaks to the person’s own server and keeps the \
              session alive.",
        try_it: "Try a sign-in",
        label: "Handle, DID or server",
        hint: ("For example ", "."),
        submit: "Sign in",
        note: "This page is an ordinary public client of this server: discovery, PKCE, a code, tokens. You \
               enter your password at your own server only.",
        no_script: "This page is an OAuth client written in JavaScript, so it needs JavaScript to run. The \
                    sign-in pages themselves work without it.",
        signed_in: "Signed in",
        gets: "This is all that a client gets.",
        account: "Account",
        handle: "Handle",
        did: "DID",
        pds: "Server (PDS)",
        scope: "Scope",
        session: "Session",
        session_id: "Session id",
        kind: "Kind",
        state: "State",
        head_iteration: "Current iteration",
        session_iteration: "Token made at iteration",
        token_expires: "Access token ends",
        session_expires: "Session ends",
        refresh: "Refresh the session",
        refresh_note: "Causeway gets new tokens from your server: the iteration goes up.",
        refresh_token: "Refresh the tokens",
        refresh_token_note: "This page gets new tokens from Causeway: your server is not asked.",
        sign_out: "Sign out",
        sign_out_note: "Revokes the tokens of this page.",
        developers: "Use it in your app",
        developers_note: "Give your OAuth library the issuer. It finds the rest.",
        issuer: "Issuer",
        client_id: "Client id of this page",
        metadata: "Server metadata",
    },
    home: Home {
        title: "An OAuth server for AT Protocol accounts",
        heading: "This is an OAuth server for AT Protocol accounts",
        what: "Apps that trust it can sign people in with their AT Protocol account, on whichever server that \
               account lives.",
        how: "If you came to sign in, go back to the app and start there; if you build an app, give your OAuth \
              library the issuer.",
        issuer: "Issuer",
        metadata: "Server metadata",
    },
};
