//! Whether an endpoint's server can be reached: asked before the first request, and again when no
//! answer comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use url::Url;

use crate::config::RequestLimits;
use crate::http::{FIRST_CONNECTION, NoConnection, connect_first};

/// A server, and what was found of it last.
#[derive(Debug)]
pub(super) struct Contact {
    base_url: Option<Url>,
    limits: RequestLimits,
    is_made: AtomicBool,
    /// Whether it was reported that the server is down, and it has not been found up since.
    is_down: AtomicBool,
}

impl Contact {
    /// The server of the endpoint with these settings. Nothing is sent.
    pub(super) fn new(settings: &[(String, String)], limits: &RequestLimits) -> Self {
        let address = settings.iter().find(|(key, _)| key == "base_url");
        Self {
            base_url: address.and_then(|(_, address)| Url::parse(address).ok()),
            limits: limits.clone(),
            is_made: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
        }
    }

    /// Makes the first connection. One that takes longer is reported, and left to the requests.
    ///
    /// # Errors
    /// Returns why there is none if the server refuses: no request would be answered.
    pub(super) fn make(&self) -> Result<(), String> {
        let Some(base_url) = &self.base_url else {
            return Ok(());
        };
        if self.is_made.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        match connect_first(base_url, self.wait()) {
            Ok(()) => Ok(()),
            Err(NoConnection::Refused(cause)) => Err(format!(
                "{base_url}: the connection failed ({cause}): start the server there, or name another address"
            )),
            Err(NoConnection::Late(waited)) => {
                self.report(&format!("no connection within {} s", waited.as_secs_f64()));
                Ok(())
            }
        }
    }

    /// Connects once more, because no answer came for a while, and reports a server that is down.
    pub(super) fn check(&self) {
        let Some(base_url) = &self.base_url else {
            return;
        };
        match connect_first(base_url, self.wait()) {
            Ok(()) => self.is_down.store(false, Ordering::Relaxed),
            Err(NoConnection::Refused(cause)) => {
                self.report(&format!("the connection failed ({cause})"));
            }
            Err(NoConnection::Late(waited)) => {
                self.report(&format!("no connection within {} s", waited.as_secs_f64()));
            }
        }
    }

    fn wait(&self) -> Duration {
        FIRST_CONNECTION.min(self.limits.connect_timeout)
    }

    /// Reports the state of a server that is down, once.
    fn report(&self, state: &str) {
        if self.is_down.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(base_url) = &self.base_url {
            // A delay has a random part, at most as long as itself.
            chartbench_core::note!(
                "note: {base_url}: {state}; the next try is within {} s, and there are {} before the adapter stops",
                2.0 * self.limits.longest_delay.as_secs_f64(),
                self.limits.retries
            );
        }
    }
}
