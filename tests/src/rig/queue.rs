//! How much a socket of this machine has received and its process has not read: asked of the kernel, so that a script
//! can go on exactly when a cut has been seen, with no guess about time (Linux, sock_diag(7)).

use std::{net::SocketAddr, os::fd::OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink};

/// `SOCK_DIAG_BY_FAMILY`, the one kind of request; its answer is of the same kind.
const BY_FAMILY: u16 = 20;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Where `idiag_rqueue` stands in the answer: behind the header, 4 bytes, the socket's id of 48, and `idiag_expires`.
const RECEIVE_QUEUE: usize = HEADER + 4 + 48 + 4;

/// Bytes that the TCP socket between these two (IPv4) addresses has received and its owner, who is at `local`, has not
/// read; `None` when there is no such socket any more.
///
/// # Panics
/// When the kernel can't be asked.
pub fn unread(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let kernel = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG));
    let answer = kernel.and_then(|kernel: OwnedFd| {
        rustix::net::send(&kernel, &question(local, remote), SendFlags::empty())?;
        let mut answer = vec![0; 4096];
        let (_, length) = rustix::net::recv(&kernel, &mut answer[..], RecvFlags::empty())?;
        answer.truncate(length);
        Ok(answer)
    });
    let answer = answer.expect("the kernel answers questions about sockets (sock_diag)");
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let queue = u32::from_ne_bytes(answer.get(RECEIVE_QUEUE..RECEIVE_QUEUE + 4)?.try_into().ok()?);
    (kind == BY_FAMILY).then_some(queue)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` for exactly one socket.
fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let mut request = vec![u8::try_from(AddressFamily::INET.as_raw()).expect("it is 2"), TCP, 0, 0];
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    for address in [local, remote] {
        let mut sixteen = [0; 16];
        if let SocketAddr::V4(address) = address {
            sixteen[..4].copy_from_slice(&address.ip().octets());
        }
        request.extend(sixteen);
    }
    request.extend(0_u32.to_ne_bytes());
    // INET_DIAG_NOCOOKIE
    request.extend([0xff; 8]);
    let length = u32::try_from(HEADER + request.len()).expect("it is 72");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    // NLM_F_REQUEST
    message.extend(1_u16.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(request);
    message
}
