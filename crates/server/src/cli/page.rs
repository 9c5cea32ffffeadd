//! Pages of lists.

use causeway_store::PageRequest;
use clap::Args;

/// Which page of a list.
#[derive(Args)]
pub(crate) struct PageOptions {
    /// Maximum number of entries
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Continue after this position, which the previous page printed
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

impl From<PageOptions> for PageRequest {
    fn from(PageOptions { limit, after }: PageOptions) -> Self {
        Self { after, limit }
    }
}
