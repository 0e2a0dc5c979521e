//! `assent policy`: the tools of whoever writes policies. One file a command.

mod check;
mod explain;
mod facts;
mod junit;
mod record;
mod replay;
mod sarif;
mod schema;
mod test;

use super::Failure;
use crate::domain::diagnostic::Diagnostic;
use crate::policy::SourceFile;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with a policy, or probably not meant
    #[command(
        after_help = "Example:\n  assent policy check policies\n  assent policy check --deny-warnings policies\n  assent policy check --sarif policies > check.sarif"
    )]
    Check(check::Options),
    /// Run the test cases beside the rules, or make one of a real decision
    #[command(
        after_help = "Example:\n  assent policy test policies\n  assent policy test --min-coverage 100 --junit report.xml policies\n  assent policy test --from-decision 01a20bc0-... --into policies/real.test.yaml"
    )]
    Test(test::Options),
    /// Show what every rule saw of an operation, and what would have changed the verdict
    #[command(
        after_help = "Example:\n  echo '{\"kind\": \"share\", \"facts\": {\"tresor.members_after\": 21}}' | assent policy explain policies --operation -\n  assent policy explain --decision 01a20bc0-...\n  assent policy explain policies --operation share.json --limit share-velocity=9 --limit link-velocity@1h=2"
    )]
    Explain(explain::Options),
    /// Decide recorded decisions again by another policy, and show the difference
    #[command(
        after_help = "Example:\n  assent policy replay --since 30d --policy policies\n  assent policy replay --since 24h --limit 1000 --json"
    )]
    Replay(replay::Options),
    /// Print the JSON Schema of rule files or test files, for editors
    #[command(
        after_help = "Example:\n  assent policy schema > policy.schema.json\n  assent policy schema --tests > policy-test.schema.json"
    )]
    Schema(schema::Options),
    /// List every fact that a rule can use
    #[command(after_help = "Example:\n  assent policy facts\n  assent policy facts --kind share\n  assent policy facts --json")]
    Facts(facts::Options),
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(options) => check::run(&options),
        Command::Test(options) => test::run(options).await,
        Command::Explain(options) => explain::run(options).await,
        Command::Replay(options) => replay::run(options).await,
        Command::Schema(options) => schema::run(&options),
        Command::Facts(options) => facts::run(&options),
    }
}

/// A problem with its code frame.
fn render(problem: &Diagnostic, files: &[SourceFile]) -> String {
    problem.render(files.iter().find(|file| file.path == problem.file).map(|file| file.text.as_str()))
}
