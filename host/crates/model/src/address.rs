//! Addresses that no name may lead to.

use std::net::{IpAddr, Ipv6Addr};

/// Whether an address is link-local, or one on which clouds hand credentials to whatever runs on a machine. A name that
/// resolves to one leads there by mistake or by malice; an operator who means it writes the address itself.
#[must_use]
pub fn serves_metadata(address: IpAddr) -> bool {
    // AWS on IPv6; Alibaba, Azure's wire server and Oracle's classic service on IPv4.
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const OTHERS: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || OTHERS.contains(&v4.octets()),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == AWS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_known_in_every_form() {
        for address in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"] {
            assert!(serves_metadata(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "127.0.0.1", "fd00::1", "::1", "100.64.0.1"] {
            assert!(!serves_metadata(address.parse().unwrap()), "{address}");
        }
    }
}
