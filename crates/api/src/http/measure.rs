//! Number and duration of requests, by the route that served them. Nothing of a request becomes a label:
//! routes come from the route table, methods and statuses from fixed lists.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use causeway_domain::measure::{Counter, Histogram, MICROSECONDS};

/// The pattern of the route that serves a request, attached to the route as app data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template(pub(crate) &'static str);

/// Label of requests that no route serves.
pub(crate) const NO_ROUTE: &str = "none";

/// Methods that are counted separately.
pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];
/// The classes of status codes.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The requests of one route.
#[derive(Debug)]
pub(crate) struct RouteStats {
    pub(crate) counts: [[Counter; CLASSES.len()]; METHODS.len()],
    pub(crate) time: Histogram,
}

/// The requests that this process has served. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct HttpStats(Arc<RwLock<HashMap<&'static str, Arc<RouteStats>>>>);

impl HttpStats {
    pub(crate) fn note(&self, route: &'static str, method: &Method, status: StatusCode, time: Duration) {
        let stats = self.of(route);
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        stats.counts[method][class].add(1);
        stats.time.observe_time(time);
    }

    fn of(&self, route: &'static str) -> Arc<RouteStats> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(route).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let fresh =
                || Arc::new(RouteStats { counts: Default::default(), time: Histogram::new(&MICROSECONDS) });
            Arc::clone(routes.entry(route).or_insert_with(fresh))
        })
    }

    /// Every route that was requested, sorted by name.
    pub(crate) fn routes(&self) -> Vec<(&'static str, Arc<RouteStats>)> {
        let routes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = routes.iter().map(|(route, stats)| (*route, Arc::clone(stats))).collect();
        all.sort_unstable_by_key(|(route, _)| *route);
        all
    }
}
