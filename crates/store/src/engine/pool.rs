//! A small pool: SQLite's readers, and every connection to PostgreSQL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::conn::AnyConnection;
use crate::engine::error::StoreError;

type Connect = Box<dyn Fn() -> Result<AnyConnection, StoreError> + Send + Sync>;

/// At most `size` connections in use; idle ones are reused, lost ones replaced.
pub(crate) struct Pool {
    connect: Connect,
    idle: Mutex<Vec<AnyConnection>>,
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

    /// An idle connection and the right to use it, if that takes neither waiting nor connecting.
    pub(crate) fn take_idle(&self) -> Option<(OwnedSemaphorePermit, AnyConnection)> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some((permit, self.idle().pop()?))
    }

    /// Takes an idle connection or opens a new one; blocks. The flag says whether it is new.
    pub(crate) fn take(&self) -> Result<(AnyConnection, bool), StoreError> {
        let idle = self.idle().pop();
        match idle {
            Some(conn) => Ok((conn, false)),
            None => Ok(((self.connect)()?, true)),
        }
    }

    /// Takes a connection back; a lost one takes the idle ones with it, which are as old or older.
    pub(crate) fn give_back(&self, conn: AnyConnection) {
        if matches!(&conn, AnyConnection::Postgres(conn) if conn.is_lost()) {
            let dropped = std::mem::take(&mut *self.idle());
            drop((conn, dropped));
        } else {
            self.idle().push(conn);
        }
    }

    /// Refuses new work and closes idle connections.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<AnyConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use diesel::{Connection as _, SqliteConnection};

    use super::*;

    /// A caller that must not wait gets an idle connection together with the right to use it: in between,
    /// no other caller can take it and open a new one on an async worker.
    #[test]
    fn what_is_idle_is_taken_at_once_or_not_at_all() {
        let made = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&made);
        let connect = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let conn = SqliteConnection::establish(":memory:")
                .map_err(|error| StoreError::unavailable(error.to_string()))?;
            Ok(AnyConnection::Sqlite(conn))
        };
        let pool = Pool::new(2, Box::new(connect));
        assert!(pool.take_idle().is_none(), "none was made yet");
        assert_eq!(pool.permits.available_permits(), 2, "the right to use one is not kept");
        let (first, is_new) = pool.take().unwrap();
        pool.give_back(first);
        let taken = pool.take_idle();
        assert!(is_new && taken.is_some());
        assert!(pool.take_idle().is_none(), "the only one is taken");
        drop(taken);
        assert_eq!((made.load(Ordering::Relaxed), pool.permits.available_permits()), (1, 2));
    }
}
