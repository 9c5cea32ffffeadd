//! The connection to PostgreSQL: how often it waits for the server, and that it stays in step whatever fails.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use causeway_store::authorization::par;
use causeway_store::testing::{TestDatabase, cut_other_connections, options};
use causeway_store::{AnyConnection, DatabaseUrl, PostgresConnection, Store, StoreError, StoreOptions};
use causeway_store::{clients, tokens};
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryDsl as _, QueryableByName, RunQueryDsl as _, sql_query};
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{World, access_token, client, hash, on_each, par_request, ring, runtime};

/// A store with one connection for look-ups, one for rows that are added, and as few as may be for the rest.
pub(crate) async fn small_store(url: &DatabaseUrl, timeout: Duration) -> Store {
    let few = StoreOptions { postgres_connections: 4, timeout, ..options() };
    Store::open(url, few).await.unwrap()
}

#[derive(QueryableByName)]
pub(crate) struct Number {
    #[diesel(sql_type = BigInt)]
    pub(crate) number: i64,
}

pub(crate) fn ask(c: &mut AnyConnection, number: i64) -> Result<i64, StoreError> {
    let asked: Number = sql_query("SELECT $1 AS number").bind::<BigInt, _>(number).get_result(c)?;
    Ok(asked.number)
}

/// State of a [`Proxy`].
#[derive(Default)]
struct Line {
    /// How often the client spoke after the server had.
    turns: AtomicUsize,
    server_spoke: AtomicBool,
    /// Whether connections that exist now are silent.
    is_cut: AtomicBool,
    /// Whether new connections get no reply.
    is_stalled: AtomicBool,
}

/// A wire to the server that counts the turns of the conversation.
struct Proxy {
    url: DatabaseUrl,
    line: Arc<Line>,
}

impl Proxy {
    fn before(database: &TestDatabase) -> Self {
        let DatabaseUrl::Postgres(url) = database.url() else { panic!("not a PostgreSQL database") };
        let mut url = url::Url::parse(url).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let line = Arc::new(Line::default());
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for client in listener.incoming().map_while(Result::ok) {
                if shared.is_stalled.load(Ordering::SeqCst) {
                    stalled.push(client);
                    continue;
                }
                // One that is cut stays so; those that come later are not.
                shared.is_cut.store(false, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(&server) else { return };
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), &shared, false);
                carry(server, client, &shared, true);
            }
        });
        Self { url: DatabaseUrl::Postgres(url.into()), line }
    }

    /// How many turns `work` takes.
    async fn turns<T>(&self, work: impl Future<Output = T>) -> usize {
        self.line.turns.store(0, Ordering::SeqCst);
        self.line.server_spoke.store(true, Ordering::SeqCst);
        work.await;
        self.line.turns.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, line: &Arc<Line>, is_server: bool) {
    let line = Arc::clone(line);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if line.is_cut.load(Ordering::SeqCst) {
                return std::thread::park();
            }
            if is_server {
                line.server_spoke.store(true, Ordering::SeqCst);
            } else if line.server_spoke.swap(false, Ordering::SeqCst) {
                line.turns.fetch_add(1, Ordering::SeqCst);
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// The statements of a request travel together: nobody waits for BEGIN, nor for the reply to an INSERT.
#[test]
fn statements_travel_together() {
    let Some(database) = TestDatabase::postgres() else { return };
    let proxy = Proxy::before(&database);
    runtime().block_on(async {
        let store = small_store(&proxy.url, options().timeout).await;
        let world = World { kind: "postgres", store: store.clone(), ring: ring() };
        let (client, session) = world.client_and_session().await;
        let insert = || {
            let row = par_request(&client);
            store.write(move |c| par::insert_par_request(c, &row))
        };
        let add = || {
            let row = par_request(&client);
            store.add(move |c| par::insert_par_request(c, &row))
        };
        let find = || store.find(|c| tokens::find_access_token(c, &hash()));
        let two = || {
            let (access, row) = (access_token(&session), par_request(&client));
            store.write(move |c| {
                par::insert_par_request(c, &row)?;
                assert!(tokens::find_access_token(c, &access.token)?.is_none());
                tokens::insert_access_token(c, &access)
            })
        };
        // Those have connections of their own.
        let connected = (find().await, add().await);
        assert!(connected.0.is_ok() && connected.1.is_ok(), "{connected:?}");
        for round in 0..3 {
            assert_eq!(proxy.turns(add()).await, 1, "a row, round {round}");
            // Statements that are prepared on the way do not wait either.
            assert_eq!(proxy.turns(insert()).await, 1, "a durable insert, round {round}");
            assert_eq!(proxy.turns(find()).await, 1, "a look-up, round {round}");
            assert_eq!(proxy.turns(two()).await, 2, "a look-up between inserts, round {round}");
        }
        store.close().await;
    });
}

diesel::table! {
    missing_table (id) {
        id -> BigInt,
    }
}

/// A step of a transaction.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A question whose answer is known.
    Ask(i64),
    /// A row that goes along with what comes next.
    Insert,
    /// The same row again: fails when it arrives.
    InsertAgain,
    /// A statement that fails when it is executed.
    DivideByZero,
    /// A statement that cannot be prepared.
    Misspell,
    /// A batch, by the simple protocol.
    Batch,
    /// A batch that fails in the middle.
    BadBatch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => any::<i64>().prop_map(Step::Ask),
        3 => Just(Step::Insert),
        1 => Just(Step::InsertAgain),
        1 => Just(Step::DivideByZero),
        1 => Just(Step::Misspell),
        1 => Just(Step::Batch),
        1 => Just(Step::BadBatch),
    ]
}

