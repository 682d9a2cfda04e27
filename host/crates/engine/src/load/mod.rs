//! From a file in the policy folder to a compiled component.
