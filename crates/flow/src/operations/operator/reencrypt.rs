//! Reencrypts, under the first key of the ring, the values that its older keys have encrypted; in small steps,
//! while servers run. Values under the first key are skipped, so it may be interrupted and run again at any
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use causeway_domain::Clock;
use causeway_store::encryption::columns::{ENCRYPTED_COLUMNS, EncryptedColumn};
use causeway_store::encryption::keyring::{EncryptionError, EncryptionKeyRing};
use causeway_store::encryption::reencrypt::{self, Page, Place, Swap};
use causeway_store::operations::audit::{AuditEvent, insert_audit_event};
use causeway_store::{Store, StoreError};
use tokio::time::sleep;

use super::context::{BATCH, Operator};

/// Rows that one query reads.
const PAGE: i64 = 500;
/// Maximum passes over the database, while some server still encrypts with an older key.
const PASSES: u32 = 3;
/// Maximum unreadable values that are listed one by one.
const NAMED: usize = 20;
/// Maximum pause after a batch.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Number of the pass, from 1; later ones check for values encrypted meanwhile.
    pub pass: u32,
    /// The current column: `table.column`.
    pub column: &'static str,
    /// Rows that this pass has processed.
    pub rows: u64,
    /// Rows that there were when the pass began.
    pub all: u64,
    /// Values that were reencrypted so far, in all passes.
    pub reencrypted: u64,
}

/// A value that no key of the ring opens; it was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// `table.column`.
    pub column: &'static str,
    /// The primary key of its row.
    pub row: String,
    /// Why it does not open.
    pub error: EncryptionError,
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reencrypted {
    /// How many values of each column were reencrypted, or would be.
    pub columns: Vec<(&'static str, u64)>,
    /// How many values no key of the ring opens.
    pub unreadable: u64,
    /// The first of them.
    pub examples: Vec<Unreadable>,
    /// How many values each key encrypts now, as of the last pass.
    pub by_key: BTreeMap<String, u64>,
    /// The older keys under which values were written during the run: some server still encrypts with them.
    pub in_use: BTreeSet<String>,
    /// The older keys of the ring that nothing in the database needs any more.
    pub unneeded: Vec<String>,
}

impl Reencrypted {
    /// How many values were reencrypted, or would be.
    pub fn total(&self) -> u64 {
        self.columns.iter().map(|(_, count)| count).sum()
    }
}

/// The findings of one pass.
#[derive(Default)]
struct Pass {
    unreadable: u64,
    examples: Vec<Unreadable>,
    by_key: BTreeMap<String, u64>,
    /// The older keys of values that open and that this pass reencrypts.
    older: BTreeSet<String>,
}

impl Operator<'_> {
    /// Re-encrypts the values that older keys of the ring encrypted, and reports the progress.
    ///
    /// # Errors
    /// When the database does not answer: values re-encrypted by then stay re-encrypted.
    pub async fn reencrypt(
        &self,
        ring: &EncryptionKeyRing,
        clock: &dyn Clock,
        tell: impl FnMut(Progress),
    ) -> Result<Reencrypted, StoreError> {
        let about = |outcome: &str| {
            let event = AuditEvent { outcome: outcome.to_owned(), ..self.audit_event("secrets_reencrypted") };
            event.with("kid", ring.active_kid())
        };
        let mut run = Run::new(self.store, ring, tell);
        run.begins = Some(about("begun"));
        let mut pass = run.pass(1).await?;
        for again in 2..=PASSES {
            if pass.older.is_empty() {
                break;
            }
            pass = run.pass(again).await?;
        }
        let (begun, in_use) = (run.begins.is_none(), pass.older.clone());
        let done = Reencrypted { in_use, ..run.outcome(pass) };
        if begun || done.unreadable > 0 {
            let clean = done.unreadable == 0 && done.in_use.is_empty();
            let event = about(if clean { "ok" } else { "incomplete" });
            let event = event.with("values", done.total()).with("unreadable", done.unreadable);
            let event = AuditEvent { at: clock.now(), ..event };
            self.store.write::<_, StoreError, _>(move |c| insert_audit_event(c, &event)).await?;
        }
        Ok(done)
    }

    /// Previews [`Self::reencrypt`] without changing anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn preview_reencrypt(
        &self,
        ring: &EncryptionKeyRing,
        tell: impl FnMut(Progress),
    ) -> Result<Reencrypted, StoreError> {
        let mut run = Run { dry: true, ..Run::new(self.store, ring, tell) };
        let pass = run.pass(1).await?;
        Ok(run.outcome(pass))
    }
}

