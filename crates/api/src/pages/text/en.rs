//! English.

use causeway_flow::upstream::connect::SignInTrouble;
use causeway_types::Timestamp;

use super::{
    Account, Connect, Consent, DataDeletion, Demo, Device, Error, FormPost, Home, Logout, ProblemWords,
    Scopes, SignIn, Text,
};
use crate::pages::notice::{AccountNotice, DeviceTrouble};
use crate::pages::problem::{NotConnected, Problem};
use crate::pages::time::{self, Ago, Day};

pub(in crate::pages) static EN: Text = Text {
    lang: "en",
    footer: "Causeway connects apps with AT Protocol accounts. Your password stays with your account provider.",
    sign_in: SignIn {
        trouble,
        heading: ("Sign in to ", ""),
        app: "The app",
        this_device: ("an app on this device (", ")"),
        server: "Your account provider",
        server_note: "For example Bluesky. It asks for your password; this site never sees it.",
        label: "Your handle",
        hint: ("For example ", ", or your own domain."),
        leads_to: ("This account signs in at ", ". Continue only if it is yours and you know that address."),
        example: "alice.bsky.social",
        submit: "Continue",
        cancel: "Cancel",
        choose: "Which account?",
        choose_note: "You have used these accounts in this browser. Your account provider will ask you to confirm that it’s you.",
        other_account: "Another account",
        help: "What is my handle?",
        help_account: "You sign in with your AT Protocol account, the kind that Bluesky and other apps use. \
                       One account works in all of them.",
        help_handle: (
            "Your handle is the full name of your account, ",
            ", as your profile shows it, without spaces.",
        ),
        help_domain: ("If your handle is your own domain, enter that, such as ", "."),
        help_did: ("An account ID works too: ", "."),
        help_server: (
            "If you only know your account provider, enter its address, such as ",
            ", and choose the account there.",
        ),
    },
    consent: Consent {
        heading: ("Let ", " use your account?"),
        app: "The app",
        verified: "address verified",
        verified_note: (
            "This app is identified by its web address, ",
            ". We checked the address. The app chose its name.",
        ),
        not_verified: "not verified",
        not_verified_note: "This app isn’t verified.",
        only_if_from_there: ("Continue only if you came from ", "."),
        only_if_this_device: "Continue only if you just started this app yourself.",
        only_if_device: "Continue only if you just started this on your own device.",
        you: "You",
        no_handle: "no verified handle",
        on_server: ("on ", ""),
        scopes: "It will be able to",
        servers: "Connected services",
        server_connected: ("Use your connection to ", ", which your other apps use, too"),
        server_next: ("Use ", " for you. You’ll sign in there next."),
        far_reaching: "Broad access",
        more: ("and ", " more"),
        exactly: "Technical details",
        remember: "Don’t ask me again for this app, this account and these permissions",
        allow: "Allow",
        deny: "Deny",
        return_to: ("Either way you’ll return to ", "."),
        return_to_device: "Either way, go back to your device afterwards.",
    },
    account: Account {
        title: "Apps with access",
        lead: "Apps you signed in to in this browser can use your account until you end their access here.",
        notice,
        nothing: "No app has been given access in this browser.",
        nothing_of_account: "No app has access to this account.",
        device: "Signed in",
        background: "Runs in the background",
        needs_sign_in: "Your account provider wants you to sign in again.",
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
        end_all_background: "This also ends access that runs in the background.",
        only_here: "Showing sign-ins from this browser only. Sign in to see all.",
        see_all: "Sign in to see all",
        proven,
        leave: "Done: show this browser only",
        other: "Another account",
        other_note: "Sign in with your account provider to see and end all access to an account, whichever browser \
                     or app it began in.",
        other_submit: "Sign in to see all",
    },
    logout: Logout {
        heading: ("Sign out of ", "?"),
        what: "The app loses its access from this browser. Other apps stay signed in, and you stay signed in at your \
               account provider.",
        submit: "Sign out",
        stay: "Stay signed in",
        done: "You are signed out",
        done_of: ("You are signed out of ", " in this browser."),
        others: "Other apps stay signed in, and you may still be signed in at your account provider.",
        onward_note: "The app asks to send you to an address that we don’t know. Go there only if you came from that \
                      app.",
        account: "See all apps with access",
    },
    device: Device {
        title: "Connect a device",
        lead: "Do you have a code from another device? Enter it here, then sign in with your account provider.",
        label: "Code",
        hint: ("Eight letters, for example ", ". Capitals and the dash do not matter."),
        example: "WDJB-MJHT",
        submit: "Continue",
        trouble: device_trouble,
        heading: ("Connect ", "?"),
        on_device: "an app on a device",
        origin_unknown: "the origin of this app is unknown",
        shown: "Your device shows",
        caution: "Continue only if you just started this yourself and the device in front of you shows exactly this \
                  code. If somebody sent you the code or this page, they are trying to get into your account.",
        next: "Next, you’ll sign in at your account provider and see what the app asks for before you allow it.",
        proceed: "It is my device",
        deny: "It is not mine",
        done: "Your device is connected",
        done_what: "You can close this page and go back to your device. It continues by itself within a few seconds.",
        denied: "Nothing was connected",
        denied_what: "The device has no access to your account. If you did want to connect it, start again there.",
    },
    connect: Connect {
        heading: ("Connect an account to ", ""),
        verified: "verified",
        provider: "The account",
        provider_note: "You sign in there. This site never sees your password.",
        only_yours: (
            "Continue only if you just asked for this in ",
            ". If somebody sent you this link, close the page: your account would be connected to theirs.",
        ),
        again: "The account is connected already and has to be connected again. Sign in with the same one.",
        background: "The app can act while you are away, until you end its access.",
        scopes: ("What is asked for at ", ""),
        proceed: ("Continue to ", ""),
        done: "The account is connected",
        done_what: ("Your account at ", " is connected. You can close this page."),
        site_note: "What you type here is sent to this site, and to nobody else.",
        used_once: "Your password is used once and not kept.",
        device: "The app uses the account while you use the app on this device.",
        sign_in: ("Sign in at ", ""),
        step: ("", " asks for one more thing."),
        label_text: "Name",
        label_email: "Email address",
        label_password: "Password",
        label_otp: "One-time code",
        refused: "The site did not accept this. Check what you typed, and try again.",
        unavailable: "The site does not answer at the moment. Try again in a while.",
        unusable: "The site answered in a way that cannot be used here. Try again, or tell the app.",
    },
    data_deletion: DataDeletion {
        done: "Your data is deleted",
        done_what: "Everything that was connected to this account has ended, and its access is removed here.",
        pending: "Your data is being deleted",
        pending_what: "This takes a few minutes. You can open this page again later.",
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
        about_services: "Services on your behalf",
        about_account: "Your account itself",
        about_sets: "Permission sets",
        about_resources: "At other services",
        about_absence: "While you are away",
        identity: "See your handle and account ID (DID).",
        email: "See the email address of your account.",
        background: "Keep working while you are away, until you end its access.",
        generic: "Read and write nearly everything in your account: posts, likes, follows, your profile and \
                  settings. Direct messages are not included.",
        generic_risk: "This is as much as an app password allows.",
        chat: "Read and send your direct messages on Bluesky.",
        chat_risk: "It can read your private conversations and write on your behalf.",
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
        records_any_risk: "Records are everything you have made: posts, likes, follows, your profile, and what other \
                           apps store for you.",
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
        calls: ("Use these functions of the service ", " on your behalf:"),
        calls_any: ("Use everything that the service ", " offers, on your behalf."),
        calls_any_risk: "The service decides what that includes.",
        calls_anywhere: "Use these functions of any service on your behalf:",
        images: "Upload images.",
        videos: "Upload videos.",
        audio: "Upload audio.",
        files: ("Upload files of the type ", "."),
        files_any: "Upload files of every kind.",
        email_manage: "See and change the email address of your account.",
        email_manage_risk: "Whoever controls the address can have your password reset.",
        repo_read: "Read all your records, which are public anyway.",
        repo_manage: "Replace everything in your account by importing a copy.",
        repo_manage_risk: "Your current data can be lost. Apps that move accounts need this.",
        status_read: "See whether your account is active.",
        status_manage: "Deactivate and activate your account.",
        status_manage_risk: "While it is deactivated nobody can see it.",
        handle: "Change your handle.",
        handle_risk: "People find you by your handle.",
        identity_any: "Change your identity: your handle, your keys and your account provider.",
        identity_any_risk: "An app with this permission can take over your account for good.",
        set: ("Everything in the permission set ", ""),
        set_service: (", with the service ", ""),
        set_known: ":",
        set_unknown: ". Only your account provider knows what it contains.",
    },
    error: Error {
        problem,
        detail: "For the app’s developers:",
        back: "Back to the start",
        onward: ("Continue to ", ""),
        onward_note: "You are not signed in. The app asks to be told at an address that we don’t know. Go there only if \
                      you came from it.",
        advice: "What to do",
        status: "Status",
        code: "Error",
        request_id: "Request ID",
        request_id_note: "If you ask for help, include the request ID.",
    },
    demo: Demo {
        title: "Try it",
        heading: "One OAuth server in front of every AT Protocol account",
        what: "Causeway lets any standard OAuth client sign users in with their AT Protocol account, whichever \
               provider hosts it.",
        how: "The client speaks plain OAuth 2.1; Causeway talks to the user’s account provider and keeps the \
              session alive.",
        try_it: "Try a sign-in",
        label: "Handle, DID or server",
        hint: ("For example ", "."),
        submit: "Sign in",
        note: "This page is an ordinary public client of this server: discovery, PKCE, a code, tokens. You \
               enter your password only at your account provider.",
        no_script: "This page is an OAuth client written in JavaScript, so it needs JavaScript to run. The \
                    sign-in pages themselves work without it.",
        signed_in: "Signed in",
        gets: "This is everything the app receives.",
        account: "Account",
        handle: "Handle",
        did: "DID",
        pds: "Server (PDS)",
        scope: "Scope",
        session: "Session",
        session_id: "Session ID",
        kind: "Kind",
        state: "State",
        head_iteration: "Current iteration",
        session_iteration: "Token made at iteration",
        token_expires: "Access token ends",
        session_expires: "Session ends",
        refresh: "Refresh the session",
        refresh_note: "Causeway gets new tokens from your account provider: the iteration goes up.",
        refresh_token: "Refresh the tokens",
        refresh_token_note: "This page gets new tokens from Causeway. Your account provider is not involved.",
        sign_out: "Sign out",
        sign_out_note: "Revokes the tokens of this page.",
        developers: "Use it in your app",
        developers_note: "Give your OAuth library the issuer. It finds the rest.",
        issuer: "Issuer",
        client_id: "Client ID of this page",
        metadata: "Server metadata",
    },
    home: Home {
        title: "An OAuth server for AT Protocol accounts",
        heading: "This is an OAuth server for AT Protocol accounts",
        what: "Apps that trust it can sign users in with their AT Protocol account, whichever provider hosts it.",
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
        AccountNotice::Gone => "That access has already ended, or cannot be ended from this browser.",
        AccountNotice::NotProven => "Your sign-in for this was too long ago. Please sign in again.",
        AccountNotice::NotSignedIn => "You did not sign in. Showing sign-ins from this browser only.",
        AccountNotice::Left => "Showing sign-ins from this browser only again.",
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
        "You have confirmed that this account is yours. For {minutes} {unit}, this page shows everything that has access to it."
    )
}

