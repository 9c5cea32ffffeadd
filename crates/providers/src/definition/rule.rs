//! Rules about the meaning of an answer.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::Check;
use crate::values::http::Status;
use crate::values::pointer::JsonPointer;
use crate::values::scalar::Scalar;

/// A description of answers. An answer matches if its status and all tests do.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The statuses; empty: any.
    pub status: Vec<Status>,
    /// Conditions on the JSON of the answer.
    pub tests: Vec<Test>,
    /// The credential with which the call was made; `None`: either.
    pub credential: Option<CredentialKind>,
}

/// A test of one place in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The place.
    pub json: JsonPointer,
    /// Its expected content.
    pub expected: Expectation,
}

/// Expected content of a place in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// One of these values.
    Equals(Vec<Scalar>),
    /// A text that contains one of these, such as a code inside a description.
    Contains(Vec<String>),
    /// There, and not null; or not.
    Present(bool),
}

/// A rule for answers that ask to wait.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitRule {
    /// The answers.
    pub rule: Rule,
    /// Calls that have to wait.
    pub scope: WaitScope,
}

/// Calls that have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum WaitScope {
    /// Those of the whole registration.
    App,
    /// Those of the user.
    User,
    /// Those of one managed account.
    Account,
}

/// Owners of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum CredentialKind {
    /// The user.
    User,
    /// A managed account, such as a page or a bot.
    Page,
}

/// A description of answers: an answer matches if its status and all tests do.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub(crate) struct RawRule {
    /// The statuses of the answer; left out: any
    #[serde(default)]
    status: Vec<Status>,
    /// A place in the JSON of the answer
    json: Option<JsonPointer>,
    /// The values of which the place has one
    #[serde(default)]
    equals: Vec<Scalar>,
    /// Texts of which the place contains one
    #[serde(default)]
    contains: Vec<String>,
    /// Whether the place is there
    present: Option<bool>,
    /// Further tests
    #[serde(default)]
    and: Vec<RawTest>,
    /// Only answers to calls with this kind of credential
    credential: Option<CredentialKind>,
    /// Calls that have to wait: only in rules of `wait`, which need it
    scope: Option<WaitScope>,
}

/// A further test of an answer.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Test")]
pub(crate) struct RawTest {
    /// A place in the JSON of the answer
    #[schemars(required)]
    json: Option<JsonPointer>,
    /// The values of which the place has one
    #[serde(default)]
    equals: Vec<Scalar>,
    /// Texts of which the place contains one
    #[serde(default)]
    contains: Vec<String>,
    /// Whether the place is there
    present: Option<bool>,
}

/// Checks the rules of a key.
pub(crate) fn rules(key: &str, raw: Vec<RawRule>, check: &mut Check<'_, '_>) -> Option<Vec<Rule>> {
    let checked: Vec<_> = raw
        .into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let key = format!("{key}[{index}]");
            check.only_with(&format!("{key}.scope"), raw.scope.as_ref(), false, "in rules of wait");
            raw.check(&key, check)
        })
        .collect();
    checked.into_iter().collect()
}

/// Checks the rules of a key `wait`.
pub(crate) fn wait_rules(key: &str, raw: Vec<RawRule>, check: &mut Check<'_, '_>) -> Option<Vec<WaitRule>> {
    let checked: Vec<_> = raw
        .into_iter()
        .enumerate()
        .map(|(index, raw)| {
            let key = format!("{key}[{index}]");
            let fix = "say whose calls have to wait: scope = \"app\", \"user\" or \"account\"";
            let scope = check.required(&format!("{key}.scope"), raw.scope, fix);
            let rule = raw.check(&key, check);
            Some(WaitRule { rule: rule?, scope: scope? })
        })
        .collect();
    checked.into_iter().collect()
}

impl RawRule {
    /// Checks a rule without a scope.
    pub(crate) fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<Rule> {
        let first =
            RawTest { json: self.json, equals: self.equals, contains: self.contains, present: self.present };
        if self.status.is_empty() && first.is_empty() && self.and.is_empty() {
            check.report(key, "matches every answer", "add status, or json with equals, contains or present");
            return None;
        }
        let mut tests = Vec::new();
        if !first.is_empty() {
            tests.push(first.check(key, check));
        }
        for (index, test) in self.and.into_iter().enumerate() {
            tests.push(test.check(&format!("{key}.and[{index}]"), check));
        }
        let tests: Option<Vec<_>> = tests.into_iter().collect();
        Some(Rule { status: self.status, tests: tests?, credential: self.credential })
    }
}

impl RawTest {
    fn is_empty(&self) -> bool {
        self.json.is_none() && self.equals.is_empty() && self.contains.is_empty() && self.present.is_none()
    }

    fn check(self, key: &str, check: &mut Check<'_, '_>) -> Option<Test> {
        let expected = match (self.equals, self.contains, self.present) {
            (equals, contains, None) if !equals.is_empty() && contains.is_empty() => {
                Some(Expectation::Equals(equals))
            }
            (equals, contains, None) if equals.is_empty() && !contains.is_empty() => {
                Some(Expectation::Contains(contains))
            }
            (equals, contains, Some(present)) if equals.is_empty() && contains.is_empty() => {
                Some(Expectation::Present(present))
            }
            _ => {
                let fix = "write exactly one of equals, contains and present";
                check.report(key, "does not say what the place has to be", fix);
                None
            }
        };
        let json = check.required(
            &format!("{key}.json"),
            self.json,
            "name the place, such as json = \"/error/code\"",
        );
        Some(Test { json: json?, expected: expected? })
    }
}
