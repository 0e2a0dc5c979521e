//! Conditions as trees: `all`, `any` and `not` over questions of any sort, answered in Kleene's logic.
//!
//! The one place that joins answers: rules, exceptions, quantifiers and traces all go through [`Tree::ask`].

use super::truth::Truth;

/// A slot: the place of a fact among those that a policy reads.
pub(super) type Slot = u32;

/// The answer to a question, with what stood in the way if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// The fact in this slot is absent or unknown.
    Missing(Slot),
    /// The fact in this slot has a value of a type that the question cannot be asked of.
    OtherType(Slot),
    /// The fact in this slot is empty, and everything contains nothing: that is no evidence.
    Empty(Slot),
}

impl Answer {
    pub(super) const fn of(holds: bool) -> Self {
        if holds { Answer::Yes } else { Answer::No }
    }

    pub(super) const fn truth(self) -> Truth {
        match self {
            Answer::Yes => Truth::True,
            Answer::No => Truth::False,
            Answer::Missing(_) | Answer::OtherType(_) | Answer::Empty(_) => Truth::Unknown,
        }
    }

    /// Whether it holds, or what stood in the way.
    pub(super) const fn known(self) -> Result<Option<bool>, Self> {
        match self {
            Answer::Yes => Ok(Some(true)),
            Answer::No => Ok(Some(false)),
            missing => Err(missing),
        }
    }

    pub(super) const fn not(self) -> Self {
        match self {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            missing => missing,
        }
    }
}

/// Questions joined by `all`, `any` and `not`.
#[derive(Debug, Clone)]
pub(super) enum Tree<Q> {
    All(Vec<Tree<Q>>),
    Any(Vec<Tree<Q>>),
    Not(Box<Tree<Q>>),
    Leaf(Q),
}

impl<Q> Tree<Q> {
    /// One part stands for itself; several are joined.
    pub(super) fn all(mut parts: Vec<Self>) -> Option<Self> {
        if parts.len() == 1 { parts.pop() } else { Some(Tree::All(parts)) }
    }

    pub(super) fn any(mut parts: Vec<Self>) -> Option<Self> {
        if parts.len() == 1 { parts.pop() } else { Some(Tree::Any(parts)) }
    }

    /// What the tree comes to, by what its questions are answered. Of several missing answers the first is named.
    pub(super) fn ask(&self, question: &mut impl FnMut(&Q) -> Answer) -> Answer {
        match self {
            Tree::All(parts) => every(parts, |part| part.ask(question)),
            Tree::Any(parts) => some(parts, |part| part.ask(question)),
            Tree::Not(part) => part.ask(question).not(),
            Tree::Leaf(leaf) => question(leaf),
        }
    }

    /// Every question of the tree.
    pub(super) fn leaves<'t>(&'t self, visit: &mut impl FnMut(&'t Q)) {
        match self {
            Tree::All(parts) | Tree::Any(parts) => parts.iter().for_each(|part| part.leaves(visit)),
            Tree::Not(part) => part.leaves(visit),
            Tree::Leaf(leaf) => visit(leaf),
        }
    }

    /// The questions that must all hold for the tree to hold.
    pub(super) fn required<'t>(&'t self, visit: &mut impl FnMut(&'t Q)) {
        match self {
            Tree::All(parts) => parts.iter().for_each(|part| part.required(visit)),
            Tree::Leaf(leaf) => visit(leaf),
            Tree::Any(_) | Tree::Not(_) => {}
        }
    }
}

/// Kleene's conjunction: one `no` settles it, whatever else is missing.
pub(super) fn every<T>(items: impl IntoIterator<Item = T>, mut ask: impl FnMut(T) -> Answer) -> Answer {
    let mut seen = Answer::Yes;
    for item in items {
        match ask(item) {
            Answer::No => return Answer::No,
            Answer::Yes => {}
            missing if seen == Answer::Yes => seen = missing,
            _ => {}
        }
    }
    seen
}

/// Kleene's disjunction: one `yes` settles it, whatever else is missing.
pub(super) fn some<T>(items: impl IntoIterator<Item = T>, mut ask: impl FnMut(T) -> Answer) -> Answer {
    every(items, |item| ask(item).not()).not()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of truths through the tree must come to what Kleene's tables say.
    #[test]
    fn trees_come_to_what_the_tables_say() {
        let all = [Answer::Yes, Answer::No, Answer::Missing(0)];
        for a in all {
            for b in all {
                let pair = || vec![Tree::Leaf(a), Tree::Leaf(b)];
                let ask = |tree: Tree<Answer>| tree.ask(&mut |leaf| *leaf).truth();
                assert_eq!(ask(Tree::All(pair())), a.truth().and(b.truth()), "{a:?} and {b:?}");
                assert_eq!(ask(Tree::Any(pair())), a.truth().or(b.truth()), "{a:?} or {b:?}");
            }
            assert_eq!(Tree::Not(Box::new(Tree::Leaf(a))).ask(&mut |leaf| *leaf).truth(), a.truth().not());
        }
        assert_eq!(every::<Answer>([], |answer| answer), Answer::Yes);
        assert_eq!(some::<Answer>([], |answer| answer), Answer::No);
    }
}
