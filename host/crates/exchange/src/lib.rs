//! The path of an exchange, and what it needs from the rest of the house ([`ports`]).

pub mod ports;
