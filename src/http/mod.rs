//! HTTP clients of hubs and of endpoints: certificates of the system, proxies of the environment, errors of one
//! vocabulary.

mod first_connection;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use ureq::config::RedirectAuthHeaders;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error, Proxy, Timeout};
use url::Url;

pub(crate) use first_connection::{FIRST_CONNECTION, NoConnection, connect_first};

/// Settings of a client.
pub(crate) struct HttpLimits {
    /// Longest wait for a name's address, and then for a connection.
    pub connect: Duration,
    /// Longest wait for each piece of a reply.
    pub read: Duration,
    /// Longest time from the request to the reply's last byte.
    pub whole: Option<Duration>,
    /// Redirects that are followed; credentials stay with the host they are for.
    pub redirects: u32,
    /// Connections that are kept open to a host.
    pub connections: usize,
}

/// A client for `address`, where a status that is an error is a reply like others.
pub(crate) fn agent(address: &Url, limits: &HttpLimits) -> Agent {
    let tls = TlsConfig::builder().root_certs(trusted_certificates());
    Agent::config_builder()
        .user_agent(concat!("chartbench/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_per_read(Some(limits.read))
        .timeout_global(limits.whole)
        .max_redirects(limits.redirects)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .max_idle_connections(limits.connections)
        .max_idle_connections_per_host(limits.connections)
        .proxy(proxy(address, |name| std::env::var(name).ok()))
        .tls_config(tls.build())
        .build()
        .new_agent()
}

/// The certificates that the system trusts (or `SSL_CERT_FILE`); Mozilla's list where it has none.
fn trusted_certificates() -> RootCerts {
    let system = rustls_native_certs::load_native_certs().certs;
    if system.is_empty() {
        return RootCerts::WebPki;
    }
    system
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .into()
}

/// The proxy that the environment names for `address`: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme, else `ALL_PROXY`,
/// in either case. `NO_PROXY` lists hosts, domains (with their subdomains), addresses and networks
/// (`10.0.0.0/8`) without one.
fn proxy(address: &Url, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let (_, url) = proxy_variable(address, &variable)?;
    let from = Proxy::new(&url).ok()?;
    let mut proxy = Proxy::builder(from.protocol())
        .host(from.host())
        .port(from.port());
    if let Some(username) = from.username() {
        proxy = proxy.username(username);
    }
    if let Some(password) = from.password() {
        proxy = proxy.password(password);
    }
    let host = address.host_str()?.trim_matches(['[', ']']);
    let ip: Option<IpAddr> = host.parse().ok();
    let no_proxy = set_variable("no_proxy", &variable);
    for entry in no_proxy.iter().flat_map(|(_, list)| list.split(',')) {
        let entry = entry.trim();
        let network = entry.parse::<IpNet>().ok();
        if network
            .zip(ip)
            .is_some_and(|(network, ip)| network.contains(&ip))
        {
            return None;
        }
        if !entry.is_empty() {
            let domain = format!(".{}", entry.trim_start_matches('.'));
            proxy = proxy.no_proxy(entry).no_proxy(&domain);
        }
    }
    proxy.build().ok()
}

/// The variable that names the proxy for `address`, and its value.
fn proxy_variable(
    address: &Url,
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    set_variable(&format!("{}_proxy", address.scheme()), variable)
        .or_else(|| set_variable("all_proxy", variable))
}

/// The variable `name` in upper or lower case, whichever is set, and its value.
fn set_variable(
    name: &str,
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<(String, String)> {
    [name.to_uppercase(), name.to_lowercase()]
        .into_iter()
        .find_map(|name| {
            let value = variable(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })
}

/// Whether requests to `address` go through a proxy.
fn has_proxy(address: &Url) -> bool {
    proxy_name(address).is_some()
}

/// The proxy that requests to `address` go through, as messages name it: its host and port, and the
/// variable that names it. User and password are left out.
pub(crate) fn proxy_name(address: &Url) -> Option<String> {
    describe_proxy(address, |name| std::env::var(name).ok())
}

fn describe_proxy(address: &Url, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let proxy = proxy(address, &variable)?;
    let uri = address.as_str().parse();
    if uri.is_ok_and(|uri| proxy.is_no_proxy(&uri)) {
        return None;
    }
    let (name, _) = proxy_variable(address, &variable)?;
    Some(format!(
        "{}:{}, which {name} names",
        proxy.host(),
        proxy.port()
    ))
}

/// Why a request brought no whole reply. Causes name no address: one may carry a password or a
/// signature.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// No connection in time.
    ConnectTimeout,
    /// No connection: refused, unknown name, no certificate that is trusted.
    Connect(String),
    /// Nothing, or not everything, came in time.
    Timeout,
    /// The connection ended within the exchange.
    Broken(String),
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout(Timeout::Resolve | Timeout::Connect) => Self::ConnectTimeout,
            Error::Timeout(_) => Self::Timeout,
            Error::HostNotFound => Self::Connect("no address is known for its name".to_owned()),
            Error::ConnectionFailed
            | Error::ConnectProxyFailed(_)
            | Error::InvalidProxyUrl
            | Error::Pem(_)
            | Error::Rustls(_)
            | Error::Tls(_) => Self::Connect(error.to_string()),
            Error::Io(error) => {
                let cause = innermost(&error);
                match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout,
                    io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::PermissionDenied => Self::Connect(cause),
                    io::ErrorKind::UnexpectedEof => {
                        Self::Broken("the connection ended early".to_owned())
                    }
                    _ => Self::Broken(cause),
                }
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<io::Error> for HttpError {
    /// Errors of a body's reader.
    fn from(error: io::Error) -> Self {
        Error::from(error).into()
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host of the proxy for an address; `-` for none.
    fn host(address: &str, variables: &[(&str, &str)]) -> String {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let address = Url::parse(address).unwrap();
        let uri = address.as_str().parse().unwrap();
        proxy(&address, variable)
            .filter(|proxy| !proxy.is_no_proxy(&uri))
            .map_or_else(|| "-".to_owned(), |proxy| proxy.host().to_owned())
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let both = [("HTTP_PROXY", "http://a:1"), ("https_proxy", "http://b:1")];
        assert_eq!(host("http://hub.example", &both), "a");
        assert_eq!(host("https://hub.example", &both), "b");
        assert_eq!(
            host("http://localhost:8000", &[("HTTPS_PROXY", "b:1")]),
            "-"
        );
        assert_eq!(
            host("http://hub.example", &[("ALL_PROXY", "http://me:you@c:1")]),
            "c"
        );
        assert_eq!(host("http://hub.example", &[("HTTP_PROXY", "")]), "-");
    }

    #[test]
    fn hosts_domains_addresses_and_networks_go_without() {
        let go =
            |address: &str, list: &str| host(address, &[("HTTP_PROXY", "p:1"), ("NO_PROXY", list)]);
        for list in ["hub.example", "x, hub.example", ".example", "example", "*"] {
            assert_eq!(go("http://hub.example", list), "-", "{list}");
        }
        for list in ["hub", "ub.example", "10.0.0.0/8", "", " "] {
            assert_eq!(go("http://hub.example", list), "p", "{list}");
        }
        assert_eq!(go("http://10.1.2.3:8000", "10.0.0.0/8"), "-");
        assert_eq!(go("http://[fd00::1]:8000", "fd00::/8"), "-");
        assert_eq!(go("http://11.1.2.3:8000", "10.0.0.0/8,10.1.2.3"), "p");
    }

    #[test]
    fn a_proxy_is_named_by_its_variable_and_without_its_password() {
        let variables = [
            ("https_proxy", "http://me:hunter2@proxy.example:3128"),
            ("NO_PROXY", "10.0.0.0/8"),
        ];
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let name = |address: &str| describe_proxy(&Url::parse(address).unwrap(), variable);
        assert_eq!(
            name("https://api.example/v1").unwrap(),
            "proxy.example:3128, which https_proxy names"
        );
        assert_eq!(name("https://10.1.2.3/v1"), None);
        assert_eq!(name("http://api.example/v1"), None);
    }
}
