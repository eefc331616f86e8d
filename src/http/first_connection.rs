//! The first connection to a server: whether it can be made is known within seconds, before a
//! request is sent and sent again.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::Builder;
use std::time::{Duration, Instant};

use url::Url;

use super::has_proxy;

/// Longest wait for a first connection.
pub(crate) const FIRST_CONNECTION: Duration = Duration::from_secs(2);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Why no connection was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// The name is unknown, or every address refuses: the cause.
    Refused(String),
    /// No address answered within this time.
    Late(Duration),
}

/// Connects to the server of `url`, and sends nothing. All addresses of its name are tried at the
/// same time. With a proxy it is the proxy that connects: then nothing is tried.
///
/// # Errors
/// Returns why there is no connection within `limit`.
pub(crate) fn connect_first(url: &Url, limit: Duration) -> Result<(), NoConnection> {
    if has_proxy(url) {
        return Ok(());
    }
    let until = Instant::now() + limit;
    let (sender, results) = mpsc::channel();
    let url = url.clone();
    // Resolving a name has no time-out of its own.
    let begun = Builder::new().spawn(move || connect_to_all(&url, limit, &sender));
    let (mut refused, mut late) = (None, begun.is_err());
    loop {
        match results.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => late = true,
            Ok(Err(error)) => refused = Some(error.to_string()),
            Err(RecvTimeoutError::Timeout) => return Err(NoConnection::Late(limit)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(match refused {
                    Some(cause) if !late => NoConnection::Refused(cause),
                    _ => NoConnection::Late(limit),
                });
            }
        }
    }
}

/// Sends what comes of a connection to each address of `url`.
fn connect_to_all(url: &Url, limit: Duration, results: &Sender<io::Result<()>>) {
    let addresses = match url.socket_addrs(|| None) {
        Ok(addresses) => addresses,
        Err(error) => {
            let _ = results.send(Err(error));
            return;
        }
    };
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        let sender = results.clone();
        let connect = move |address: SocketAddr| {
            let _ = sender.send(TcpStream::connect_timeout(&address, limit).map(drop));
        };
        if let Err(error) = Builder::new().spawn(move || connect(address)) {
            let _ = results.send(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_refused_connection_is_known_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        if has_proxy(&url) {
            return;
        }
        assert_eq!(connect_first(&url, FIRST_CONNECTION), Ok(()));
        drop(listener);
        let begun = Instant::now();
        let refused = connect_first(&url, FIRST_CONNECTION);
        assert!(
            matches!(&refused, Err(NoConnection::Refused(cause)) if cause.contains("refused")),
            "{refused:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_name_that_does_not_resolve_is_not_waited_for() {
        let url = Url::parse("http://no-such-host.invalid").unwrap();
        if has_proxy(&url) {
            return;
        }
        let begun = Instant::now();
        assert!(connect_first(&url, Duration::from_millis(300)).is_err());
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}
