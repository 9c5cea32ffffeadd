//! Every error as it goes over the wire: the snapshot `wire.snap` beside this file. A variant that is not listed
//! here does not compile, and one that says something else than the snapshot fails.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test -p causeway-api every_error`, and read the diff.

use actix_web::ResponseError;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use causeway_atproto::ResolveError;
use causeway_domain::TooMany;
use causeway_domain::client::{ClientDocumentError, ClientMetadataError};
use causeway_domain::resource::xrpc::{NeedError, WritesError};
use causeway_flow::authorization::consent::ConsentError;
use causeway_flow::authorization::device::DeviceError;
use causeway_flow::authorization::par::ParError;
use causeway_flow::authorization::request::{Refusal, UnsafeRequest};
use causeway_flow::client::assertion::AssertionError;
use causeway_flow::client::authenticated::{OwnAuthError, Replayed, RequestAuthError};
use causeway_flow::client::authentication::ClientAuthError;
use causeway_flow::client::document_fetch::DocumentTrouble;
use causeway_flow::client::registration::RegistrationError;
use causeway_flow::client::registration::create::RegisterError;
use causeway_flow::connection::begin::BeginError;
use causeway_flow::connection::complete::CompleteError;
use causeway_flow::connection::confirm::ConfirmError;
use causeway_flow::connection::connect_session::ConnectSessionError;
use causeway_flow::connection::deauthorize::{DeauthorizeError, SignedRequestError};
use causeway_flow::connection::error::UseError;
use causeway_flow::connection::find::FindError;
use causeway_flow::connection::form::SubmitError;
use causeway_flow::connection::list::ListError;
use causeway_flow::connection::show::ConnectionError;
use causeway_flow::connection::tenant_client::{InvalidUserId, TenantError};
use causeway_flow::connection::tenants::ManageError;
use causeway_flow::connection::users::UserError;
use causeway_flow::logout::rp_initiated::LogoutError;
use causeway_flow::mcp::call::McpError;
use causeway_flow::operations::events::ListenError;
use causeway_flow::operations::operator::NewTenantError;
use causeway_flow::resource::access::AccessError;
use causeway_flow::resource::dpop::ProofError;
use causeway_flow::token::introspect::IntrospectError;
use causeway_flow::token::revoke::RevokeError;
use causeway_flow::upstream::connect::callback::CallbackError;
use causeway_flow::upstream::connect::{AskAgain, ConnectFailure, Required, SignInError};
use causeway_flow::upstream::export::ExportError;
use causeway_flow::upstream::relay::{RelayError, Resend, TargetError, UploadError};
use causeway_flow::upstream::session::SessionError;
use causeway_flow::upstream::traits::OfferError;
use causeway_flow::{
    ClientCredentialsRefusal, CodeRefusal, DeviceRefusal, ExchangeRefusal, Internal, RefreshRefusal,
    TokenError, TokenRefusal,
};
use causeway_jose::{ClaimError, DpopError, JwkError, VerifyError};
use causeway_types::authorization::PromptError;
use causeway_types::identity::IdentityError;
use causeway_types::{ClientId, TokenType, WireText};

use super::{ApiError, PageError, sign_in_status};
use crate::http::credentials::CredentialsError;
use crate::http::form::InputError;

/// An internal detail that must never reach a client.
const DETAIL: &str = "a detail of the inside";

const fn inside() -> Internal {
    Internal::Inconsistent(DETAIL)
}

const TOO_MANY: TooMany = TooMany { retry_after: 20 };

/// Adds each variant of an enum to the book, with one example of what it holds.
macro_rules! every {
    ($book:ident, $wire:expr, $enum:ident {
        $($variant:ident $(($($item:expr),*))? $({$($field:ident: $value:expr),*})?),* $(,)?
    }) => {{
        const fn name_of(error: &$enum) -> &'static str {
            match error {
                $($enum::$variant { .. } => concat!(stringify!($enum), "::", stringify!($variant))),*
            }
        }
        $(
            let error = $enum::$variant $(($($item),*))? $({$($field: $value),*})?;
            let (name, said) = (name_of(&error), error.to_string());
            $book.add(name, &said, &$wire(error));
        )*
    }};
}

/// The lines so far.
#[derive(Default)]
struct Book(String);

