//! Reseals, under the first key of the ring, the values that its older keys have sealed; in small steps,
//! while servers run. Values under the first key are skipped, so it may be interrupted and run again at any
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use causeway_domain::Clock;
use causeway_store::encryption::reseal::{self, Page, Place, Swap};
use causeway_store::encryption::seal::{SealError, SealingKeyRing};
use causeway_store::encryption::sealed::{SEALED_COLUMNS, SealedColumn};
use causeway_store::operations::audit::{AuditEvent, insert_audit_event};
use causeway_store::{Store, StoreError};
use tokio::time::sleep;

use super::{BATCH, Operator};

/// Rows that one query reads.
const PAGE: i64 = 500;
/// Maximum passes over the database, while some server still seals with an older key.
const LOOKS: u32 = 3;
/// Maximum unreadable values that are listed one by one.
const NAMED: usize = 20;
/// Maximum pause after a batch.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of the pass, from 1; later ones check for values sealed meanwhile.
    pub look: u32,
    /// The current column: `table.column`.
    pub column: &'static str,
    /// Rows that this pass has processed.
    pub rows: u64,
    /// Rows that there were when the pass began.
    pub all: u64,
    /// Values that were resealed so far, in all passes.
    pub resealed: u64,
}

/// A value that no key of the ring opens; it was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// `table.column`.
    pub column: &'static str,
    /// The primary key of its row.
    pub row: String,
    /// Why it does not open.
    pub error: SealError,
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// How many values of each column were resealed, or would be.
    pub columns: Vec<(&'static str, u64)>,
    /// How many values no key of the ring opens.
    pub unreadable: u64,
    /// The first of them.
    pub examples: Vec<Unreadable>,
    /// How many values each key seals now, as of the last pass.
    pub by_key: BTreeMap<String, u64>,
    /// The older keys under which values were written during the run: some server still seals with them.
    pub in_use: BTreeSet<String>,
    /// The older keys of the ring that nothing in the database needs any more.
    pub unneeded: Vec<String>,
}

impl Resealed {
    /// How many values were resealed, or would be.
    pub fn total(&self) -> u64 {
        self.columns.iter().map(|(_, count)| count).sum()
    }
}

/// The findings of one pass.
#[derive(Default)]
struct Look {
    unreadable: u64,
    examples: Vec<Unreadable>,
    by_key: BTreeMap<String, u64>,
    /// The older keys of values that open and that this pass reseals.
    older: BTreeSet<String>,
}

impl Operator<'_> {
    /// Reseals what older keys of the ring have sealed. `tell` is called with the progress.
    ///
    /// # Errors
    /// When the database does not answer: values resealed by then stay so.
    pub async fn reseal(
        &self,
        ring: &SealingKeyRing,
        clock: &dyn Clock,
        tell: impl FnMut(Progress),
    ) -> Result<Resealed, StoreError> {
        let act = |outcome: &str| {
            let act = AuditEvent { outcome: outcome.to_owned(), ..self.act("secrets_resealed") };
            act.with("kid", ring.active_kid())
        };
        let mut run = Run::new(self.store, ring, tell);
        run.begins = Some(act("begun"));
        let mut look = run.look(1).await?;
        for again in 2..=LOOKS {
            if look.older.is_empty() {
                break;
            }
            look = run.look(again).await?;
        }
        let (begun, in_use) = (run.begins.is_none(), look.older.clone());
        let done = Resealed { in_use, ..run.outcome(look) };
        if begun || done.unreadable > 0 {
            let clean = done.unreadable == 0 && done.in_use.is_empty();
            let act = act(if clean { "ok" } else { "incomplete" });
            let act = act.with("values", done.total()).with("unreadable", done.unreadable);
            let act = AuditEvent { at: clock.now(), ..act };
            self.store.write::<_, StoreError, _>(move |c| insert_audit_event(c, &act)).await?;
        }
        Ok(done)
    }

    /// Previews [`Self::reseal`] without changing anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn preview_reseal(
        &self,
        ring: &SealingKeyRing,
        tell: impl FnMut(Progress),
    ) -> Result<Resealed, StoreError> {
        let mut run = Run { dry: true, ..Run::new(self.store, ring, tell) };
        let look = run.look(1).await?;
        Ok(run.outcome(look))
    }
}

