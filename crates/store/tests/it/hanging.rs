//! A database that does not answer: callers get an error in time, few wait, and work reported as failed is
//! never committed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use causeway_store::clients;
use causeway_store::testing::TestDatabase;
use causeway_store::{DatabaseUrl, Store, StoreError, StoreOptions};
use causeway_types::{ClientId, TenantId};
use futures_util::future::join_all;
use url::Url;

use crate::common::{client, runtime};

const TIMEOUT: Duration = Duration::from_millis(400);
/// Extra time for a busy machine.
const SLACK: Duration = Duration::from_millis(1500);

fn options() -> StoreOptions {
    StoreOptions { timeout: TIMEOUT, postgres_connections: 3, ..StoreOptions::default() }
}

async fn insert(store: &Store, client_id: &str) -> Result<(), StoreError> {
    let row = causeway_domain::client::Client { client_id: ClientId::new(client_id), ..client() };
    store.write(move |c| clients::insert_client(c, &row)).await
}

async fn is_there(store: &Store, client_id: &str) -> Result<bool, StoreError> {
    let id = ClientId::new(client_id);
    store.read(move |c| Ok(clients::find_client(c, &TenantId::default_tenant(), &id)?.is_some())).await
}

/// The gate of a [`Stall`].
#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    ends: AtomicBool,
}

impl Gate {
    fn pass(&self) {
        let closed = self.is_closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed && !self.ends.load(Ordering::Relaxed)).unwrap());
    }

    fn close(&self) {
        *self.is_closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.is_closed.lock().unwrap() = false;
        self.opened.notify_all();
    }
}

/// A PostgreSQL server that can be stopped as by SIGSTOP: connections stay, bytes are taken and nothing comes back.
struct Stall {
    url: DatabaseUrl,
    gate: Arc<Gate>,
}

impl Stall {
    fn before(url: &DatabaseUrl) -> Self {
        let DatabaseUrl::Postgres(text) = url else { panic!("{url}") };
        let mut url = Url::parse(text).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let gate = Arc::new(Gate::default());
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
                std::thread::spawn(move || forward(up, server, &one));
                std::thread::spawn(move || forward(down, client, &other));
            }
        });
        Self { url: url.as_str().parse().unwrap(), gate }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.gate.ends.store(true, Ordering::Relaxed);
        self.gate.open();
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        gate.pass();
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_server_that_hangs_keeps_nobody_waiting() {
    let Some(database) = TestDatabase::postgres() else { return };
    let stall = Stall::before(database.url());
    runtime().block_on(async {
        let store = Store::open(&stall.url, options()).await.unwrap();
        insert(&store, "before").await.unwrap();
        stall.gate.close();
        let began = Instant::now();
        let reads = join_all((0..40).map(|_| is_there(&store, "before")));
        let writes = join_all((0..40).map(|_| insert(&store, "meanwhile")));
        let (reads, writes, ready) = tokio::join!(reads, writes, async {
            let ready = store.ready().await;
            (ready, began.elapsed())
        });
        assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());
        assert!(reads.iter().all(|read| read.as_ref().is_err_and(StoreError::is_retryable)), "{reads:?}");
        assert!(writes.iter().all(|write| write.as_ref().is_err_and(StoreError::is_retryable)), "{writes:?}");
        assert!(ready.0.is_err() && ready.1 < Duration::from_secs(2), "{ready:?}");
        assert!(store.stats().timeouts >= 80);
        stall.gate.open();
        // The connections that hung are usable again, and no work reported as failed was committed.
        while is_there(&store, "before").await.is_err() {}
        store.ready().await.unwrap();
        assert!(!is_there(&store, "meanwhile").await.unwrap());
        insert(&store, "meanwhile").await.unwrap();
        store.close().await;
    });
}

#[test]
fn a_locked_table_keeps_nobody_waiting() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = Store::open(database.url(), options()).await.unwrap();
        let lock = database.locked();
        let began = Instant::now();
        let answers = join_all((0..20).map(|_| is_there(&store, "x"))).await;
        assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(StoreError::is_retryable)));
        // The server itself ended the first ones: their connections serve callers that need no locked table.
        while store.ping().await.is_err() {}
        drop(lock);
        insert(&store, "after").await.unwrap();
        store.close().await;
    });
}