impl Book {
    fn add(&mut self, name: &str, said: &str, wire: &[String]) {
        assert!(
            said.contains(DETAIL) || said.contains('"') || WireText::unchanged(said).is_some(),
            "{name}: {said}"
        );
        self.0.extend([name, "\n"]);
        for line in wire {
            self.0.extend(["  ", line, "\n"]);
        }
    }

    fn section(&mut self, title: &str) {
        self.0.extend(["\n# ", title, "\n"]);
    }
}

/// The answer of an API endpoint: status, code and text, and the headers that say more.
fn json(error: impl Into<ApiError>) -> Vec<String> {
    let error = error.into();
    let mut lines = vec![format!("{} {}: {}", error.status.as_u16(), error.code, error.description)];
    lines.extend(headers(&error, &[WWW_AUTHENTICATE, RETRY_AFTER, HeaderName::from_static("dpop-nonce")]));
    lines
}

/// The page that a user sees.
fn page(error: impl Into<PageError>) -> Vec<String> {
    let error = error.into();
    let mut lines = vec![format!("page {} {}: {:?}", error.status.as_u16(), error.code, error.problem)];
    lines.extend(error.detail.iter().cloned());
    lines.extend(headers(&error, &[RETRY_AFTER]));
    let response = error.error_response();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    assert!(kind.is_some_and(|kind| kind.starts_with("text/html")), "{error}");
    lines
}

