//! `assent policy facts`: the fact catalogue, for people, programs and the documentation.

use crate::cli::Failure;
use crate::cli::output::table;
use crate::domain::fact_catalogue::{self, FactSpec};
use crate::domain::kind::Kind;
use clap::Args;
use serde_json::{Value, json};

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Only the facts that a kind has
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print a table in Markdown, as it stands in the documentation
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| format!("the kinds are {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let specs: Vec<_> =
        fact_catalogue::all().filter(|spec| options.kind.is_none_or(|kind| spec.kinds().contains(kind))).collect();
    if options.json {
        println!("{:#}", Value::Array(specs.into_iter().map(as_json).collect()));
    } else if options.markdown {
        println!("| fact | type | from | kinds | personal | what it is | unknown when |");
        println!("|---|---|---|---|---|---|---|");
        for spec in specs {
            let personal = if spec.personal.is_some() { "yes" } else { "" };
            let (kinds, unknown) = (kinds(spec), spec.origin.unknown_when());
            let (fact_type, origin) = (spec.fact_type.word(), spec.origin.word());
            println!("| `{}` | {fact_type} | {origin} | {kinds} | {personal} | {} | {unknown} |", spec.name, spec.about);
        }
    } else {
        let row = |spec: &&FactSpec| {
            let personal = if spec.personal.is_some() { "personal" } else { "" };
            [spec.name, spec.fact_type.word(), spec.origin.word(), personal, spec.about].map(str::to_owned).into()
        };
        table(&["fact", "type", "from", "", "what it is"], &specs.iter().map(row).collect::<Vec<_>>());
        println!();
        println!("`--kind KIND` shows what one kind has; `--json` tells more: kinds, and what makes a fact unknown.");
    }
    Ok(())
}

fn kinds(spec: &FactSpec) -> String {
    let has = spec.kinds();
    let without: Vec<_> = Kind::ALL.into_iter().filter(|kind| !has.contains(*kind)).map(Kind::as_str).collect();
    match without.len() {
        0 => "every".to_owned(),
        1 | 2 => format!("all but {}", without.join(", ")),
        _ => has.iter().map(Kind::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn as_json(spec: &FactSpec) -> Value {
    json!({
        "fact": spec.name,
        "type": spec.fact_type.word(),
        "from": spec.origin.word(),
        "kinds": spec.kinds().iter().collect::<Vec<_>>(),
        "personal": spec.personal.is_some(),
        "about": spec.about,
        "unknown_when": spec.origin.unknown_when(),
    })
}
