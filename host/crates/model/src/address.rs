//! Addresses that no name may lead to, and names that must lead to this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is link-local, or one on which clouds hand credentials to whatever runs on a machine. A name that
/// resolves to one leads there by mistake or by malice; an operator who means it writes the address itself.
#[must_use]
pub fn serves_metadata(address: IpAddr) -> bool {
    // AWS on IPv6; Alibaba, Azure's wire server and Oracle's classic service on IPv4.
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const OTHERS: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
    let address = match address.to_canonical() {
        IpAddr::V6(v6) => carried(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || OTHERS.contains(&v4.octets()),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == AWS,
    }
}

/// Whether a host, as it stands in a URL (an IPv6 address in brackets or not), is this machine. `localhost` is, by its name:
/// whoever dials it for that makes sure that it leads to a loopback address.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// The IPv4 address that a gateway makes of an IPv6 one: NAT64 (RFC 6052, the well-known prefix; RFC 8215, as its /96
/// is written), 6to4 (RFC 3056), and the old IPv4-compatible form (RFC 4291, 2.5.5.1).
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let (high, low) = match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0 | 1, _, _, _] | [0, 0, 0, 0, 0, 0] => (high, low),
        [0x2002, high, low, _, _, _] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses_and_one_name() {
        for host in ["localhost", "Localhost", "127.0.0.1", "127.0.0.2", "[::1]", "::1", "[::ffff:127.0.0.1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "0.0.0.0", "127.1"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn metadata_addresses_are_known_in_every_form() {
        for address in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"] {
            assert!(serves_metadata(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "127.0.0.1", "fd00::1", "::1", "100.64.0.1"] {
            assert!(!serves_metadata(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn metadata_addresses_are_known_behind_a_gateway_to_ipv4() {
        for address in [
            "64:ff9b::169.254.169.254",
            "64:ff9b::6464:64c8",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2002:a9fe:a9fe:1:2:3:4:5",
            "::169.254.169.254",
        ] {
            assert!(serves_metadata(address.parse().unwrap()), "{address}");
        }
        for address in
            ["64:ff9b::8.8.8.8", "2002:808:808::a9fe:a9fe", "64:ff9a::169.254.169.254", "2001:db8::a9fe:a9fe", "::"]
        {
            assert!(!serves_metadata(address.parse().unwrap()), "{address}");
        }
    }
}