fn headers(error: &dyn ResponseError, names: &[HeaderName]) -> Vec<String> {
    let response = error.error_response();
    let all = names.iter().flat_map(|name| response.headers().get_all(name).map(move |value| (name, value)));
    all.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

/// The error that the redirect URI receives.
fn redirect(refusal: &Refusal) -> Vec<String> {
    vec![format!("redirect {}: {}", refusal.code(), WireText::new(&refusal.to_string()))]
}

fn client(error: ClientAuthError) -> Vec<String> {
    json(ApiError::request_auth(error.into()))
}

fn text() -> String {
    "what is wrong with it".to_owned()
}

fn requests(book: &mut Book) {
    book.section("Reading a request");
    every!(book, json, InputError {
        Duplicate("x\"é".to_owned()), Unknown("x\"é".to_owned()), TooMany, Encoding, ContentType("application/json"), TooLarge(65_536), Dense, NoRoom, Incomplete,
        Slow, Json(text()), NotStrings,
    });
    book.section("Client authentication");
    every!(book, json, CredentialsError { Missing, Basic, Several, Differ, AssertionType, NoAssertion });
    every!(book, client, ClientAuthError {
        UnknownClient, WrongMethod { registered: "none", used: "client_secret_basic" }, WrongSecret,
        Document(DocumentTrouble::Unreachable), Assertion(AssertionError::Typ), TooMany(TOO_MANY), Internal(inside()),
    });
    every!(book, |trouble: DocumentTrouble| client(trouble.into()), DocumentTrouble {
        Invalid(ClientDocumentError::Form), Answer("answered 404".to_owned()), Unreachable, Busy,
    });
    let assertion = |error: AssertionError| client(error.into());
    every!(book, assertion, AssertionError {
        Jws(VerifyError::Signature), Typ, RegisteredAlg, NoSubject, OtherClient,
        Audience("https://as.example".to_owned()), Claim(ClaimError::Expired), Keys(JwkError::Private), Unreachable,
    });
    every!(book, |error: VerifyError| assertion(error.into()), VerifyError {
        TooLong(16_384), Malformed, Algorithm, Critical, Jwk(JwkError::Symmetric), UnknownKey, Signature, Claims,
    });
    every!(book, |error: ClaimError| assertion(error.into()), ClaimError {
        Issuer, Subject, Audience, NoExpiry, Expired, TooLong(3600), Future, Jti,
    });
    every!(book, |error: JwkError| assertion(error.into()), JwkError {
        Private, Symmetric, Unsupported("the curve P-192"), Malformed("x"),
    });
    every!(book, |error: RequestAuthError| json(ApiError::request_auth(error)), RequestAuthError {
        Client(ClientAuthError::UnknownClient), Proof(ProofError::Several),
    });
    every!(book, json, Replayed { Assertion, Proof });
    every!(book, json, ProofError {
        Missing, MissingAtResource, Several, Invalid(DpopError::Typ), Replayed, Nonce { fresh: "NONCE".to_owned() },
        Internal(inside()),
    });
    every!(book, |error: DpopError| json(ProofError::from(error)), DpopError {
        Jws(VerifyError::Signature), Typ, Jti, Htm, Htu, Old, Future, Ath,
    });
}

fn authorization(book: &mut Book) {
    let refusals = |book: &mut Book, wire: &dyn Fn(Refusal) -> Vec<String>| {
        every!(book, wire, Refusal {
            NoResponseType, ResponseType, ResponseMode, Prompt(PromptError), IdTokenHint, Claims(text()), Acr, MaxAge, Grant,
            NoCodeChallenge, NoNonce, CodeChallengeMethod, CodeChallenge, DpopJkt, Scope(text()), Target(text()),
            Unprotected("pushed: send request_uri"), InvalidRequestObject(text()), RequestUriNotSupported,
            TooLong("state", 8192),
        });
    };
    book.section("Authorization requests: errors sent to the client");
    refusals(book, &|refusal| redirect(&refusal));
    book.section("Authorization requests: errors shown to the user");
    every!(book, page, UnsafeRequest {
        NoClientId, UnknownClient("nobody".to_owned()), Document(DocumentTrouble::Busy), NoRedirectUri,
        RedirectUri("https://x.example".to_owned()), RequestUri, Refused(Refusal::RequestUriNotSupported),
    });
    book.section("Pushed requests");
    every!(book, json, ParError {
        RequestUri, DpopJkt, Replayed(Replayed::Proof), Client, Unsafe(UnsafeRequest::NoRedirectUri),
        Refused(Refusal::NoResponseType), TooMany(TOO_MANY), Internal(inside()),
    });
    refusals(book, &|refusal| json(ParError::Refused(refusal)));
    every!(book, |error: UnsafeRequest| json(ParError::Unsafe(error)), UnsafeRequest {
        NoClientId, UnknownClient("nobody".to_owned()), Document(DocumentTrouble::Busy), NoRedirectUri,
        RedirectUri("https://x.example".to_owned()), RequestUri,
        Refused(Refusal::InvalidRequestObject(text())),
    });
    book.section("Devices");
    every!(book, json, DeviceError {
        Grant, Scope(text()), Target(text()), DpopJkt, Replayed(Replayed::Assertion), Client, Internal(inside()),
    });
    book.section("The user's pages");
    let sign_in = |error: SignInError| {
        let status = sign_in_status(&error).as_u16();
        match error.trouble() {
            Some(trouble) => vec![format!("sign-in page {status} {}: {trouble:?}", error.code())],
            None => page(error),
        }
    };
    every!(book, sign_in, SignInError {
        Input(IdentityError::Empty), Resolve(ResolveError::HandleNotFound),
        Upstream(causeway_atproto::UpstreamTokenError::Malformed("x")), Provider(ConnectFailure::Unavailable), Gone,
        Internal(inside()),
    });
    every!(book, |error: ResolveError| sign_in(SignInError::Resolve(error)), ResolveError {
        HandleNotFound, HandleAmbiguous, HandleMismatch, DidNotFound, DidDeactivated, DidTooLong, DidDocument("x"), NoPds,
        ServerMetadata("x"), HandleUnanswered(causeway_outbound::HttpError::Timeout), Dns, Http(causeway_outbound::HttpError::Timeout),
    });
    every!(book, page, CallbackError { State, Internal(inside()) });
    every!(book, page, ConsentError { Gone, NotSignedIn, Internal(inside()) });
    every!(book, page, LogoutError { OtherClient, UnknownClient, NoClient, RedirectUri, State, Internal(inside()) });
}

fn tokens(book: &mut Book) {
    book.section("Token requests");
    every!(book, json, TokenError {
        Refused(TokenRefusal::Code(CodeRefusal::Unknown)),
        Target("resource is not known for this client: urn:a:b (available: https://as.example and URIs below it)".to_owned()), Proof(ProofError::Missing), Replayed(Replayed::Assertion), Internal(inside()),
    });
    every!(book, |refusal: TokenRefusal| json(TokenError::from(refusal)), TokenRefusal {
        Grant, Scope, Target, SessionEnded, Code(CodeRefusal::Unknown), Refresh(RefreshRefusal::Unknown),
        Device(DeviceRefusal::Unknown), Exchange(ExchangeRefusal::SubjectToken),
        ClientCredentials(ClientCredentialsRefusal::Scope),
    });
    every!(
        book,
        |refusal: CodeRefusal| json(TokenError::from(refusal)),
        CodeRefusal { Missing, NoVerifier, Unknown, Expired, Verifier, RedirectUri, Key }
    );
    every!(
        book,
        |refusal: RefreshRefusal| json(TokenError::from(refusal)),
        RefreshRefusal { Missing, Unknown, Expired, Key }
    );
    every!(
        book,
        |refusal: DeviceRefusal| json(TokenError::from(refusal)),
        DeviceRefusal { Missing, Pending, SlowDown, Denied, Expired, Unknown, Key }
    );
    every!(
        book,
        |refusal: ExchangeRefusal| json(TokenError::from(refusal)),
        ExchangeRefusal {
            PublicClient,
            NoBackground,
            Missing,
            SubjectTokenType,
            RequestedTokenType,
            ActorToken,
            SubjectToken,
            Audience,
        }
    );
    every!(
        book,
        |refusal: ClientCredentialsRefusal| json(TokenError::from(refusal)),
        ClientCredentialsRefusal { Scope }
    );
    book.section("Revocation, introspection, registration");
    every!(book, json, RevokeError { Replayed(Replayed::Assertion), Internal(inside()) });
    every!(book, json, IntrospectError { PublicClient, Replayed(Replayed::Assertion), Internal(inside()) });
    every!(book, json, RegisterError { Metadata(ClientMetadataError::NoRedirectUri), Internal(inside()) });
    every!(book, json, RegistrationError {
        Off, InitialToken, Token, Differs, Document, TooMany(TOO_MANY),
        Register(RegisterError::Metadata(ClientMetadataError::NoRedirectUri)), Internal(inside()),
    });
}

fn resources(book: &mut Book) {
    book.section("Access tokens at resources");
    book.add("no access token", "", &json(ApiError::no_token()));
    book.add("an unreadable one", "", &json(ApiError::malformed_token("more than one Authorization header")));
    every!(book, |error: AccessError| json(ApiError::access(&error, TokenType::Dpop)), AccessError {
        Invalid, OtherResource("https://x.example".to_owned()), NoUser, NoClient, Bound, Unbound, OtherKey,
        Proof(ProofError::Nonce { fresh: "NONCE".to_owned() }), Internal(inside()),
    });
    every!(book, json, SessionError {
        ReauthRequired { sign_in_url: None }, Unavailable { retry_after: 7 }, Busy { retry_after: 1 }, Ended,
        NotConfigured(causeway_flow::upstream::session::NotConfigured("elsewhere".to_owned())), RefreshRejected, Internal(inside()),
    });
    book.section("Clients in tenants");
    book.add("no credentials", "", &json(ApiError::no_client()));
    every!(book, json, OwnAuthError {
        Request(RequestAuthError::Client(ClientAuthError::WrongSecret)), PublicClient, Replayed(Replayed::Proof), Internal(inside()),
    });
    every!(book, json, TenantError { Unnamed, NotFound, Internal(inside()) });
    every!(book, json, ManageError { NotEntitled, Name, Namespace, NotFound, NotMaker, Internal(inside()) });
    every!(book, json, NewTenantError { UnknownClient(ClientId::new("x")), Taken, Internal(inside()) });
    every!(book, json, UserError { Name(InvalidUserId), NotFound, OfOthers, Internal(inside()) });
    every!(book, json, ListError { User(InvalidUserId), State, Internal(inside()) });
    every!(book, json, FindError { User(InvalidUserId), Parameter("provider is missing"), NotFound, Internal(inside()) });
    every!(book, json, ConnectionError { NotFound, Internal(inside()) });
    book.section("Calls to the provider");
    every!(book, |error: RelayError| json(ApiError::relay(error, TokenType::Bearer)), RelayError {
        TokenScope { scope: "repo:app.bsky.feed.post?action=create".to_owned() },
        SessionScope { scope: "rpc:\"é".to_owned() }, Never, Query(NeedError::ServiceAuth), Writes(WritesError::Json),
        NotPlain, TooLong, Proxy, Session(SessionError::Ended), Timeout, Unreachable { retry_after: 7 }, Interrupted,
        Invalid("500".to_owned()), Refused("401".to_owned()), Busy, Resend(Resend::Nonce), Upload(UploadError::Broken),
        Target(TargetError::NotAllowed), BodyTooLong, NoAccount, AccountReauth, ActionRequired, Wait { whole_app: true, retry_after: 7 },
        AnswerTooLarge, Internal(inside()),
    });
    let wait = RelayError::Wait { whole_app: false, retry_after: 7 };
    book.add("the same for one user", "", &json(ApiError::relay(wait, TokenType::Bearer)));
    every!(book, json, UseError {
        NotFound, NotEntitled { provider: "elsewhere".to_owned() }, ExportNotAllowed, NoSuchAccount, NotRelayed,
        Relay(RelayError::NoAccount), Internal(inside()),
    });
    every!(book, json, McpError {
        Unknown, Unreadable, Call(UseError::NotFound), Internal(Internal::Inconsistent(DETAIL)),
    });
    every!(book, json, DeauthorizeError {
        NotFound, Signed(SignedRequestError::Signature), Code, Internal(inside()),
    });
    every!(book, json, UploadError { Broken, Stalled, NoRoom });
    book.section("Sessions and events of a client");
    every!(book, json, ExportError {
        PublicClient, NotAllowed, NotFound, Question("sub is missing"), Htm, Htu { pds: "https://pds.example".to_owned() },
        Nonce, Session(SessionError::Ended), Replayed(Replayed::Assertion), Internal(inside()),
    });
    every!(book, json, ListenError {
        PublicClient, NotSubscribed, Crowded, Replayed(Replayed::Assertion), Internal(inside()),
    });
    book.section("Connect sessions");
    every!(book, json, ConnectSessionError {
        UserId, Providers, NotEntitled("elsewhere".to_owned()), NoBackground,
        Offer { provider: "elsewhere".to_owned(), error: OfferError::NotOffered }, ReturnUri, NoReturnUri,
        Value("state must have 2048 bytes at most, and no control characters"), NoConnection, NoTenant, NotFound, Internal(inside()),
    });
    let offer =
        |error: OfferError| json(ConnectSessionError::Offer { provider: "elsewhere".to_owned(), error });
    every!(book, offer, OfferError {
        NotOffered, Unknown("x\"é".to_owned()), Missing("host".to_owned()),
        Value { name: "host".to_owned(), expected: "a host, such as example.com".to_owned() },
    });
    every!(book, json, ConfirmError {
        UserId, Code, NotEntitled, NoRefreshToken { given_back: causeway_types::UpstreamSessionId::new("us_1") }, Internal(inside()),
    });
    every!(book, page, BeginError {
        Gone, NotSignedIn(causeway_types::Did::parse("did:web:a.example").unwrap()), NotChosen, Provider(ConnectFailure::Unavailable), Internal(inside()) });
    every!(book, page, SubmitError {
        Gone, NotChosen, Spent, TooMany(TOO_MANY), Site(ConnectFailure::Refused), Internal(inside()),
    });
    every!(book, page, CompleteError { State, Internal(inside()) });
    let failure = |failure: ConnectFailure| page(PageError::not_connected(&failure));
    every!(book, failure, ConnectFailure {
        Issuer, Declined, Refused, OtherAccount, ForeignAccount, LongDid, Malformed, Unavailable, Overtaken,
        Required(Required::Login), ScopeMissing, AccountMismatch, NoRefreshToken, Misconfigured, Discovery, Registration,
        ClientIdRequired,
        AskAgain(AskAgain::ForceReauth),
    });
    book.section("Anywhere");
    book.add("a limit", "", &[json(TOO_MANY), page(TOO_MANY)].concat());
    book.add("ours", "", &[json(inside()), page(inside())].concat());
    book.add("ours, for a moment", "", &[json(Internal::Slow), page(Internal::Slow)].concat());
    book.add("nothing there", "", &[json(ApiError::not_found()), page(PageError::not_found())].concat());
    book.add("not the operator", "", &json(ApiError::no_operator()));
}

#[test]
fn every_error() {
    let mut book = Book("Every error as it goes over the wire.\n".to_owned());
    requests(&mut book);
    authorization(&mut book);
    tokens(&mut book);
    resources(&mut book);
    let Book(said) = book;
    assert!(!said.contains(DETAIL), "internal details are not sent");
    insta::with_settings!({
        snapshot_path => ".",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("wire", said);
    });
}