/// Whatever fails in a transaction, and even if its closure does not mind: answers belong to their questions,
/// everything is committed or nothing, and the connection serves the next one.
#[test]
fn the_connection_stays_in_step() {
    let Some(database) = TestDatabase::postgres() else { return };
    let runtime = runtime();
    let store = runtime.block_on(small_store(database.url(), options().timeout));
    let client = client();
    let row = client.clone();
    runtime.block_on(store.write(move |c| clients::insert_client(c, &row))).unwrap();
    let transactions = proptest::collection::vec(proptest::collection::vec(step(), 0..8), 1..6);
    let cases = Config { cases: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(cases)
        .run(&transactions, |transactions| {
            for steps in transactions {
                runtime.block_on(check(&store, &client, steps))?;
            }
            Ok(())
        })
        .unwrap();
    runtime.block_on(store.close());
}

async fn check(
    store: &Store,
    client: &causeway_domain::client::Client,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let fails = |step: &Step| !matches!(step, Step::Ask(_) | Step::Insert | Step::Batch);
    // Without a row before it, there is none to insert again.
    let first = steps.iter().position(|step| matches!(step, Step::Insert));
    let steps: Vec<Step> = steps
        .iter()
        .enumerate()
        .filter(|(index, step)| {
            !matches!(step, Step::InsertAgain) || first.is_some_and(|first| first < *index)
        })
        .map(|(_, step)| *step)
        .collect();
    let is_good = !steps.iter().any(fails);
    let rows: Vec<_> = steps.iter().map(|_| par_request(client)).collect();
    let (inserted, script) = (rows.clone(), steps.clone());
    let written = store
        .write(move |c| {
            let mut before = None;
            for (step, row) in script.iter().zip(&inserted) {
                let done = match step {
                    Step::Ask(number) => ask(c, *number).map(|answer| assert_eq!(answer, *number)),
                    Step::Insert => {
                        before = Some(row);
                        par::insert_par_request(c, row)
                    }
                    Step::InsertAgain => before.map_or(Ok(()), |row| par::insert_par_request(c, row)),
                    Step::DivideByZero => sql_query("SELECT 1 / 0 AS number")
                        .get_result::<Number>(c)
                        .map(drop)
                        .map_err(Into::into),
                    Step::Misspell => {
                        missing_table::table.count().get_result::<i64>(c).map(drop).map_err(Into::into)
                    }
                    Step::Batch => c.batch_execute("SELECT 1; SELECT 2").map_err(Into::into),
                    Step::BadBatch => c.batch_execute("SELECT 1; SELEKT 2; SELECT 3").map_err(Into::into),
                };
                // A closure that does not mind.
                drop(done);
            }
            Ok::<_, StoreError>(())
        })
        .await;
    prop_assert_eq!(written.is_ok(), is_good, "{:?}: {:?}", steps, written);
    let (id, now) = (client.client_id.clone(), rows.first().map(|row| row.created_at));
    for (step, row) in steps.iter().zip(rows) {
        let (id, now) = (id.clone(), now.unwrap());
        let found = store.find(move |c| par::find_par_request(c, &id, &row.request_uri, now)).await;
        let is_there = matches!(found, Ok(Some(_)));
        prop_assert_eq!(is_there, is_good && matches!(step, Step::Insert), "{:?}: {:?}", steps, found);
    }
    prop_assert_eq!(store.read(|c| ask(c, 7)).await.unwrap(), 7);
    prop_assert_eq!(store.find(|c| ask(c, 8)).await.unwrap(), 8);
    Ok(())
}

/// A constraint that is checked at the commit fails outside of any statement: the error is found, and the next
/// reply is the next statement's.
#[test]
fn an_error_of_the_commit_itself() {
    let Some(database) = TestDatabase::postgres() else { return };
    let DatabaseUrl::Postgres(url) = database.url() else { panic!("not a PostgreSQL database") };
    let mut conn = PostgresConnection::establish(url).unwrap();
    conn.batch_execute(
        "CREATE TABLE late (id BIGINT PRIMARY KEY, other BIGINT REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    .unwrap();
    for number in 1..4 {
        let refused =
            sql_query("INSERT INTO late VALUES ($1, 99)").bind::<BigInt, _>(number).execute(&mut conn);
        assert!(refused.is_err(), "{refused:?}");
        let asked = sql_query("SELECT count(*) + $1 AS number FROM late").bind::<BigInt, _>(number);
        assert_eq!(asked.get_result::<Number>(&mut conn).unwrap().number, number);
    }
}

/// More than any buffer on the way holds, in both directions, with TLS and without: what the TLS library holds back
/// does not show at the socket.
#[test]
fn large_values_pass() {
    #[derive(QueryableByName)]
    struct Large {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let Some(database) = TestDatabase::postgres() else { return };
    let DatabaseUrl::Postgres(plain) = database.url() else { panic!("not a PostgreSQL database") };
    let mut tls = url::Url::parse(plain).unwrap();
    tls.query_pairs_mut().append_pair("sslmode", "require");
    runtime().block_on(async {
        for url in [database.url().clone(), DatabaseUrl::Postgres(tls.into())] {
            let few = StoreOptions { postgres_connections: 4, ..options() };
            let store = match Store::open(&url, few).await {
                Ok(store) => store,
                Err(error) if error.to_string().contains("server does not support SSL") => continue,
                Err(error) => panic!("{error}"),
            };
            let sent = "0123456789abcdef".repeat(2 << 20);
            let echo = |c: &mut AnyConnection, text: &str| {
                let echo = sql_query("SELECT $1 AS text UNION ALL SELECT $1").bind::<Text, _>(text);
                Ok::<_, StoreError>(echo.load::<Large>(c)?)
            };
            let (read, found) = (sent.clone(), sent.clone());
            let answers =
                [store.read(move |c| echo(c, &read)).await, store.find(move |c| echo(c, &found)).await];
            for answer in answers {
                let answer = answer.unwrap();
                assert!(answer.len() == 2 && answer.iter().all(|large| large.text == sent));
            }
            store.close().await;
        }
    });
}

/// Errors are told apart by their code: messages are in the server's language.
#[test]
fn errors_in_another_language() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = small_store(database.url(), options().timeout).await;
        let setup = "CREATE SEQUENCE tries; CREATE FUNCTION fail(code text) RETURNS void LANGUAGE plpgsql AS \
            $$ BEGIN RAISE EXCEPTION 'Das ging schief' USING ERRCODE = code; END $$";
        store.write(move |c| Ok::<_, StoreError>(c.batch_execute(setup)?)).await.unwrap();
        let fail = |code: &'static str| {
            store.write(move |c| {
                sql_query("SELECT nextval('tries') AS number").get_result::<Number>(c)?;
                sql_query(format!("SELECT fail('{code}')")).execute(c)?;
                Ok::<_, StoreError>(())
            })
        };
        for code in ["55P03", "57014"] {
            let error = fail(code).await.unwrap_err();
            assert!(matches!(error, StoreError::Busy(_)), "{code}: {error:?}");
        }
        for code in ["53100", "53300", "57P03", "58030", "08006", "25006"] {
            let error = fail(code).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)), "{code}: {error:?}");
        }
        assert!(matches!(fail("P0001").await.unwrap_err(), StoreError::Query(_)));
        assert_eq!(store.stats().retries, 0);
        for (code, retries) in [("40P01", 8), ("40001", 16)] {
            let error = fail(code).await.unwrap_err();
            assert!(matches!(error, StoreError::Busy(_)), "{code}: {error:?}");
            assert_eq!(store.stats().retries, retries, "{code}");
        }
        store.close().await;
    });
}

