//! Where the next of what waits is taken. What was taken stays where it was until it is vacuumed, and a server that begins at the
//! beginning goes through all of it again; so it is told where to go on. A hint and no more: whoever finds less than was asked for
//! begins anew, and so does everybody now and then, as something may come to stand before it.

use std::sync::{Mutex, PoisonError};

pub(super) struct Front<T> {
    /// So many times it goes on without a look at all there is.
    at_most: u32,
    place: Mutex<Option<(T, u32)>>,
}

impl<T: Clone> Front<T> {
    pub(super) const fn new(at_most: u32) -> Self {
        Self { at_most, place: Mutex::new(None) }
    }

    /// Nothing where all there is is to be looked at.
    pub(super) fn get(&self) -> Option<T> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|(place, _)| place.clone())
    }

    /// Goes on from there, or from the beginning; whether all there is was looked at.
    pub(super) fn set(&self, next: Option<T>, is_all: bool) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let times = if is_all { 0 } else { place.as_ref().map_or(0, |(_, times)| *times).saturating_add(1) };
        *place = next.filter(|_| times <= self.at_most).map(|next| (next, times));
    }
}