/// A run of one or more passes.
struct Run<'a, F> {
    store: &'a Store,
    ring: &'a SealingKeyRing,
    tell: F,
    /// Whether to write nothing.
    dry: bool,
    /// The audit event to insert with the first change.
    begins: Option<AuditEvent>,
    resealed: BTreeMap<&'static str, u64>,
}

impl<'a, F: FnMut(Progress)> Run<'a, F> {
    fn new(store: &'a Store, ring: &'a SealingKeyRing, tell: F) -> Self {
        Self { store, ring, tell, dry: false, begins: None, resealed: BTreeMap::new() }
    }

    async fn look(&mut self, look: u32) -> Result<Look, StoreError> {
        let count = |c: &mut _| {
            let counts: Result<Vec<_>, _> =
                SEALED_COLUMNS.iter().map(|column| reseal::count_rows(c, *column)).collect();
            Ok::<_, StoreError>(counts?.iter().sum::<i64>())
        };
        let all = u64::try_from(self.store.read(count).await?).unwrap_or_default();
        let (mut found, mut rows) = (Look::default(), 0);
        for column in SEALED_COLUMNS.iter().copied() {
            let mut after = Some(Place::default());
            while let Some(place) = after {
                let page = self.page(column, place).await?;
                rows += page.rows as u64;
                after = page.next.clone();
                self.take(column, page, &mut found).await?;
                let resealed = self.resealed.values().sum();
                (self.tell)(Progress { look, column: column.name(), rows, all, resealed });
            }
        }
        Ok(found)
    }

    async fn page(&self, column: SealedColumn, after: Place) -> Result<Page, StoreError> {
        let ring = self.ring.clone();
        self.store.read(move |c| reseal::list_old_values(c, &ring, column, &after, PAGE)).await
    }

    /// Sorts a page's values, and reseals those that open.
    async fn take(&mut self, column: SealedColumn, page: Page, found: &mut Look) -> Result<(), StoreError> {
        let mut count = |kid: &str, values: usize| {
            if values > 0 {
                *found.by_key.entry(kid.to_owned()).or_default() += values as u64;
            }
        };
        count(self.ring.active_kid(), page.current);
        let mut swaps = Vec::new();
        for value in page.old {
            let (kid, row) = (value.kid().to_owned(), value.row());
            match value.reseal(self.ring) {
                Ok(swap) => {
                    if self.dry {
                        count(&kid, 1);
                    }
                    swaps.push(swap);
                    found.older.insert(kid);
                }
                Err(error @ SealError::Refused) => {
                    return Err(StoreError::Seal { table: column.name(), error });
                }
                Err(error) => {
                    count(&kid, 1);
                    found.unreadable += 1;
                    if found.examples.len() < NAMED {
                        found.examples.push(Unreadable { column: column.name(), row, error });
                    }
                }
            }
        }
        let done = if self.dry { swaps.len() } else { self.swap(&swaps).await? };
        if !self.dry {
            count(self.ring.active_kid(), done);
        }
        *self.resealed.entry(column.name()).or_default() += done as u64;
        Ok(())
    }

    /// Swaps values in small batches; returns how many were swapped.
    async fn swap(&mut self, swaps: &[Swap]) -> Result<usize, StoreError> {
        let mut all = 0;
        for batch in swaps.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let (batch, begins, began) = (batch.to_vec(), self.begins.clone(), Instant::now());
            let swap = move |c: &mut _| {
                let swapped = reseal::swap_sealed(c, &batch)?;
                if let (1.., Some(act)) = (swapped, &begins) {
                    insert_audit_event(c, act)?;
                }
                Ok::<_, StoreError>(swapped)
            };
            let swapped = self.store.write(swap).await?;
            if swapped > 0 {
                self.begins = None;
            }
            all += swapped;
            // A server waits for the same lock of an embedded database: it has it half of the time.
            sleep(began.elapsed().min(LONGEST_REST)).await;
        }
        Ok(all)
    }

    fn outcome(self, look: Look) -> Resealed {
        let needed = |kid: &str| look.by_key.contains_key(kid) || look.older.contains(kid);
        let unneeded = self.ring.older_kids().filter(|kid| !needed(kid)).map(ToOwned::to_owned).collect();
        Resealed {
            columns: self.resealed.into_iter().collect(),
            unreadable: look.unreadable,
            examples: look.examples,
            by_key: look.by_key,
            in_use: BTreeSet::new(),
            unneeded,
        }
    }
}
