//! The words of the pages. A language is one [`Text`].

pub(super) mod de;
pub(super) mod en;

use causeway_flow::upstream::connect::SignInTrouble;
use causeway_types::Timestamp;

use super::notice::{AccountNotice, DeviceTrouble};
use super::problem::Problem;

/// A sentence with a hole: what stands before and after the value.
pub(super) type Around = (&'static str, &'static str);

/// All words of all pages in one language.
pub(super) struct Text {
    /// BCP 47 language tag.
    pub(super) lang: &'static str,
    pub(super) footer: &'static str,
    pub(super) sign_in: SignIn,
    pub(super) consent: Consent,
    pub(super) scopes: Scopes,
    pub(super) account: Account,
    pub(super) logout: Logout,
    pub(super) device: Device,
    pub(super) connect: Connect,
    pub(super) data_deletion: DataDeletion,
    pub(super) form_post: FormPost,
    pub(super) error: Error,
    pub(super) demo: Demo,
    pub(super) home: Home,
}

pub(super) struct SignIn {
    /// The problem with the last attempt.
    pub(super) trouble: fn(SignInTrouble) -> &'static str,
    pub(super) heading: Around,
    pub(super) app: &'static str,
    pub(super) this_device: Around,
    pub(super) server: &'static str,
    pub(super) server_note: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: Around,
    pub(super) leads_to: Around,
    pub(super) example: &'static str,
    pub(super) submit: &'static str,
    pub(super) cancel: &'static str,
    pub(super) choose: &'static str,
    pub(super) choose_note: &'static str,
    pub(super) other_account: &'static str,
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
    pub(super) verified_note: Around,
    pub(super) not_verified: &'static str,
    pub(super) not_verified_note: &'static str,
    pub(super) only_if_from_there: Around,
    pub(super) only_if_this_device: &'static str,
    pub(super) only_if_device: &'static str,
    pub(super) you: &'static str,
    pub(super) no_handle: &'static str,
    pub(super) on_server: Around,
    pub(super) scopes: &'static str,
    pub(super) servers: &'static str,
    pub(super) server_connected: Around,
    pub(super) server_next: Around,
    pub(super) far_reaching: &'static str,
    pub(super) more: Around,
    pub(super) exactly: &'static str,
    pub(super) remember: &'static str,
    pub(super) allow: &'static str,
    pub(super) deny: &'static str,
    pub(super) return_to: Around,
    pub(super) return_to_device: &'static str,
}

pub(super) struct Account {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) notice: fn(AccountNotice) -> &'static str,
    pub(super) nothing: &'static str,
    pub(super) nothing_of_account: &'static str,
    pub(super) device: &'static str,
    pub(super) background: &'static str,
    pub(super) needs_sign_in: &'static str,
    pub(super) here: &'static str,
    pub(super) elsewhere: &'static str,
    pub(super) since: &'static str,
    pub(super) last_used: &'static str,
    /// A day, in UTC.
    pub(super) date: fn(Timestamp) -> String,
    /// How many seconds ago.
    pub(super) ago: fn(i64) -> String,
    pub(super) scopes: &'static str,
    pub(super) end_device: Around,
    pub(super) end_background: Around,
    pub(super) end_all_here: &'static str,
    pub(super) end_all_everywhere: &'static str,
    pub(super) end_all_background: &'static str,
    pub(super) only_here: &'static str,
    pub(super) see_all: &'static str,
    /// For how many minutes all sessions are shown.
    pub(super) proven: fn(i64) -> String,
    pub(super) leave: &'static str,
    pub(super) other: &'static str,
    pub(super) other_note: &'static str,
    pub(super) other_submit: &'static str,
}

pub(super) struct Logout {
    pub(super) heading: Around,
    pub(super) what: &'static str,
    pub(super) submit: &'static str,
    pub(super) stay: &'static str,
    pub(super) done: &'static str,
    pub(super) done_of: Around,
    pub(super) others: &'static str,
    pub(super) onward_note: &'static str,
    pub(super) account: &'static str,
}

pub(super) struct Device {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: Around,
    pub(super) example: &'static str,
    pub(super) submit: &'static str,
    /// The problem with the last attempt.
    pub(super) trouble: fn(DeviceTrouble) -> &'static str,
    pub(super) heading: Around,
    pub(super) on_device: &'static str,
    pub(super) origin_unknown: &'static str,
    pub(super) shown: &'static str,
    pub(super) caution: &'static str,
    pub(super) next: &'static str,
    pub(super) proceed: &'static str,
    pub(super) deny: &'static str,
    pub(super) done: &'static str,
    pub(super) done_what: &'static str,
    pub(super) denied: &'static str,
    pub(super) denied_what: &'static str,
}

