//! `assent health`: asks a running daemon whether it lives, for containers that hold no other program.

use super::Failure;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where the daemon listens
    #[arg(long, value_name = "ADDR", env = "ASSENT_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Ask whether it is ready, not only whether it lives
    #[arg(long)]
    ready: bool,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let mut address = options.listen;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let url = format!("http://{address}/{}", if options.ready { "readyz" } else { "livez" });
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build();
    let client = client.map_err(|error| Failure::input(format!("TLS cannot be set up: {error}")))?;
    let answer = client.get(&url).send().await;
    let answer = answer.map_err(|_| {
        Failure::unreachable(format!("no daemon answers at {address}; say where it listens with `--listen` or ASSENT_LISTEN"))
    })?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if status.is_success() {
        println!("{text}");
        return Ok(());
    }
    let problem = serde_json::from_str::<serde_json::Value>(&text).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(|detail| detail.as_str());
    Err(Failure::no(detail.unwrap_or("the daemon is not well").to_owned()))
}
