//! English.

use causeway_domain::Timestamp;
use causeway_flow::sign_in::SignInTrouble;

use super::{
    Account, Consent, Demo, Device, Error, FormPost, Home, Logout, ProblemWords, Scopes, SignIn, Text,
};
use crate::pages::account::AccountNotice;
use crate::pages::device::DeviceTrouble;
use crate::pages::problem::Problem;
use crate::pages::time::{self, Ago, Day};

pub(in crate::pages) static EN: Text = Text {
    lang: "en",
    footer: "Causeway connects apps with AT Protocol accounts. Your password stays with your own server.",
    sign_in: SignIn {
        trouble,
        heading: ("Sign in to ", ""),
        app: "The app",
        this_device: ("an app on this device (", ")"),
        server: "Your own server",
        server_note: "asks for your password; we never see it",
        label: "Your handle",
        hint: ("For example ", ", or your own domain."),
        leads_to: ("This account signs in at ", ". Go on only if it is yours and you know that address."),
        example: "alice.bsky.social",
        submit: "Continue",
        cancel: "Cancel",
        choose: "Which account?",
        choose_note: "These are the accounts that you used in this browser. Your own server asks you to prove that it is you.",
        other_account: "Another account",
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
        verified: "address verified",
        verified_note: (
            "This app is identified by its web address, ",
            ": we have checked that. Its name is what it says of itself.",
        ),
        not_verified: "not verified",
        not_verified_note: "Nobody has checked this app’s name.",
        only_if_from_there: "Go on only if you came from the address above.",
        only_if_this_device: "Go on only if you started this app yourself, just now.",
        only_if_device: "Go on only if you started this on your own device, just now.",
        you: "You",
        no_handle: "no verified handle",
        on_server: ("on ", ""),
        scopes: "It will be able to",
        far_reaching: "far-reaching",
        more: ("and ", " more"),
        exactly: "The exact permissions, for experts",
        remember: "Don’t ask me again for this app, this account and these permissions",
        allow: "Allow",
        deny: "Deny",
        return_to: ("Whatever you choose, you return to ", "."),
        return_to_device: "Whatever you choose, you then go back to your device.",
    },
    account: Account {
        title: "Apps with access",
        lead: "Apps that you signed in to in this browser can use your account until you end it here.",
        notice,
        nothing: "No app has been given access in this browser.",
        nothing_of_account: "No app has access to this account.",
        device: "Signed in",
        background: "Runs in the background",
        needs_sign_in: "Your server wants you to sign in again.",
        here: "this browser",
        elsewhere: "another browser or device",
        since: "Since",
        last_used: "Last used",
        date,
        ago,
        scopes: "What it may do",
        end_device: ("Sign out", " of "),
        end_background: ("End access", " of "),
        end_all_here: "Sign out of all of these",
        end_all_everywhere: "End all access to this account",
        end_all_background: "This also ends what runs in the background.",
        only_here: "You see what began in this browser. To see everything that has access to this account, prove \
                    that it is yours.",
        see_all: "Sign in and see everything",
        proven,
        leave: "Done: hide it again",
        other: "Another account",
        other_note: "Sign in with your own server to see and end everything that has access to an account, \
                     whatever browser or app it began in.",
        other_submit: "Sign in and see everything",
    },
    logout: Logout {
        heading: ("Sign out of ", "?"),
        what: "The app loses its access from this browser. Other apps stay signed in, and so do you at your own \
               server.",
        submit: "Sign out",
        stay: "Stay signed in",
        done: "You are signed out",
        done_of: ("You are signed out of ", " in this browser."),
        others: "Other apps stay signed in, and so may you at your own server.",
        onward_note: "The app wants you to be sent on from here, to an address that we do not know: go there only if \
                      you came from that app.",
        account: "See all apps with access",
    },
    device: Device {
        title: "Connect a device",
        lead: "A television, a terminal or another device shows you a code? Type it here, and then sign in with \
               your own server.",
        label: "Code",
        hint: ("Eight letters, for example ", ". Capitals and the dash do not matter."),
        example: "WDJB-MJHT",
        submit: "Continue",
        trouble: device_trouble,
        heading: ("Connect ", "?"),
        on_device: "an app on a device",
        origin_unknown: "nobody knows where this app comes from",
        shown: "Your device shows",
        caution: "Go on only if you started this yourself just now, and the device in front of you shows exactly \
                  this code. If somebody sent you the code or this page, they want to get into your account.",
        next: "Next you sign in at your own server, and see what the app asks for before you allow it.",
        proceed: "It is my device",
        deny: "It is not mine",
        done: "Your device is connected",
        done_what: "You can close this page and go back to your device. It goes on by itself within a few seconds.",
        denied: "Nothing was connected",
        denied_what: "The device has no access to your account. If you did want to connect it, start again there.",
    },
    form_post: FormPost {
        title: "Back to the app",
        lead: "You are being sent back to the app that you came from.",
        proceed: "Continue",
    },
    scopes: Scopes {
        about_you: "Who you are",
        about_records: "Your posts and other records",
        about_files: "Files",
        about_services: "Services in your name",
        about_account: "Your account itself",
        about_sets: "Permission sets",
        about_resources: "At other services",
        about_absence: "While you are away",
        identity: "Know who you are: your handle and your permanent account id (DID).",
        email: "See the email address of your account.",
        background: "Keep working for you when you are not there, until you take the permission back.",
        generic: "Read and write nearly everything in your account: posts, likes, follows, your profile and \
                  settings. Direct messages are left out.",
        generic_risk: "This is as much as an app password allows.",
        chat: "Read and send your direct messages on Bluesky.",
        chat_risk: "It can read your private conversations and write in your name.",
        records: [
            "",
            "Create records of these kinds:",
            "Change records of these kinds:",
            "Create and change records of these kinds:",
            "Delete records of these kinds:",
            "Create and delete records of these kinds:",
            "Change and delete records of these kinds:",
            "Create, change and delete records of these kinds:",
        ],
        records_any: [
            "",
            "Create records of every kind.",
            "Change records of every kind.",
            "Create and change records of every kind.",
            "Delete records of every kind.",
            "Create and delete records of every kind.",
            "Change and delete records of every kind.",
            "Create, change and delete records of every kind.",
        ],
        records_any_risk: "Records are all that you have made: posts, likes, follows, your profile, and what other \
                           apps keep for you.",
        kinds: &[
            ("app.bsky.actor.profile", "your profile"),
            ("app.bsky.feed.generator", "custom feeds"),
            ("app.bsky.feed.like", "likes"),
            ("app.bsky.feed.post", "posts"),
            ("app.bsky.feed.postgate", "who may quote you"),
            ("app.bsky.feed.repost", "reposts"),
            ("app.bsky.feed.threadgate", "who may reply to you"),
            ("app.bsky.graph.block", "blocks"),
            ("app.bsky.graph.follow", "follows"),
            ("app.bsky.graph.list", "lists"),
            ("app.bsky.graph.listblock", "blocked lists"),
            ("app.bsky.graph.listitem", "members of lists"),
            ("app.bsky.graph.starterpack", "starter packs"),
            ("chat.bsky.actor.declaration", "who may message you"),
        ],
        calls: ("Use these functions of the service ", " in your name:"),
        calls_any: ("Use everything that the service ", " offers, in your name."),
        calls_any_risk: "What that is, the service decides.",
        calls_anywhere: "Use these functions of any service in your name:",
        images: "Upload images.",
        videos: "Upload videos.",
        audio: "Upload audio.",
        files: ("Upload files of the type ", "."),
        files_any: "Upload files of every kind.",
        email_manage: "See and change the email address of your account.",
        email_manage_risk: "Whoever controls the address can have your password reset.",
        repo_read: "Read all your records, which are public anyway.",
        repo_manage: "Replace everything in your account by importing a copy.",
        repo_manage_risk: "What you have now can be lost. Apps that move accounts need this.",
        status_read: "See whether your account is active.",
        status_manage: "Deactivate and activate your account.",
        status_manage_risk: "While it is deactivated nobody can see it.",
        handle: "Change your handle.",
        handle_risk: "People find you by your handle.",
        identity_any: "Change your identity: your handle, your keys and the server that keeps your account.",
        identity_any_risk: "Whoever has this can take your account over for good.",
        set: ("Everything in the permission set ", ""),
        set_service: (", with the service ", ""),
        set_known: ":",
        set_unknown: ". Only your own server knows what that is.",
    },
    error: Error {
        problem,
        detail: "For the makers of the app:",
        back: "Back to the start",
        onward: ("Go on to ", ""),
        onward_note: "You are not signed in. The app wants to be told, at an address that we do not know: go there only \
                      if you came from it.",
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

const fn notice(notice: AccountNotice) -> &'static str {
    match notice {
        AccountNotice::Ended => "The access has ended.",
        AccountNotice::EndedAll => "All of that access has ended.",
        AccountNotice::Gone => "That access had ended already, or it is not for this browser to end.",
        AccountNotice::NotProven => "Your sign-in for this was too long ago. Please sign in again.",
        AccountNotice::NotSignedIn => "You did not sign in: this page shows only this browser.",
        AccountNotice::Left => "This page shows only this browser again.",
    }
}

fn date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let Day { year, month, day } = time::day_of(at);
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"");
    format!("{day} {month} {year}")
}