/// A server that does not reply any more costs its callers their deadline and the store a connection, not a thread
/// for good.
#[test]
fn a_silent_server_is_given_up() {
    let Some(database) = TestDatabase::postgres() else { return };
    let proxy = Proxy::before(&database);
    runtime().block_on(async {
        let store = small_store(&proxy.url, Duration::from_secs(2)).await;
        // As often as there are places.
        for _ in 0..2 {
            store.ping().await.unwrap();
            proxy.line.is_cut.store(true, Ordering::SeqCst);
            let unanswered = store.ping().await;
            assert!(unanswered.as_ref().is_err_and(StoreError::is_retryable), "{unanswered:?}");
        }
        // They are free again, and what comes now has a connection of its own.
        store.ping().await.unwrap();
        store.close().await;
    });
}

/// One row that is refused costs the callers that waited with it nothing but time.
#[test]
fn rows_that_travel_together_fail_alone() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = small_store(database.url(), options().timeout).await;
        let world = World { kind: "postgres", store: store.clone(), ring: ring() };
        let (client, _) = world.client_and_session().await;
        let known = par_request(&client);
        let row = known.clone();
        world.write(move |c| par::insert_par_request(c, &row)).await;
        let rows: Vec<_> =
            (0..60).map(|n| if n % 10 == 3 { known.clone() } else { par_request(&client) }).collect();
        let adding = rows.iter().cloned().map(|row| {
            let store = store.clone();
            tokio::spawn(async move { store.add(move |c| par::insert_par_request(c, &row)).await })
        });
        for (added, row) in join_all(adding).await.into_iter().zip(&rows) {
            let added = added.unwrap();
            if row.request_uri == known.request_uri {
                assert!(matches!(added, Err(StoreError::Constraint(_))), "{added:?}");
            } else {
                added.unwrap();
            }
        }
        for row in rows {
            let (id, now) = (client.client_id.clone(), row.created_at);
            let found = store.find(move |c| par::find_par_request(c, &id, &row.request_uri, now)).await;
            assert!(found.unwrap().is_some());
        }
        store.close().await;
    });
}