/// A run of one or more passes.
struct Run<'a, F> {
    store: &'a Store,
    ring: &'a EncryptionKeyRing,
    tell: F,
    /// Whether to write nothing.
    dry: bool,
    /// The audit event to insert with the first change.
    begins: Option<AuditEvent>,
    reencrypted: BTreeMap<&'static str, u64>,
}

impl<'a, F: FnMut(Progress)> Run<'a, F> {
    fn new(store: &'a Store, ring: &'a EncryptionKeyRing, tell: F) -> Self {
        Self { store, ring, tell, dry: false, begins: None, reencrypted: BTreeMap::new() }
    }

    async fn pass(&mut self, pass: u32) -> Result<Pass, StoreError> {
        let count = |c: &mut _| {
            let counts: Result<Vec<_>, _> =
                ENCRYPTED_COLUMNS.iter().map(|column| reencrypt::count_rows(c, *column)).collect();
            Ok::<_, StoreError>(counts?.iter().sum::<i64>())
        };
        let all = u64::try_from(self.store.read(count).await?).unwrap_or_default();
        let (mut found, mut rows) = (Pass::default(), 0);
        for column in ENCRYPTED_COLUMNS.iter().copied() {
            let mut after = Some(Place::default());
            while let Some(place) = after {
                let page = self.page(column, place).await?;
                rows += page.rows as u64;
                after = page.next.clone();
                self.take(column, page, &mut found).await?;
                let reencrypted = self.reencrypted.values().sum();
                (self.tell)(Progress { pass, column: column.name(), rows, all, reencrypted });
            }
        }
        Ok(found)
    }

    async fn page(&self, column: EncryptedColumn, after: Place) -> Result<Page, StoreError> {
        let ring = self.ring.clone();
        self.store.read(move |c| reencrypt::list_old_values(c, &ring, column, &after, PAGE)).await
    }

    /// Sorts a page's values, and reencrypts those that open.
    async fn take(
        &mut self,
        column: EncryptedColumn,
        page: Page,
        found: &mut Pass,
    ) -> Result<(), StoreError> {
        let mut count = |kid: &str, values: usize| {
            if values > 0 {
                *found.by_key.entry(kid.to_owned()).or_default() += values as u64;
            }
        };
        count(self.ring.active_kid(), page.current);
        let mut swaps = Vec::new();
        for value in page.old {
            let (kid, row) = (value.kid().to_owned(), value.row());
            match value.reencrypt(self.ring) {
                Ok(swap) => {
                    if self.dry {
                        count(&kid, 1);
                    }
                    swaps.push(swap);
                    found.older.insert(kid);
                }
                Err(error @ EncryptionError::Refused) => {
                    return Err(StoreError::Encrypt { table: column.name(), error });
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
        *self.reencrypted.entry(column.name()).or_default() += done as u64;
        Ok(())
    }

    /// Swaps values in small batches; returns how many were swapped.
    async fn swap(&mut self, swaps: &[Swap]) -> Result<usize, StoreError> {
        let mut all = 0;
        for batch in swaps.chunks(usize::try_from(BATCH).unwrap_or(1)) {
            let (batch, begins, began) = (batch.to_vec(), self.begins.clone(), Instant::now());
            let swap = move |c: &mut _| {
                let swapped = reencrypt::swap_encrypted(c, &batch)?;
                if let (1.., Some(event)) = (swapped, &begins) {
                    insert_audit_event(c, event)?;
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

    fn outcome(self, pass: Pass) -> Reencrypted {
        let needed = |kid: &str| pass.by_key.contains_key(kid) || pass.older.contains(kid);
        let unneeded = self.ring.older_kids().filter(|kid| !needed(kid)).map(ToOwned::to_owned).collect();
        Reencrypted {
            columns: self.reencrypted.into_iter().collect(),
            unreadable: pass.unreadable,
            examples: pass.examples,
            by_key: pass.by_key,
            in_use: BTreeSet::new(),
            unneeded,
        }
    }
}