fn ago(seconds: i64) -> String {
    match Ago::of(seconds) {
        Ago::Now => "just now".to_owned(),
        Ago::Minutes(n) => format!("{n} minutes ago"),
        Ago::Hours(1) => "1 hour ago".to_owned(),
        Ago::Hours(n) => format!("{n} hours ago"),
        Ago::Days(1) => "1 day ago".to_owned(),
        Ago::Days(n) => format!("{n} days ago"),
    }
}

fn proven(minutes: i64) -> String {
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    format!(
        "You proved that this account is yours. For {minutes} {unit} you see everything here that has access to it."
    )
}

const fn device_trouble(trouble: DeviceTrouble) -> &'static str {
    match trouble {
        DeviceTrouble::Unknown => "This code is wrong, has expired, or was used. Look at your device again.",
        DeviceTrouble::TooMany => "Too many wrong codes. Wait ten minutes, then start again on your device.",
    }
}

const fn trouble(trouble: SignInTrouble) -> &'static str {
    match trouble {
        SignInTrouble::NoInput => "Type a handle such as alice.example.com.",
        SignInTrouble::NotADid => "Not a DID that AT Protocol knows (did:plc:… or did:web:…).",
        SignInTrouble::NotAHandle => "Not a handle: a handle is a domain name such as alice.example.com.",
        SignInTrouble::NotAServer => "Not a server address: give it as https://pds.example.com.",
        SignInTrouble::UnknownHandle => "No account has this handle.",
        SignInTrouble::UnansweredHandle => {
            "The domain of this handle could not be asked whose it is. \
             Try again later, or type your DID (did:plc:…)."
        }
        SignInTrouble::AmbiguousHandle => "The handle’s DNS records name more than one account.",
        SignInTrouble::ForeignHandle => "The handle leads to an account that does not use this handle.",
        SignInTrouble::UnknownDid => "This DID does not exist.",
        SignInTrouble::LongDid => {
            "This DID is longer than 255 characters, and apps take none that long. \
             Sign in with another account."
        }
        SignInTrouble::BadDidDocument => "The DID document of this account is not valid.",
        SignInTrouble::NoServer => "The account’s DID document names no server that keeps it.",
        SignInTrouble::BadServer => "The server of this account does not allow a safe sign-in.",
        SignInTrouble::Unreachable => {
            "The server of this account cannot be reached, or does not answer as it should."
        }
        SignInTrouble::NotAccepted => "The server of this account did not accept the sign-in request.",
    }
}

