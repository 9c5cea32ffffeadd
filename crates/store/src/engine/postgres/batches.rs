//! Threads that work off what waits, as much of it at once as there is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::engine::error::StoreError;

/// Jobs in a batch at most.
const LIMIT: usize = 64;

/// Work that a caller waits for.
pub(super) trait Job: Send + 'static {
    /// Whether it still has to be done.
    fn is_wanted(&self) -> bool;
}

struct Waiting<J> {
    jobs: VecDeque<J>,
    is_closed: bool,
}

struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    filled: Condvar,
}

impl<J: Job> Queue<J> {
    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for jobs; `None`: there will be none.
    fn next(&self) -> Option<Vec<J>> {
        let mut waiting = self.lock();
        loop {
            let mut batch = Vec::new();
            while let Some(job) = waiting.jobs.pop_front() {
                if job.is_wanted() {
                    batch.push(job);
                }
                if batch.len() == LIMIT {
                    break;
                }
            }
            if !batch.is_empty() {
                return Some(batch);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_all();
    }
}

/// A queue and the threads behind it. They end when this is dropped or closed, after the jobs that were accepted. As
/// many jobs wait as there are permits for those who wait.
pub(super) struct Batches<J: Job> {
    queue: Arc<Queue<J>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<J: Job> Drop for Batches<J> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<J: Job> Batches<J> {
    /// Starts one thread for each worker.
    pub(super) fn start<W>(name: &str, workers: impl IntoIterator<Item = W>) -> std::io::Result<Self>
    where
        W: FnMut(Vec<J>) + Send + 'static,
    {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), is_closed: false });
        let batches = Self {
            queue: Arc::new(Queue { waiting, filled: Condvar::new() }),
            threads: Mutex::new(Vec::new()),
        };
        for mut worker in workers {
            let queue = Arc::clone(&batches.queue);
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                while let Some(batch) = queue.next() {
                    // The callers of a batch in which something panics get an error; the next one is served.
                    let _ = catch_unwind(AssertUnwindSafe(|| worker(batch)));
                }
            })?;
            batches.threads().push(thread);
        }
        Ok(batches)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job to the next thread that is free.
    pub(super) fn push(&self, job: J) -> Result<(), StoreError> {
        let mut waiting = self.queue.lock();
        if waiting.is_closed {
            return Err(StoreError::Closed);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.queue.filled.notify_one();
        Ok(())
    }

    /// Refuses further jobs. The threads end when the accepted ones are done.
    pub(super) fn close(&self) -> Vec<JoinHandle<()>> {
        self.queue.close();
        std::mem::take(&mut *self.threads())
    }
}
