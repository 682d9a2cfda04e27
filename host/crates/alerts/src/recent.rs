//! A map of bounded size that forgets what was not looked at for longest, in two generations: what is looked at moves to
//! the young one; when that is half of all, the old one is forgotten and the young one is the old one.
//!
//! What must hold: never more than the bound; what was looked at last is not forgotten before half of the bound has been
//! looked at since.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(crate) fn new(bound: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (bound / 2).max(1) }
    }

    /// What is known of a key.
    pub(crate) fn get<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.put(key, value);
        }
        self.young.get_mut(key)
    }

    /// Remembers a key that is not known.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_at_stays_and_the_rest_is_forgotten() {
        let mut recent = Recent::new(10);
        recent.put(0, 'x');
        for key in 1..1000 {
            assert_eq!(recent.get(&0), Some(&mut 'x'), "after {key}");
            recent.put(key, 'y');
            assert!(recent.len() <= 10);
        }
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.remove(&0), Some('x'));
        assert_eq!(recent.get(&0), None);
    }
}