const fn problem(problem: Problem) -> ProblemWords {
    const CANNOT_GO_ON: &str = "This sign-in cannot be continued";
    const WRONG: &str = "Something went wrong";
    const AGAIN: &str = "Go back to the app that you came from and start the sign-in again, in this browser. \
                         Cookies have to be allowed for this site.";
    const LATER: &str = "Try again in a moment. If it keeps happening, tell us the request number below.";
    let (title, message, advice) = match problem {
        Problem::App => (
            "This request is not valid",
            "The app that sent you here made a mistake in its request.",
            "It is not your mistake. Tell the app’s makers; they will want what stands below.",
        ),
        Problem::NotSignedInHere => (
            "You are not signed in to this app",
            "The app that sent you here asks whether you are signed in, and in this browser you never were.",
            "Open the app yourself if you want to use it, and sign in there.",
        ),
        Problem::OtherBrowser => {
            (CANNOT_GO_ON, "It was started in another browser, or cookies are blocked.", AGAIN)
        }
        Problem::SignInOver => {
            (CANNOT_GO_ON, "It was already completed, has expired, or was started in another browser.", AGAIN)
        }
        Problem::ConsentOver => {
            (CANNOT_GO_ON, "It was already decided, has expired, or belongs to another browser.", AGAIN)
        }
        Problem::NotSignedIn => (CANNOT_GO_ON, "You have not signed in at your own server yet.", AGAIN),
        Problem::Undecided => (CANNOT_GO_ON, "The answer was neither allow nor deny.", AGAIN),
        Problem::ForeignForm => (
            "Nothing was changed",
            "This form did not come from one of our pages in this browser.",
            "Open the page again and press the button there.",
        ),
        Problem::Internal => (WRONG, "Something went wrong on our side.", LATER),
        Problem::Busy => (WRONG, "The server is busy at the moment.", LATER),
        Problem::TooMany => (
            "Too many tries",
            "There were too many sign-ins from your network in a short time.",
            "Wait a minute, go back, and try again.",
        ),
        Problem::NotFound => (
            "Nothing here",
            "There is no page at this address.",
            "Check the address, or go back to the start.",
        ),
    };
    ProblemWords { title, message, advice }
}
