//! Whether a hub can be reached at all: known before the first request, and not asked again for
//! each model.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use super::cache::HubOptions;
use crate::http::{FIRST_CONNECTION, NoConnection, connect_first};
use chartbench_core::terminal::url_without_credentials;

/// How long a hub that did not answer is not tried again.
const HOLDS: Duration = Duration::from_secs(60);

/// The hub that did not answer in time, and when that was.
static SILENT: Mutex<Option<(String, Instant)>> = Mutex::new(None);

/// Connects to the hub, which is to send `what`. An endpoint that is no address is left to the
/// client, which refuses it.
///
/// # Errors
/// Returns which hub cannot be reached, and why.
pub(crate) fn check_reachable(options: &HubOptions, what: &str) -> Result<(), String> {
    let Ok(url) = Url::parse(&options.endpoint) else {
        return Ok(());
    };
    if !url.has_host() || url.port_or_known_default().is_none() {
        return Ok(());
    }
    let limit = FIRST_CONNECTION.min(options.timeout);
    let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_silent = silent
        .as_ref()
        .is_some_and(|(hub, since)| *hub == options.endpoint && since.elapsed() < HOLDS);
    let result = if is_silent {
        Err(NoConnection::Late(limit))
    } else {
        connect_first(&url, limit)
    };
    let cause = match result {
        Ok(()) => return Ok(()),
        Err(NoConnection::Refused(cause)) => cause,
        Err(NoConnection::Late(limit)) => {
            if !is_silent {
                *silent = Some((options.endpoint.clone(), Instant::now()));
            }
            format!("no connection within {} s", limit.as_secs_f64())
        }
    };
    Err(format!(
        "cannot reach {} for {what} ({cause})",
        url_without_credentials(&options.endpoint)
    ))
}
