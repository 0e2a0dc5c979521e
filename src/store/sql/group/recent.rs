//! Values by name for a while: a bound on how many there are and on how old they get. Knows nothing of what they are.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How much of each kind is kept in one generation; there are two of them.
const AT_MOST: usize = 3072;
/// How long a generation takes things in. Bounded, because the release before this one gives places in a limit back without
/// changing the counter's row.
pub(super) const TURNS_AFTER: Duration = Duration::from_secs(30);
/// Values by name that are forgotten in the order in which they came.
pub(super) struct Recent<V> {
    young: HashMap<String, V>,
    old: HashMap<String, V>,
    turned: Instant,
}

impl<V> Recent<V> {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), turned: Instant::now() }
    }

    pub(super) fn get(&mut self, name: &str) -> Option<&mut V> {
        if self.turned.elapsed() > TURNS_AFTER {
            self.turn();
        }
        self.young.get_mut(name).or_else(|| self.old.get_mut(name))
    }

    pub(super) fn put(&mut self, name: &str, value: V) {
        if self.young.len() >= AT_MOST {
            self.turn();
        }
        self.old.remove(name);
        self.young.insert(name.to_owned(), value);
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
        if self.turned.elapsed() > TURNS_AFTER * 2 {
            self.old.clear();
        }
        self.turned = Instant::now();
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.young.remove(name);
        self.old.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_is_forgotten_first() {
        let mut recent = Recent::new();
        for number in 0..=AT_MOST * 2 {
            recent.put(&number.to_string(), number);
        }
        assert!(recent.get("0").is_none());
        assert_eq!(recent.get(&(AT_MOST * 2).to_string()).copied(), Some(AT_MOST * 2));
        assert!(recent.young.len() + recent.old.len() <= AT_MOST * 2);
    }
}
