//! The weight of a document with every fragment expanded where it is spread.
//!
//! Ten fragments that each spread the next one four times are 600 bytes and a million selections, and the library
//! visits each of them before it finds that they are too many. Here each fragment is weighed once.

use std::collections::HashMap;
use std::convert::Infallible;

use async_graphql::parser::types::{Directive, ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Positioned, ServerError, Value};

/// The maximum weight of all operations and fragments of a document. Each selection, variable, directive and value in
/// an argument counts 1, and the contents of a fragment count at each spread. The selections that fragments bring
/// together in one set count once more, since the library compares them with each other. Tools' introspection queries
/// weigh some 300.
const MAX_WEIGHT: usize = 4000;
/// The maximum depth of nested selections and spreads; the library allows half of it.
const MAX_DEPTH: usize = 64;

/// Refuses a document that is too heavy, or whose fragments spread each other in a circle.
///
/// # Errors
/// When the document is too complex.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut scale = Scale { document, fragments: HashMap::new() };
    let mut total = 0_usize;
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let variables = operation.variable_definitions.iter().map(|variable| {
            let default = variable.node.default_value.as_ref();
            let default = default.map_or(0, |default| value(&default.node));
            sum([1, default, directives(&variable.node.directives)])
        });
        total = sum([total, sum(variables), directives(&operation.directives)]);
        total = sum([total, scale.set(&operation.selection_set, 0).all]);
    }
    // Unused fragments count, too: the library validates them all the same.
    for name in document.fragments.keys() {
        total = sum([total, scale.fragment(name.as_str(), 0).all]);
    }
    if total <= MAX_WEIGHT {
        return Ok(());
    }
    let text = "Query is too complex: with its fragments in place it asks for too much at once. Ask in several requests, \
                and send values as variables.";
    Err(ServerError::new(text, None))
}

/// The weight of the arguments of a field or directive. (The library does not export the type of their values.)
macro_rules! arguments {
    ($arguments:expr) => {
        sum($arguments.iter().map(|(_, argument)| {
            let constant = argument.node.clone().into_const_with(|_| Ok::<_, Infallible>(Value::Null));
            constant.map_or(0, |constant| value(&constant))
        }))
    };
}

/// The weight of a set of selections.
#[derive(Clone, Copy, Default)]
struct Weight {
    all: usize,
    /// The selections of this set, those in its fragments among them.
    together: usize,
}

/// A weight above every limit.
const ENDLESS: Weight = Weight { all: usize::MAX, together: usize::MAX };

struct Scale<'a> {
    document: &'a ExecutableDocument,
    /// The weight of each fragment. It is infinite while the fragment is being weighed, in case it spreads itself.
    fragments: HashMap<&'a str, Weight>,
}

impl<'a> Scale<'a> {
    fn set(&mut self, set: &'a Positioned<SelectionSet>, depth: usize) -> Weight {
        if depth > MAX_DEPTH {
            return ENDLESS;
        }
        let (mut all, mut together) = (0, 0);
        for selection in &set.node.items {
            let (inside, brought) = match &selection.node {
                Selection::Field(field) => {
                    let within = self.set(&field.node.selection_set, depth + 1).all;
                    (sum([within, arguments!(field.node.arguments)]), 0)
                }
                Selection::InlineFragment(inline) => {
                    let weight = self.set(&inline.node.selection_set, depth + 1);
                    (weight.all, weight.together)
                }
                Selection::FragmentSpread(spread) => {
                    let weight = self.fragment(spread.node.fragment_name.node.as_str(), depth + 1);
                    (weight.all, weight.together)
                }
            };
            all = sum([all, 1, directives(selection.node.directives()), inside, brought]);
            together = sum([together, 1, brought]);
        }
        Weight { all, together }
    }

    fn fragment(&mut self, name: &str, depth: usize) -> Weight {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            return Weight::default();
        };
        if let Some(known) = self.fragments.get(name.as_str()) {
            return *known;
        }
        self.fragments.insert(name.as_str(), ENDLESS);
        let Weight { all, together } = self.set(&fragment.node.selection_set, depth);
        let weight = Weight { all: sum([all, 1, directives(&fragment.node.directives)]), together };
        self.fragments.insert(name.as_str(), weight);
        weight
    }
}

fn directives(directives: &[Positioned<Directive>]) -> usize {
    sum(directives.iter().map(|directive| sum([1, arguments!(directive.node.arguments)])))
}

/// The nesting was limited before the document was parsed, which bounds this recursion.
fn value(of: &Value) -> usize {
    let inside = match of {
        Value::List(items) => sum(items.iter().map(value)),
        Value::Object(members) => sum(members.values().map(value)),
        _ => 0,
    };
    sum([1, inside])
}

fn sum(parts: impl IntoIterator<Item = usize>) -> usize {
    parts.into_iter().fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn weighs(document: &str) -> Result<(), ServerError> {
        check(&parse_query(document).unwrap())
    }

    /// Fragments that each spread the next one so often.
    fn tower(depth: usize, times: usize) -> String {
        let floor =
            |n: usize| format!("fragment f{n} on Query {{ {} }} ", format!("...f{} ", n + 1).repeat(times));
        let floors: String = (0..depth).map(floor).collect();
        format!("{{ ...f0 }} {floors} fragment f{depth} on Query {{ viewer {{ did }} }}")
    }

    #[test]
    fn fragments_count_at_each_place_and_are_weighed_once() {
        assert_eq!(weighs(&tower(3, 4)), Ok(()));
        // Expanding these would never end.
        for (depth, times) in [(10, 4), (40, 10), (26, 2), (1000, 100)] {
            let refused = weighs(&tower(depth, times)).unwrap_err();
            assert!(refused.message.contains("too complex"), "{depth} {times}: {refused}");
        }
        assert!(weighs("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }").is_err());
        assert!(weighs("{ viewer { did } } fragment a on Query { ...a }").is_err());
        assert_eq!(weighs("{ ...nothing }"), Ok(()), "the library says what is wrong");
    }

    #[test]
    fn each_part_counts() {
        let many = |text: &str| text.repeat(MAX_WEIGHT + 1);
        for document in [
            format!("{{ {} }}", many("a ")),
            format!("{{ {} }}", many("... { a } ")),
            format!("{{ a {} }}", many("@skip(if: true) ")),
            format!("query {} {{ a }}", many("@b ")),
            format!("query ({}) {{ a }}", many("$a: Int ")),
            format!("query ($a: Int = [{}]) {{ a }}", many("1 ")),
            format!("{{ a(b: {{c: [{}]}}) }}", many("$d ")),
            format!("{{ a({}) }}", many("b: 1 ")),
            format!("{{ a }} fragment f on Query {{ {} }}", many("a ")),
            format!("{{ {} {} }}", "... { ".repeat(30) + &"a ".repeat(MAX_WEIGHT / 20), "} ".repeat(30)),
            (0..=MAX_WEIGHT).map(|n| format!("query q{n} {{ a }} ")).collect(),
        ] {
            assert!(weighs(&document).is_err(), "{}", &document[..40]);
        }
        assert_eq!(weighs(&format!("{{ {} }}", "a ".repeat(MAX_WEIGHT))), Ok(()));
    }
}