const fn device_trouble(trouble: DeviceTrouble) -> &'static str {
    match trouble {
        DeviceTrouble::Unknown => {
            "This code is wrong, has expired, or was already used. Check your device again."
        }
        DeviceTrouble::TooMany => {
            "Too many wrong codes. Wait a minute, then try again. Your device may show a new code by then."
        }
    }
}

const fn trouble(trouble: SignInTrouble) -> &'static str {
    match trouble {
        SignInTrouble::NoInput => "Enter a handle such as alice.example.com.",
        SignInTrouble::NotADid => "This is not a DID of the AT Protocol (did:plc:… or did:web:…).",
        SignInTrouble::NotAHandle => {
            "This is not a handle. A handle is a domain name such as alice.example.com."
        }
        SignInTrouble::NotAServer => "This is not a server address. Enter it as https://pds.example.com.",
        SignInTrouble::UnknownHandle => "No account has this handle.",
        SignInTrouble::UnansweredHandle => {
            "The domain of this handle could not be asked whose it is. \
             Try again later, or type your DID (did:plc:…)."
        }
        SignInTrouble::AmbiguousHandle => "The handle’s DNS records name more than one account.",
        SignInTrouble::ForeignHandle => "This handle points to an account that does not use it.",
        SignInTrouble::UnknownDid => "This DID does not exist.",
        SignInTrouble::LongDid => {
            "This DID is longer than 255 characters, which apps do not accept. \
             Sign in with another account."
        }
        SignInTrouble::BadDidDocument => "The DID document of this account is not valid.",
        SignInTrouble::NoServer => "The account’s DID document does not name an account provider.",
        SignInTrouble::BadServer => "This account’s provider does not support a safe sign-in.",
        SignInTrouble::Unreachable => {
            "This account’s provider cannot be reached, or does not answer as it should."
        }
        SignInTrouble::NotAccepted => "This account’s provider did not accept the sign-in request.",
    }
}