#[test]
fn another_process_that_writes_to_the_file_keeps_nobody_waiting() {
    let database = TestDatabase::sqlite();
    runtime().block_on(async {
        let store = Store::open(database.url(), options()).await.unwrap();
        insert(&store, "before").await.unwrap();
        let lock = database.locked();
        let began = Instant::now();
        // More than one batch, so that most wait behind one that waits.
        let writes = join_all((0..400).map(|_| insert(&store, "meanwhile")));
        let (writes, read, ready) = tokio::join!(writes, is_there(&store, "before"), store.ready());
        assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());
        assert!(writes.iter().all(|write| write.as_ref().is_err_and(StoreError::is_retryable)), "{writes:?}");
        assert!(read.unwrap(), "readers do not notice");
        assert!(ready.is_err(), "it cannot be written to");
        drop(lock);
        while insert(&store, "after").await.is_err() {}
        assert!(!is_there(&store, "meanwhile").await.unwrap(), "callers were told that it was not done");
        store.close().await;
    });
}

/// A caller that merely goes away changes nothing: what waits in line is done.
#[test]
fn who_goes_away_is_not_who_gives_up() {
    for database in TestDatabase::each() {
        runtime().block_on(async {
            let store = database.store().await;
            let (started, began) = std::sync::mpsc::channel();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let gone = Mutex::new(gone);
            let row = client();
            let id = row.client_id.clone();
            let writing = tokio::spawn({
                let store = store.clone();
                async move {
                    let write = move |c: &mut causeway_store::AnyConnection| {
                        let _ = started.send(());
                        let _ = gone.lock().unwrap().recv();
                        clients::insert_client(c, &row)
                    };
                    store.write::<(), StoreError, _>(write).await
                }
            });
            tokio::task::spawn_blocking(move || began.recv().unwrap()).await.unwrap();
            writing.abort();
            assert!(writing.await.unwrap_err().is_cancelled());
            drop(go);
            while !is_there(&store, id.as_str()).await.unwrap() {}
            store.close().await;
        });
    }
}

#[test]
fn no_more_wait_than_may() {
    for database in TestDatabase::each() {
        runtime().block_on(async {
            let options = StoreOptions { waiting_limit: 2, timeout: Duration::from_secs(30), ..options() };
            let store = Store::open(database.url(), options).await.unwrap();
            let (go, gone) = std::sync::mpsc::channel::<()>();
            let gone = Arc::new(Mutex::new(gone));
            let (started, mut began) = tokio::sync::mpsc::unbounded_channel();
            let held = |store: Store| {
                let (gone, started) = (Arc::clone(&gone), started.clone());
                tokio::spawn(async move {
                    store
                        .read::<(), StoreError, _>(move |_| {
                            let _ = started.send(());
                            let _ = gone.lock().unwrap().recv();
                            Ok(())
                        })
                        .await
                })
            };
            let held = [held(store.clone()), held(store.clone())];
            for _ in 0..2 {
                began.recv().await.unwrap();
            }
            let refused = insert(&store, "one too many").await;
            assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
            drop(go);
            for held in held {
                held.await.unwrap().unwrap();
            }
            insert(&store, "the next one").await.unwrap();
            store.close().await;
        });
    }
}

/// Overlapping readers leave no moment at which SQLite can restart its log.
#[test]
fn the_log_of_sqlite_stays_short_under_readers() {
    let database = TestDatabase::sqlite();
    runtime().block_on(async {
        let limit = 128 * 1024;
        let options = StoreOptions { wal_limit: limit, ..StoreOptions::default() };
        let store = Store::open(database.url(), options).await.unwrap();
        let reading = Arc::new(AtomicBool::new(true));
        // Each begins before the other one ends.
        let (first, second) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        first.notify_one();
        let reader = |own: Arc<tokio::sync::Notify>, next: Arc<tokio::sync::Notify>| {
            let (store, reading) = (store.clone(), Arc::clone(&reading));
            tokio::spawn(async move {
                while reading.load(Ordering::Relaxed) {
                    own.notified().await;
                    let next = Arc::clone(&next);
                    let overlap = move |c: &mut causeway_store::AnyConnection| {
                        let seen = clients::find_client(c, &TenantId::default_tenant(), &ClientId::new("x"));
                        next.notify_one();
                        std::thread::sleep(Duration::from_millis(2));
                        seen
                    };
                    store.read(overlap).await.unwrap();
                }
                next.notify_one();
            })
        };
        let readers = [
            reader(Arc::clone(&first), Arc::clone(&second)),
            reader(Arc::clone(&second), Arc::clone(&first)),
        ];
        let mut wal = database.sqlite_path().unwrap().as_os_str().to_owned();
        wal.push("-wal");
        let mut longest = 0;
        for step in 0..400 {
            let mut row = client();
            row.client_name = format!("{step}").repeat(4000);
            store.write(move |c| clients::insert_client(c, &row)).await.unwrap();
            longest = longest.max(std::fs::metadata(&wal).unwrap().len());
        }
        reading.store(false, Ordering::Relaxed);
        for reader in readers {
            reader.await.unwrap();
        }
        // More than forty times as much was written; on a busy machine readers hold on for a while.
        assert!(longest < 16 * limit, "{longest}");
        store.close().await;
    });
}
