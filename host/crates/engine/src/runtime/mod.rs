//! The sandbox: one engine for the host, one fresh store for each exchange and policy.
