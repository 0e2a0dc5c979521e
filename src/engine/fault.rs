//! Points at which a test can stop the process. Compiled only with the feature `faults`; the released binary has none.

/// Stops here for ever if a test asked for this point, after leaving a mark, so that the test can kill the process.
#[cfg(feature = "faults")]
pub(super) async fn reach(point: &str) {
    if std::env::var("ASSENT_STOP_AT").as_deref() == Ok(point) {
        if let Ok(mark) = std::env::var("ASSENT_STOP_MARK") {
            let _ = tokio::fs::write(mark, point).await;
        }
        std::future::pending::<()>().await;
    }
}

/// Does nothing.
#[cfg(not(feature = "faults"))]
#[expect(clippy::unused_async, reason = "the same signature as with the feature")]
pub(super) async fn reach(_point: &str) {}
