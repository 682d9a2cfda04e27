//! How many files and sockets the process may have open, and who gets how many of them.
//!
//! What must hold: however many callers come, the store, the policies and the control listener still get the files that
//! they need. What is refused for want of one is refused to whoever comes in, and to nobody who guards.

use std::io;

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// What callers and upstreams never get: the control listener's connections (128), the store's files, compilers of
/// policies, the way to issuers and webhooks.
const RESERVE: usize = 256;

/// What is left for callers and upstreams, or nothing is begun.
const LEAST: usize = 64;

/// Idle connections to upstreams get no more than this part of what is left.
const IDLE_PART: usize = 4;

/// Raises the bound to what the system allows, and says what that is.
///
/// # Errors
/// When the system refuses.
pub(crate) fn raise() -> io::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// Lowers what the limits promise to callers and to so many upstreams until it fits under a bound of open files, and says
/// what was lowered.
///
/// # Errors
/// When hardly anybody could be served.
pub(crate) fn fit(limits: &mut Limits, upstreams: usize, files: usize) -> anyhow::Result<Option<String>> {
    if files < RESERVE + LEAST {
        bail!(
            "the process may have {files} files open (ulimit -Hn, LimitNOFILE=), and a host needs {} at the least",
            RESERVE + LEAST
        );
    }
    let all = files - RESERVE;
    let Limits { client_connections: wanted, exchanges, upstream_pool: pool, .. } = *limits;
    // Each caller's connection has one exchange at once, and that one connection to an upstream.
    let most = wanted.saturating_add(wanted.min(exchanges)).saturating_add(pool.saturating_mul(upstreams));
    if most <= all {
        return Ok(None);
    }
    limits.upstream_pool = pool.min(all / IDLE_PART / upstreams.max(1));
    let left = all - limits.upstream_pool * upstreams;
    limits.client_connections = wanted.min(left.saturating_sub(exchanges).max(left / 2));
    Ok(Some(format!(
        "the process may have {files} files open (ulimit -Hn, LimitNOFILE=), and the limits could need {}: \
         client_connections = {} and upstream_pool = {} are in force in place of {wanted} and {pool}",
        most.saturating_add(RESERVE),
        limits.client_connections,
        limits.upstream_pool,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that limits may need at most.
    fn needed(limits: &Limits, upstreams: usize) -> usize {
        let Limits { client_connections, exchanges, upstream_pool, .. } = *limits;
        RESERVE + client_connections + client_connections.min(exchanges) + upstream_pool * upstreams
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let mut limits = Limits::default();
        assert_eq!(fit(&mut limits, 2, 1 << 19).unwrap(), None);
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn what_does_not_fit_is_lowered_until_it_does_and_said() {
        for (clients, exchanges, pool) in [(1024, 1024, 1024), (1 << 20, 1, 0), (1 << 20, 1 << 20, 1 << 16), (1, 1, 9)]
        {
            for upstreams in [0, 1, 3, 500] {
                for files in [RESERVE + LEAST, 1024, 4096] {
                    let mut limits =
                        Limits { client_connections: clients, exchanges, upstream_pool: pool, ..Limits::default() };
                    let wanted = needed(&limits, upstreams);
                    let told = fit(&mut limits, upstreams, files).unwrap();
                    assert_eq!(told.is_some(), wanted > files, "{limits:?}");
                    assert!(
                        needed(&limits, upstreams) <= files && limits.client_connections > 0,
                        "{files}: {limits:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn where_hardly_anybody_could_be_served_nothing_is_begun() {
        assert!(fit(&mut Limits::default(), 1, RESERVE).is_err());
    }
}
