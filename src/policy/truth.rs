//! Kleene's three-valued logic: false and unknown is false, true or unknown is true.

use serde::Serialize;

/// What a condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be said.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// From a comparison that could be made.
    #[must_use]
    pub const fn of(holds: bool) -> Self {
        if holds { Truth::True } else { Truth::False }
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::True, Truth::True) => Truth::True,
            _ => Truth::Unknown,
        }
    }

    /// Either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    /// The contrary; of the unknown, the unknown.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown};

    #[test]
    fn the_tables_are_kleenes() {
        let and = [
            (False, False, False),
            (False, Unknown, False),
            (False, True, False),
            (Unknown, False, False),
            (Unknown, Unknown, Unknown),
            (Unknown, True, Unknown),
            (True, False, False),
            (True, Unknown, Unknown),
            (True, True, True),
        ];
        for (a, b, both) in and {
            assert_eq!(a.and(b), both, "{a:?} and {b:?}");
        }
        let or = [
            (False, False, False),
            (False, Unknown, Unknown),
            (False, True, True),
            (Unknown, False, Unknown),
            (Unknown, Unknown, Unknown),
            (Unknown, True, True),
            (True, False, True),
            (True, Unknown, True),
            (True, True, True),
        ];
        for (a, b, either) in or {
            assert_eq!(a.or(b), either, "{a:?} or {b:?}");
        }
        assert_eq!([True.not(), Unknown.not(), False.not()], [False, Unknown, True] as [Truth; 3]);
    }
}
