//! From a name to a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use model::address::serves_metadata;
use tokio::net::TcpStream;

/// Resolves a host (a name, or an address as it is written in a URL without brackets) once and dials what was resolved,
/// one address after the other. A name never leads to an address that serves metadata; that address itself may be
/// named. `may` tells which addresses may be dialled besides.
///
/// # Errors
/// Why none of them could be had: the last cause, with host and port.
pub async fn connect(host: &str, port: u16, may: impl Fn(IpAddr) -> bool) -> io::Result<TcpStream> {
    let told = |cause: String| io::Error::other(format!("{host}:{port}: {cause}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| told(error.to_string()))?;
    let addresses: Vec<SocketAddr> = found.collect();
    let by_address = host.parse::<IpAddr>().is_ok();
    let mut cause = told("the name has no address".to_owned());
    for address in addresses {
        let ip = address.ip();
        if !by_address && serves_metadata(ip) {
            cause = told(format!("resolves to the link-local or metadata address {ip}, which must be named itself"));
            continue;
        }
        if !may(ip) {
            cause = told(format!("resolves to {ip}, which may not be dialled for this"));
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| told(error.to_string()))?;
                return Ok(stream);
            }
            Err(error) => cause = told(error.to_string()),
        }
    }
    Err(cause)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_may_not_be_dialled_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("127.0.0.1", port, |_| true).await.is_ok());
        let refused = connect("localhost", port, |_| false).await.unwrap_err().to_string();
        assert!(refused.contains("may not be dialled"), "{refused}");
    }
}