/// A closure that reads after all has a transaction of its own, in which it sees what it has added.
#[test]
fn what_is_added_may_depend_on_what_is_there() {
    on_each(|world| async move {
        let (_, session) = world.client_and_session().await;
        let access = access_token(&session);
        let row = access.clone();
        let seen = world.store.add(move |c| {
            tokens::insert_access_token(c, &row)?;
            tokens::find_access_token(c, &row.token)
        });
        assert_eq!(seen.await.unwrap().as_ref(), Some(&access), "{}", world.kind);
        let row = access.clone();
        let refused: Result<(), StoreError> = world
            .store
            .add(move |c| {
                tokens::revoke_access_token(c, &row.token)?;
                Err(StoreError::Conflict("on purpose"))
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Conflict("on purpose"))), "{refused:?}");
        let found = world.store.find(move |c| tokens::find_access_token(c, &access.token)).await.unwrap();
        assert!(!found.unwrap().revoked, "{}: nothing is left of a closure that failed", world.kind);
    });
}

/// Look-ups that travel together get their own answers: those that fail, those that ask twice, and all others.
#[test]
fn answers_belong_to_their_questions() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = small_store(database.url(), options().timeout).await;
        let asking = (0..200_i64).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                match number % 5 {
                    0 => {
                        let failed = store.find(|c| {
                            Ok::<_, StoreError>(
                                sql_query("SELECT 1 / 0 AS number").get_result::<Number>(c)?.number,
                            )
                        });
                        assert!(matches!(failed.await, Err(StoreError::Query(_))));
                    }
                    1 => {
                        let twice = store.find(move |c| {
                            let first = ask(c, number)?;
                            ask(c, first + 1000)
                        });
                        assert_eq!(twice.await.unwrap(), number + 1000);
                    }
                    _ => assert_eq!(store.find(move |c| ask(c, number)).await.unwrap(), number),
                }
            })
        });
        for asked in join_all(asking).await {
            asked.unwrap();
        }
        store.close().await;
    });
}

