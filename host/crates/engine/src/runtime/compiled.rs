//! Compiled patterns, shared by all policies and versions of policies that declare the same.
//!
//! Compiling those of `mask` takes longer than all else that follows from a change of its settings, and most changes
//! leave them as they are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use patterns::{PatternProblem, PatternSpec, Patterns};

/// What is in use, by what was asked for.
#[derive(Default)]
pub(super) struct CompiledPatterns(Mutex<Vec<(Vec<PatternSpec>, Weak<Patterns>)>>);

impl CompiledPatterns {
    /// These patterns, compiled; on a thread of its own when they are not in use yet.
    ///
    /// # Errors
    /// The first pattern that can't be taken, and why.
    pub(super) async fn get(&self, specs: Vec<PatternSpec>) -> Result<Arc<Patterns>, PatternProblem> {
        if let Some(patterns) = self.in_use(&specs) {
            return Ok(patterns);
        }
        let compiling = tokio::task::spawn_blocking(move || {
            let patterns = Patterns::compile(&specs);
            (patterns.map(|patterns| Arc::new(patterns.doing_what_takes_long(exchange::while_others_go_on))), specs)
        });
        let (patterns, specs) = compiling.await.map_err(|error| PatternProblem {
            index: usize::MAX,
            message: format!("the host failed while compiling it: {error}"),
        })?;
        let patterns = patterns?;
        self.lock().push((specs, Arc::downgrade(&patterns)));
        Ok(patterns)
    }

    fn in_use(&self, specs: &[PatternSpec]) -> Option<Arc<Patterns>> {
        let mut all = self.lock();
        all.retain(|(_, patterns)| patterns.strong_count() > 0);
        all.iter().find(|(other, _)| other == specs).and_then(|(_, patterns)| patterns.upgrade())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Vec<PatternSpec>, Weak<Patterns>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(regex: &str) -> Vec<PatternSpec> {
        vec![PatternSpec { id: "x".into(), regex: regex.into(), check: String::new(), max_length: 9 }]
    }

    #[tokio::test]
    async fn the_same_patterns_are_shared_as_long_as_they_are_in_use() {
        let compiled = CompiledPatterns::default();
        let one = compiled.get(specs("ab")).await.unwrap();
        let same = compiled.get(specs("ab")).await.unwrap();
        assert!(Arc::ptr_eq(&one, &same));
        let other = compiled.get(specs("cd")).await.unwrap();
        assert!(!Arc::ptr_eq(&one, &other));
        drop((one, same));
        assert!(compiled.in_use(&specs("ab")).is_none());
        assert!(compiled.in_use(&specs("cd")).is_some());
        assert_eq!(compiled.lock().len(), 1, "what nobody uses is forgotten");
    }

    #[tokio::test]
    async fn patterns_that_cannot_be_taken_are_named_each_time() {
        let compiled = CompiledPatterns::default();
        for _ in 0..2 {
            assert_eq!(compiled.get(specs("(")).await.unwrap_err().index, 0);
        }
        assert!(compiled.lock().is_empty());
    }
}
