//! A small pool: SQLite's readers, and every connection to PostgreSQL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::conn::{AnyConnection, Health};
use crate::error::StoreError;

/// A connection of the pool.
pub(crate) struct Pooled {
    pub(crate) conn: AnyConnection,
    pub(crate) health: Arc<Health>,
}

type Connect = Box<dyn Fn() -> Result<Pooled, StoreError> + Send + Sync>;

/// At most `size` connections at work; idle ones are kept, lost ones replaced.
pub(crate) struct Pool {
    connect: Connect,
    idle: Mutex<Vec<Pooled>>,
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(size: usize, connect: Connect) -> Self {
        let permits = Arc::new(Semaphore::new(size.max(1)));
        Self { connect, idle: Mutex::new(Vec::new()), permits }
    }

    /// Waits for the right to use one connection.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)
    }

    /// The right to use one connection, if that takes neither waiting nor connecting.
    pub(crate) fn permit_now(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        (!self.idle().is_empty()).then_some(permit)
    }

    /// Blocks: an idle connection, or a new one. The flag says whether it is new.
    pub(crate) fn take(&self) -> Result<(Pooled, bool), StoreError> {
        let idle = self.idle().pop();
        match idle {
            Some(pooled) => Ok((pooled, false)),
            None => Ok(((self.connect)()?, true)),
        }
    }

    /// Takes a connection back; a lost one takes the idle ones with it, which are as old or older.
    pub(crate) fn give_back(&self, pooled: Pooled) {
        if pooled.health.is_closed() {
            let dropped = std::mem::take(&mut *self.idle());
            drop((pooled, dropped));
        } else {
            self.idle().push(pooled);
        }
    }

    /// No new work; idle connections are closed.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Pooled>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
