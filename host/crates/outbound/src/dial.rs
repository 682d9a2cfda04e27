//! From a name to a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use model::address::serves_metadata;
use tokio::{net::TcpStream, time::sleep};

/// After this the next address is dialled as well (RFC 8305, 5: Connection Attempt Delay): one that is silent takes the
/// deadline from no other.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Resolves a host (a name, or an address as it is written in a URL without brackets) once and dials what was resolved,
/// in that order: the next one as soon as one has failed, or has been silent for a moment. The first that answers is
/// taken. A name never leads to an address that serves metadata; that address itself may be named. `may` tells which
/// addresses may be dialled besides.
///
/// # Errors
/// Why none of them could be had: the last cause, with host and port.
pub async fn connect(host: &str, port: u16, may: impl Fn(IpAddr) -> bool) -> io::Result<TcpStream> {
    let told = |cause: String| io::Error::other(format!("{host}:{port}: {cause}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| told(error.to_string()))?;
    let allowed = allowed(host, found, may).map_err(told)?;
    let stream = first_of(&allowed).await.map_err(|error| told(error.to_string()))?;
    stream.set_nodelay(true).map_err(|error| told(error.to_string()))?;
    Ok(stream)
}

/// Those of a host's addresses that may be dialled; else why the last of them may not.
fn allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    may: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, String> {
    let by_address = host.parse::<IpAddr>().is_ok();
    let mut cause = "the name has no address".to_owned();
    let mut allowed = Vec::new();
    for address in found {
        let ip = address.ip();
        if !by_address && serves_metadata(ip) {
            cause = format!("resolves to the link-local or metadata address {ip}, which must be named itself");
        } else if !may(ip) {
            cause = format!("resolves to {ip}, which may not be dialled for this");
        } else {
            allowed.push(address);
        }
    }
    if allowed.is_empty() { Err(cause) } else { Ok(allowed) }
}

/// The first of these that answers; else why the last of them did not.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut cause = io::Error::other("there is no address");
    let (mut next, mut dialing) = (addresses.iter(), FuturesUnordered::new());
    loop {
        match next.next() {
            Some(address) => dialing.push(TcpStream::connect(*address)),
            None if dialing.is_empty() => return Err(cause),
            None => {}
        }
        tokio::select! {
            Some(dialled) = dialing.next() => match dialled {
                Ok(stream) => return Ok(stream),
                Err(error) => cause = error,
            },
            () = sleep(NEXT_AFTER), if next.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        net::{TcpListener, TcpSocket},
        time::Instant,
    };

    use super::*;

    /// An address that answers nobody: its queue is full, so that the system drops who comes.
    async fn silent() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (address, listener, queued)
    }

    #[tokio::test]
    async fn an_address_that_is_silent_takes_no_time_from_the_next() {
        let (dead, _listener, _queued) = silent().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = alive.local_addr().unwrap();
        let began = Instant::now();
        let stream = first_of(&[dead, closed, dead, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!((2 * NEXT_AFTER..4 * NEXT_AFTER).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_at_once_and_the_last_says_why() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(first_of(&[closed, alive.local_addr().unwrap()]).await.is_ok());
        let refused = first_of(&[closed, closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_name_leads_to_no_address_that_serves_metadata() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 80);
        for ip in ["169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            let refused = allowed("model.example", [at(ip)].into_iter(), |_| true).unwrap_err();
            assert!(refused.contains("must be named itself"), "{refused}");
            assert_eq!(allowed(ip, [at(ip)].into_iter(), |_| true), Ok(vec![at(ip)]), "who names it means it");
            let both = [at(ip), at("192.0.2.1")];
            assert_eq!(allowed("model.example", both.into_iter(), |_| true), Ok(vec![at("192.0.2.1")]));
        }
        let refused = allowed("localhost", [at("192.0.2.1")].into_iter(), |to| to.is_loopback()).unwrap_err();
        assert!(refused.contains("may not be dialled"), "{refused}");
        assert!(allowed("model.example", [].into_iter(), |_| true).is_err());
    }

    #[tokio::test]
    async fn what_may_not_be_dialled_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("127.0.0.1", port, |_| true).await.is_ok());
        let refused = connect("localhost", port, |_| false).await.unwrap_err().to_string();
        assert!(refused.contains("may not be dialled"), "{refused}");
    }
}
