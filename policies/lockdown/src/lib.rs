//! lockdown
