//! Journeys against each release of the PDS.

/// Runs a test against each release of the PDS, once on each kind of database. Two of these pairs run always; the other
/// two are in modules named `extended`, which `cargo xtask test` leaves to `--extended`.
macro_rules! on_each_network {
    ($($(#[$doc:meta])* async fn $name:ident($database:ident, $release:ident) $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            #[expect(clippy::allow_attributes, reason = "not every test uses everything")]
            #[allow(unused_imports)]
            use super::*;

            async fn test(
                $database: &causeway_testkit::TestDatabase,
                $release: causeway_testkit::PdsRelease,
            ) -> anyhow::Result<()> $body

            async fn sqlite(release: causeway_testkit::PdsRelease) -> anyhow::Result<()> {
                test(&causeway_testkit::TestDatabase::sqlite(), release).await
            }

            async fn postgres(release: causeway_testkit::PdsRelease) -> anyhow::Result<()> {
                match causeway_testkit::TestDatabase::postgres() {
                    Some(database) => test(&database, release).await,
                    None => Ok(()),
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_pds_0_4() -> anyhow::Result<()> {
                sqlite(causeway_testkit::PdsRelease::V0_4).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_pds_0_5() -> anyhow::Result<()> {
                postgres(causeway_testkit::PdsRelease::V0_5).await
            }

            mod extended {
                use causeway_testkit::PdsRelease;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn sqlite_pds_0_5() -> anyhow::Result<()> {
                    super::sqlite(PdsRelease::V0_5).await
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn postgres_pds_0_4() -> anyhow::Result<()> {
                    super::postgres(PdsRelease::V0_4).await
                }
            }
        }
    )+};
}
pub(crate) use on_each_network;