const fn problem(problem: Problem) -> ProblemWords {
    const CANNOT_GO_ON: &str = "This sign-in cannot be continued";
    const WRONG: &str = "Something went wrong";
    const AGAIN: &str = "Go back to the app that you came from and start the sign-in again, in this browser. \
                         Cookies must be allowed for this site.";
    const LATER: &str = "Try again in a moment. If it keeps happening, send us the request ID below.";
    let (title, message, advice) = match problem {
        Problem::App => (
            "This request is not valid",
            "The app that sent you here made a mistake in its request.",
            "This is not your mistake. Let the app’s developers know and include the details below.",
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
            (CANNOT_GO_ON, "It is already complete, has expired, or was started in another browser.", AGAIN)
        }
        Problem::ConsentOver => (
            CANNOT_GO_ON,
            "You’ve already answered this request, it has expired, or it belongs to another browser.",
            AGAIN,
        ),
        Problem::NotSignedIn => (CANNOT_GO_ON, "You have not signed in at your account provider yet.", AGAIN),
        Problem::ConnectOver => (
            "This link cannot be used",
            "It was already used, has expired, or was opened in another browser.",
            "Go back to the app that you came from and start again there, in this browser. Cookies must be allowed for \
             this site.",
        ),
        Problem::NotConnected(why) => return not_connected(why),
        Problem::Undecided => (CANNOT_GO_ON, "The answer was neither allow nor deny.", AGAIN),
        Problem::ForeignForm => (
            "Nothing was changed",
            "This form did not come from one of our pages in this browser.",
            "Open the page again and use the button there.",
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

const fn not_connected(why: NotConnected) -> ProblemWords {
    const AGAIN: &str =
        "Go back to the app that you came from. If you want to connect the account, start again there.";
    let (message, advice) = match why {
        NotConnected::Denied => ("You did not allow it.", AGAIN),
        NotConnected::ScopeMissing => (
            "You did not allow everything that the app needs.",
            "Start again in the app, and leave all boxes checked that the provider shows.",
        ),
        NotConnected::OtherAccount => (
            "You signed in with another account than the one that is connected.",
            "Start again in the app, and sign in with the same account as before.",
        ),
        NotConnected::NoRefreshToken => (
            "The provider gave access for a short time only. The account stays connected as it was.",
            "End the access of this app in the settings of your account at the provider, then start again in the app.",
        ),
        NotConnected::Unavailable => {
            ("The provider cannot be reached at the moment.", "Try again in a few minutes.")
        }
        NotConnected::Misconfigured => (
            "This server is not set up correctly at the provider.",
            "This is not your mistake. Let the operator of this server know, with the request ID below.",
        ),
        NotConnected::Refused => ("The provider did not let it happen, or its answer cannot be used.", AGAIN),
    };
    ProblemWords { title: "The account was not connected", message, advice }
}
