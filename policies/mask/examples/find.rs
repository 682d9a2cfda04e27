//! Finds values in texts with the policy as it ships: JSON strings on stdin, one a line; on stdout for each a JSON array
//! of `[start, end, recogniser]`, in bytes. `policies/mask/quality` measures it with this.
//!
//! ```text
//! echo '"my ssn is 078-05-1120"' | cargo run --release -p mask --example find
//! ```

use std::io::{self, BufRead as _, Write as _};

use mask::Mask;
use policy_sdk::rig::{End, Rig};

fn main() -> io::Result<()> {
    let other = |why: String| io::Error::other(why);
    let rig = Rig::<Mask>::new("").map_err(|problems| other(format!("{problems:?}")))?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let outcome = rig.run(&[&text]);
        if outcome.end != End::Complete {
            return Err(other(format!("{:?}", outcome.end)));
        }
        let names = outcome.reasons.iter().map(|reason| reason.strip_prefix("mask.").unwrap_or(reason));
        let found: Vec<_> = outcome.spans.iter().zip(names).map(|(span, name)| (span.start, span.end, name)).collect();
        writeln!(out, "{}", serde_json::to_string(&found)?)?;
    }
    Ok(())
}
