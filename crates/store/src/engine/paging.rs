//! Paged lists: each page begins after the last row of the previous one, wherever that row is by now.

/// The requested page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The position after which it begins, from [`Page::next`] of the page before; `None`: the first page.
    pub after: Option<String>,
    /// Rows at most.
    pub limit: i64,
}

impl PageRequest {
    /// The first page.
    pub const fn first(limit: i64) -> Self {
        Self { after: None, limit }
    }

    /// Rows to read to learn whether there are more.
    pub(crate) const fn look_ahead(&self) -> i64 {
        self.limit.saturating_add(1)
    }

    /// A position of a number and a name. A malformed one is behind every row.
    pub(crate) fn after_pair(&self) -> Option<(i64, String)> {
        let after = self.after.as_deref()?;
        let pair = after.split_once('.').and_then(|(number, name)| Some((number.parse().ok()?, name)));
        let (number, name) = pair.unwrap_or((i64::MIN, ""));
        Some((number, name.to_owned()))
    }

    /// A position of a number.
    pub(crate) fn after_number(&self) -> Option<i64> {
        self.after.as_deref().map(|after| after.parse().unwrap_or(i64::MIN))
    }

    /// Cuts off the row that was read ahead; `place` returns the position of a row.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, place: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or_default();
        let has_more = items.len() > limit;
        items.truncate(limit);
        Page { next: items.last().filter(|_| has_more).map(place), items }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// Where the next one begins; `None`: this is the last one.
    pub next: Option<String>,
}
