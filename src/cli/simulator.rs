//! `assent simulator`: an emulated platform on a port of its own; with `--notify` also its browsers and web app.

use super::{Failure, output, serve};
use crate::domain::clock::Clock;
use crate::domain::webhook::WebhookSecret;
use crate::simulator::{Scenario, Simulator, WebApp};
use crate::zerokit::{AdminKey, TenantId};
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The key of the simulator's tenant unless another is given. It opens nothing else.
pub(super) const DEMO_ADMIN_KEY: &str = "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";
/// The simulator's tenant unless another is given.
pub(super) const DEMO_TENANT: &str = "demo12345";

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4001")]
    listen: SocketAddr,
    /// The tenant
    #[arg(long, value_name = "ID", default_value = DEMO_TENANT)]
    tenant: String,
    /// The admin key that requests must be signed with
    #[arg(long, value_name = "HEX", env = "SIMULATOR_ADMIN_KEY", default_value = DEMO_ADMIN_KEY, hide_env_values = true)]
    admin_key: String,
    /// An approval does not invalidate the tresor's other pending operations
    #[arg(long)]
    no_invalidation: bool,
    /// Also play the browsers and their web app, reporting to the daemon at this address
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    notify: Option<String>,
    /// What the played web app signs its notifications with
    #[arg(long, value_name = "SECRET", env = "SIMULATOR_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
}

/// The machine's own clock: the simulator shares no database with anybody.
#[derive(Debug)]
pub(super) struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "the emulated platform has a clock of its own")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    output::start_logging("info");
    let tenant = TenantId::parse(&options.tenant).ok_or_else(|| {
        Failure::input(format!("`{}` is no tenant id: a lower-case letter and 7 to 9 letters or digits", options.tenant))
    })?;
    let key = AdminKey::parse(&options.admin_key).map_err(|error| Failure::input(format!("`--admin-key` {error}")))?;
    let simulator = Simulator::new(tenant, key, Arc::new(MachineClock), !options.no_invalidation, Duration::from_millis(5));
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        Failure::input(format!("cannot listen on {}: {error}; choose another address with `--listen`", options.listen))
    })?;
    tracing::info!(http.address = %options.listen, zerokit.tenant = options.tenant, "the emulated platform serves");
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(simulator.clone().serve(listener, stopped));
    let people = match (&options.notify, &options.webhook_secret) {
        (Some(url), Some(secret)) => {
            let secret = WebhookSecret::parse(secret)
                .ok_or_else(|| Failure::input("`--webhook-secret` must be `whsec_` and 24 to 64 bytes in base64"))?;
            let app = WebApp::new(url, secret).map_err(|error| Failure::input(format!("TLS cannot be set up: {error}")))?;
            Some(tokio::spawn(play(Scenario::new(simulator, Arc::new(app)))))
        }
        _ => None,
    };
    serve::stop_signal().await;
    if let Some(people) = people {
        people.abort();
    }
    let _ = stop.send(true);
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    Ok(())
}

/// One morning after the other, for as long as the simulator runs.
async fn play(scenario: Scenario) {
    loop {
        match scenario.morning(Duration::from_millis(300)).await {
            Ok(()) => tracing::info!("a morning is over; the next one begins"),
            Err(error) => tracing::warn!(error.message = %error, "the browsers were interrupted; they begin again"),
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}
