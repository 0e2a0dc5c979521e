//! How long one call takes: batches of a few milliseconds after a warm-up, and the median of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds a call.
pub(crate) fn nanoseconds<T>(batches: usize, mut call: impl FnMut() -> T) -> f64 {
    const BATCH: Duration = Duration::from_millis(20);
    let (mut calls, started) = (0_u32, Instant::now());
    while started.elapsed() < BATCH * 5 {
        black_box(call());
        calls += 1;
    }
    let a_batch = (calls / 5).max(1);
    let mut measured: Vec<f64> = (0..batches)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..a_batch {
                black_box(call());
            }
            started.elapsed().as_secs_f64() * 1e9 / f64::from(a_batch)
        })
        .collect();
    measured.sort_by(f64::total_cmp);
    measured.get(batches / 2).copied().unwrap_or(f64::NAN)
}