pub(super) struct Connect {
    pub(super) heading: Around,
    pub(super) verified: &'static str,
    pub(super) provider: &'static str,
    pub(super) provider_note: &'static str,
    pub(super) only_yours: Around,
    pub(super) again: &'static str,
    pub(super) background: &'static str,
    pub(super) scopes: Around,
    pub(super) proceed: Around,
    pub(super) done: &'static str,
    pub(super) done_what: Around,
    pub(super) site_note: &'static str,
    pub(super) used_once: &'static str,
    pub(super) device: &'static str,
    pub(super) sign_in: Around,
    pub(super) step: Around,
    pub(super) label_text: &'static str,
    pub(super) label_email: &'static str,
    pub(super) label_password: &'static str,
    pub(super) label_otp: &'static str,
    pub(super) refused: &'static str,
    pub(super) unavailable: &'static str,
    pub(super) unusable: &'static str,
}

pub(super) struct DataDeletion {
    pub(super) done: &'static str,
    pub(super) done_what: &'static str,
    pub(super) pending: &'static str,
    pub(super) pending_what: &'static str,
}

pub(super) struct FormPost {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) proceed: &'static str,
}

/// Words for scopes. A table by actions has the words for create (1), update (2) and delete (4) at the sum.
pub(super) struct Scopes {
    pub(super) about_you: &'static str,
    pub(super) about_records: &'static str,
    pub(super) about_files: &'static str,
    pub(super) about_services: &'static str,
    pub(super) about_account: &'static str,
    pub(super) about_sets: &'static str,
    pub(super) about_resources: &'static str,
    pub(super) about_absence: &'static str,
    pub(super) identity: &'static str,
    pub(super) email: &'static str,
    pub(super) background: &'static str,
    pub(super) generic: &'static str,
    pub(super) generic_risk: &'static str,
    pub(super) chat: &'static str,
    pub(super) chat_risk: &'static str,
    pub(super) records: [&'static str; 8],
    pub(super) records_any: [&'static str; 8],
    pub(super) records_any_risk: &'static str,
    /// Kinds of records that have a name which users know.
    pub(super) kinds: &'static [(&'static str, &'static str)],
    pub(super) calls: Around,
    pub(super) calls_any: Around,
    pub(super) calls_any_risk: &'static str,
    pub(super) calls_anywhere: &'static str,
    pub(super) images: &'static str,
    pub(super) videos: &'static str,
    pub(super) audio: &'static str,
    pub(super) files: Around,
    pub(super) files_any: &'static str,
    pub(super) email_manage: &'static str,
    pub(super) email_manage_risk: &'static str,
    pub(super) repo_read: &'static str,
    pub(super) repo_manage: &'static str,
    pub(super) repo_manage_risk: &'static str,
    pub(super) status_read: &'static str,
    pub(super) status_manage: &'static str,
    pub(super) status_manage_risk: &'static str,
    pub(super) handle: &'static str,
    pub(super) handle_risk: &'static str,
    pub(super) identity_any: &'static str,
    pub(super) identity_any_risk: &'static str,
    pub(super) set: Around,
    pub(super) set_service: Around,
    pub(super) set_known: &'static str,
    pub(super) set_unknown: &'static str,
}

pub(super) struct Error {
    /// The words for a problem.
    pub(super) problem: fn(Problem) -> ProblemWords,
    /// Introduces details that only the developers of an app understand.
    pub(super) detail: &'static str,
    pub(super) back: &'static str,
    /// Where the app wants the user to be sent.
    pub(super) onward: Around,
    pub(super) onward_note: &'static str,
    pub(super) advice: &'static str,
    pub(super) status: &'static str,
    pub(super) code: &'static str,
    pub(super) request_id: &'static str,
    pub(super) request_id_note: &'static str,
}

/// How an error page speaks of a problem.
pub(super) struct ProblemWords {
    pub(super) title: &'static str,
    pub(super) message: &'static str,
    pub(super) advice: &'static str,
}

/// Words of the demo page; those of its script are at the top of the script.
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
