//! The commands: each has its file, and this is where everything is wired together.
//!
//! A command ends with an exit status: 0 fine; 1 the answer is no; 2 bad usage or input; 3 a dependency is unreachable.

mod admin;
mod audit;
pub mod config;
mod config_audit;
mod config_directory;
mod config_reader;
mod config_source;
mod daemon;
mod demo;
mod failure;
mod health;
mod migrate;
mod ops;
mod output;
mod policy;
mod progress;
mod serve;
mod simulator;

pub use daemon::Daemon;
pub use failure::Failure;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Approval policy daemon for the ZeroKit encryption platform.
#[derive(Debug, Parser)]
#[command(name = "assent", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job in one process: platform, clients, daemon, decisions. Needs no server
    #[command(after_help = "Example:\n  assent demo\n  assent demo --keep ./demo.db")]
    Demo(demo::Options),
    /// Run the daemon
    #[command(
        after_help = "Example:\n  assent serve --config config.yaml\n  assent serve --check   # only say whether it would work"
    )]
    Serve(serve::Options),
    /// Bring the database's schema up to date
    #[command(
        after_help = "Example:\n  ASSENT_DATABASE__URL=postgres://assent@db/assent assent migrate\n  ASSENT_DATABASE__URL=postgres://assent@db/assent assent migrate --daemon-role assent_daemon"
    )]
    Migrate(migrate::Options),
    /// Ask a running daemon whether it lives
    #[command(after_help = "Example:\n  assent health\n  assent health --ready --listen 127.0.0.1:8080")]
    Health(health::Options),
    /// Write, check, test, explain and replay policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Call the platform's admin API by hand: one command an endpoint
    Admin(admin::Options),
    /// Look after a running installation: reviews, pauses, what is unknown, events to the web app
    #[command(subcommand)]
    Ops(ops::Command),
    /// Check, prove and read the decision log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Run an emulated platform, to develop and test against
    #[command(
        after_help = "Example:\n  assent simulator --listen 127.0.0.1:4001\n  assent simulator --listen 127.0.0.1:4001 --notify http://127.0.0.1:8080 --webhook-secret whsec_..."
    )]
    Simulator(simulator::Options),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgument {
    /// The configuration file; every key can also be set as ASSENT_SECTION__KEY
    #[arg(long, value_name = "FILE", env = "ASSENT_CONFIG", default_value = "config.yaml")]
    pub config: PathBuf,
}

/// `assent ... | head` closes the pipe early; that is no bug and needs no backtrace.
fn quiet_broken_pipe() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(why) = panic.payload_as_str().and_then(|text| text.strip_prefix("failed printing to std")) {
            if why.contains("Broken pipe") {
                std::process::exit(141);
            }
            let why = why.split_once(": ").map_or(why, |(_, why)| why);
            // Where standard error is what fails nobody hears of it.
            let _ = writeln!(std::io::stderr(), "error: the output cannot be written: {why}");
            std::process::exit(2);
        }
        report(panic);
    }));
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    quiet_broken_pipe();
    let matches = admin::grouped(Arguments::command()).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::input(format!("the system gives no threads: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Admin(options) => admin::run(options).await,
            Command::Audit(command) => audit::run(command).await,
            Command::Demo(options) => demo::run(options).await,
            Command::Serve(options) => serve::run(options).await,
            Command::Health(options) => health::run(options).await,
            Command::Migrate(options) => migrate::run(&options).await,
            Command::Ops(command) => ops::run(command).await,
            Command::Policy(command) => policy::run(command).await,
            Command::Simulator(options) => simulator::run(options).await,
        }
    });
    // Connections and tasks that are left over are not waited for.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