/// A connection that was cut while it was idle is no caller's concern.
#[test]
fn what_travels_together_survives_a_restart_of_the_server() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let (store, other) = (database.store().await, database.store().await);
        let world = World { kind: "postgres", store: store.clone(), ring: ring() };
        let (client, _) = world.client_and_session().await;
        for round in 0..3 {
            let row = par_request(&client);
            store.add(move |c| par::insert_par_request(c, &row)).await.unwrap();
            assert_eq!(store.find(move |c| ask(c, round)).await.unwrap(), round);
            other.write(cut_other_connections).await.unwrap();
        }
        assert_eq!(store.stats().retries, 0);
        store.close().await;
        other.close().await;
    });
}

/// No caller waits on its own thread for a server that does not reply: not for a connection, nor for an answer.
#[test]
fn nobody_blocks_an_async_worker() {
    let Some(database) = TestDatabase::postgres() else { return };
    let proxy = Proxy::before(&database);
    let alone = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    alone.block_on(async {
        let store = small_store(&proxy.url, Duration::from_secs(2)).await;
        proxy.line.is_stalled.store(true, Ordering::SeqCst);
        proxy.line.is_cut.store(true, Ordering::SeqCst);
        let client = client();
        let row = par_request(&client);
        let began = Instant::now();
        let (find, read) = (store.find(|c| ask(c, 1)), store.read(|c| ask(c, 1)));
        let add = store.add(move |c| par::insert_par_request(c, &row));
        let elsewhere = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            began.elapsed()
        };
        let (found, was_read, added, elsewhere) = tokio::join!(find, read, add, elsewhere);
        assert!(elsewhere < Duration::from_secs(1), "{elsewhere:?}");
        for error in [found.unwrap_err(), was_read.unwrap_err(), added.unwrap_err()] {
            assert!(error.is_retryable(), "{error:?}");
        }
        store.close().await;
    });
}

/// Rows that go along with a commit are refused where there is none, instead of being lost.
#[test]
fn a_read_refuses_rows() {
    on_each(|world| async move {
        let (client, _) = world.client_and_session().await;
        let row = par_request(&client);
        let (first, second) = (row.clone(), row);
        let read = world.store.read(move |c| par::insert_par_request(c, &first)).await;
        let found = world.store.find(move |c| par::insert_par_request(c, &second)).await;
        assert!(read.is_err() && found.is_err(), "{}: {read:?} {found:?}", world.kind);
    });
}

/// A look-up that meets a locked table waits for it alone.
#[test]
fn a_locked_table_holds_up_its_own_readers() {
    let Some(database) = TestDatabase::postgres() else { return };
    runtime().block_on(async {
        let store = database.store().await;
        let locked = database.locked();
        let waiting = (0..4).map(|_| {
            let (store, row) = (store.clone(), client());
            tokio::spawn(async move {
                store.find(move |c| clients::find_client(c, &row.tenant_id, &row.client_id)).await
            })
        });
        let waiting: Vec<_> = waiting.collect();
        for number in 0..20 {
            let asked = tokio::time::timeout(Duration::from_secs(5), store.find(move |c| ask(c, number)));
            assert_eq!(asked.await.unwrap().unwrap(), number);
        }
        drop(locked);
        for found in join_all(waiting).await {
            assert_eq!(found.unwrap().unwrap(), None);
        }
        store.close().await;
    });
}
