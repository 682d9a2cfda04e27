//! Native matching of declared patterns.
