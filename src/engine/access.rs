//! Whether the platform can be used, asked where no operation asks: before it serves, and for as long as it cannot. A daemon
//! that is not ready is sent no operations, and would never hear that it is let in again; and one operation that the platform
//! chokes on is told from an outage, in which tries do not count. Decides nothing.

use super::Engine;
use crate::domain::disposition::Disposition;
use crate::domain::ids::TresorId;
use crate::zerokit::{Client, Failure};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often a platform that cannot be used is asked again.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// One signed read of a tresor that is not there. What the platform answers to that is good news, unless it refuses our access or
/// serves nobody.
///
/// # Errors
/// It does, or nothing answers as the platform does.
pub async fn ask_for_access(platform: &Client) -> Result<(), Failure> {
    let Ok(nowhere) = TresorId::new("0000assentprobe") else { return Ok(()) };
    match platform.list_members(&nowhere).await {
        Err(failure @ Failure::Refused { .. }) if !failure.is_outage() && failure.on_read() != Disposition::Misconfigured => {
            Ok(())
        }
        answer => answer.map(|_| ()),
    }
}

impl Engine {
    /// Asks a platform that cannot be used until it can, or `stop` says so.
    pub async fn run_access(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let ask = async {
            loop {
                self.health.lost().await;
                while self.health.is_away() || self.health.misconfiguration().is_some() {
                    tokio::time::sleep(ASK_EVERY).await;
                    self.health.note(&ask_for_access(&self.platform).await);
                }
            }
        };
        tokio::select! {
            () = ask => {}
            _ = stop.changed() => {}
        }
    }
}
