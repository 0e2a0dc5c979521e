//! Where the platform is: from the configuration, or from flags alone.

use crate::cli::config::{self, PlatformConfig};
use crate::cli::simulator::MachineClock;
use crate::cli::{ConfigArgument, Failure};
use crate::zerokit::{AdminKey, Client, ServiceUrl};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A person waits longer than the daemon may: a call is given at least this.
const LEAST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(next_help_heading = "The platform")]
pub(super) struct ConnectionArguments {
    /// The configuration file; every key can also be set as ASSENT_SECTION__KEY
    #[arg(long, global = true, value_name = "FILE", env = "ASSENT_CONFIG", default_value = "config.yaml")]
    config: PathBuf,
    /// The tenant's address, instead of a configuration
    #[arg(long, global = true, value_name = "URL")]
    service_url: Option<String>,
    /// The tenant, where it is not in the address
    #[arg(long, global = true, value_name = "ID")]
    tenant_id: Option<String>,
    /// A file with the admin key (64 hex digits), instead of a configuration
    #[arg(long, global = true, value_name = "FILE")]
    admin_key_file: Option<PathBuf>,
}

/// The platform, and where verdicts are recorded.
pub(super) struct Connection {
    platform: PlatformConfig,
    /// The configuration, if that is where it came from.
    pub(super) config: Option<ConfigArgument>,
}

impl ConnectionArguments {
    pub(super) fn resolve(self) -> Result<Connection, Failure> {
        let (url, key_file) = match (self.service_url, self.admin_key_file) {
            (None, None) if self.tenant_id.is_none() => {
                let platform = config::read_platform(&self.config).map_err(|failure| {
                    let note = "or do without one: give `--service-url` and `--admin-key-file`";
                    if self.config.exists() { failure } else { failure.with_note(note) }
                })?;
                return Ok(Connection { platform, config: Some(ConfigArgument { config: self.config }) });
            }
            (Some(url), Some(key_file)) => (url, key_file),
            _ => {
                let message = "`--service-url` and `--admin-key-file` stand together for a configuration; give both, or neither";
                return Err(Failure::input(message));
            }
        };
        let service = ServiceUrl::parse(&url, self.tenant_id.as_deref()).map_err(|error| {
            let error = error.to_string().replace("set `zerokit.tenant_id`", "give `--tenant-id`");
            Failure::input(format!("`--service-url` {error}"))
        })?;
        let key = std::fs::read_to_string(&key_file)
            .map_err(|error| Failure::input(format!("`{}` cannot be read: {error}", key_file.display())))?;
        let admin_key =
            AdminKey::parse(&key).map_err(|error| Failure::input(format!("the key in `{}` {error}", key_file.display())))?;
        let platform = PlatformConfig { service, admin_key, call_timeout: LEAST_TIMEOUT, has_database: false };
        Ok(Connection { platform, config: None })
    }
}

impl Connection {
    /// Whether verdicts are recorded.
    pub(super) const fn records(&self) -> bool {
        self.platform.has_database
    }

    /// A client that signs by this machine's clock.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let platform = self.platform.clone();
        let timeout = platform.call_timeout.max(LEAST_TIMEOUT);
        Client::new(platform.service, platform.admin_key, timeout, Arc::new(MachineClock))
            .map_err(|error| Failure::input(format!("TLS cannot be set up: {error}")))
    }
}
