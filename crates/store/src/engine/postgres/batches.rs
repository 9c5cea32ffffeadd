//! Threads that work off what waits, as much of it at once as there is.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::error::StoreError;

/// Jobs in a batch at most.
const LIMIT: usize = 64;

struct Waiting<J> {
    jobs: VecDeque<J>,
    is_closed: bool,
}

struct Queue<J> {
    waiting: Mutex<Waiting<J>>,
    filled: Condvar,
}

impl<J> Queue<J> {
    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for jobs; `None`: there will be none.
    fn next(&self) -> Option<Vec<J>> {
        let idle = |waiting: &mut Waiting<J>| waiting.jobs.is_empty() && !waiting.is_closed;
        let waiting = self.filled.wait_while(self.lock(), idle);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let count = waiting.jobs.len().min(LIMIT);
        let batch: Vec<J> = waiting.jobs.drain(..count).collect();
        (!batch.is_empty()).then_some(batch)
    }
}

/// A queue and the threads behind it. They end when this is dropped or closed, after the jobs that were accepted.
pub(super) struct Batches<J>(Arc<Queue<J>>);

impl<J> Drop for Batches<J> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<J: Send + 'static> Batches<J> {
    /// Starts one thread for each worker.
    pub(super) fn start<W>(name: &str, workers: impl IntoIterator<Item = W>) -> std::io::Result<Self>
    where
        W: FnMut(Vec<J>) + Send + 'static,
    {
        let waiting = Mutex::new(Waiting { jobs: VecDeque::new(), is_closed: false });
        let batches = Self(Arc::new(Queue { waiting, filled: Condvar::new() }));
        for mut worker in workers {
            let queue = Arc::clone(&batches.0);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                while let Some(batch) = queue.next() {
                    worker(batch);
                }
            })?;
        }
        Ok(batches)
    }

    /// Hands a job to the next thread that is free.
    pub(super) fn push(&self, job: J) -> Result<(), StoreError> {
        let mut waiting = self.0.lock();
        if waiting.is_closed {
            return Err(StoreError::Closed);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.0.filled.notify_one();
        Ok(())
    }
}

impl<J> Batches<J> {
    /// Refuses further jobs.
    pub(super) fn close(&self) {
        self.0.lock().is_closed = true;
        self.0.filled.notify_all();
    }
}
