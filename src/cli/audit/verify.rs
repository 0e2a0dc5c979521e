//! `assent audit verify`: whether anything in the log was changed, removed or added, against its tree, its signatures, and
//! checkpoints that were kept elsewhere; and whether every decision follows from its facts and its policy.

use super::archive::Archives;
use super::check::{self, CheckedPage, Checking};
use super::export::{Manifest, Tables};
use super::lines::Lines;
use super::reader::Reader;
use super::source::{self, Page, Source};
use super::{is_of_log, open, verifiers, verifiers_elsewhere};
use crate::audit::{
    Checkpoint, CheckpointError, CountedAs, Dropped, Finding, LogVerifier, MasterKey, Proof, Tally, Verification, Verified,
    check_any, edge,
};
use crate::cli::daemon::check_key;
use crate::cli::output::{Paint, print_json};
use crate::cli::progress::Progress;
use crate::cli::{ConfigArgument, Failure};
use crate::engine::{Destination, PersonKeys, Persons, Recheck, Rechecked};
use crate::store::{Store, StoreError};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// How often a checkpoint and the counts of the same moment are asked for.
const TRIES: u32 = 50;
/// How many pages wait to be checked while another is read.
const AT_ONCE: usize = 1;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Check an export instead of the database
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// A checkpoint, or several, kept where nobody could change them with the log
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// What signatures are checked with, as `assent audit key` prints it, or a file with it
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Months that `assent audit retain` wrote, to check what is no longer in the database
    #[arg(long, value_name = "DIR")]
    archive: Vec<PathBuf>,
    /// Only check a proof that `assent audit prove` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["export", "checkpoint", "archive"])]
    proof: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// How decisions came out when they were decided again.
#[derive(Debug, Default, Serialize)]
struct Again {
    same: u64,
    by_people: u64,
    erased: u64,
    sealed: u64,
}

struct Run {
    verification: Verification,
    recheck: Arc<Recheck>,
    persons: Persons,
    again: Again,
    /// Of whom facts were erased, and the first decision that stood on them.
    erased: BTreeMap<String, Uuid>,
    /// The policies that are missing, once each.
    missing_policies: BTreeSet<String>,
    tally: Tally,
    /// Of an export, whose manifest says how many there are.
    tables: Option<Tables>,
    archives: Archives,
    progress: Progress,
    total: u64,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    if let Some(proof) = &options.proof {
        return check_proof(proof, &options).await;
    }
    let outside = outside(&options.checkpoint)?;
    match &options.export {
        Some(folder) => {
            let keys = verifiers_elsewhere(&options.key, &options.config).await?;
            let manifest = Manifest::read(folder)?;
            is_of_log(&keys, &manifest.log())?;
            let mut run = Run::new(keys, outside, None, manifest.size());
            manifest.check(folder, &mut run.verification)?;
            run.verification.expect(manifest.taken_at()?);
            for (hash, body) in manifest.policies(folder)? {
                run.policy(&hash, &body);
            }
            run.open_archives(&options.archive)?;
            let mut source = Source::Export(Lines::of(manifest.files(folder)));
            run.tables = Some(Tables::default());
            run.all(&mut source, None).await?;
            if let Some(counted) = run.tables.take() {
                manifest.check_tables(&counted, &mut run.verification);
            }
            run.ends_at(manifest.size());
            run.report(None, &options)
        }
        None => {
            let log = open(&options.config).await?;
            let keys = verifiers(&options.key, Some(&log.config))?;
            let store = log.store.as_ref();
            // Before the log is looked at: no checkpoint is in a file before it is in the database.
            let carried = log.config.checkpoints.as_ref().and_then(|file| carried(file, &keys));
            // Both of the same moment, as a sealer may be at work.
            let (mut last, (mut size, mut kept)) = (newest(store).await?, store.sealed_counts().await?);
            let mut tries = 0..TRIES;
            while last.as_ref().map_or(0, |checkpoint| checkpoint.size) != size {
                if tries.next().is_none() {
                    return Err(Failure::no("the log grows faster than it can be looked at; try again"));
                }
                (last, (size, kept)) = (newest(store).await?, store.sealed_counts().await?);
            }
            if let Some(last) = &last {
                is_of_log(&keys, &last.origin)?;
            }
            let mut run = Run::new(keys, outside, log.config.encryption.clone(), size);
            // A file beside the daemon is no anchor, though whoever put back an old database may have forgotten it.
            if let Some(carried) = carried {
                run.verification.expect(carried);
            }
            source::policies(store, |hash, body| {
                run.policy(hash, body);
                Ok(())
            })
            .await?;
            run.open_archives(&options.archive)?;
            let mut source = Source::Database(Box::new(Reader::new(Arc::clone(&log.store), 0, size)));
            run.all(&mut source, Some(store)).await?;
            let count = store.leaves_outside().await?;
            if count > 0 && last.is_none() {
                // Where nothing is signed there is nothing to hold rows against.
                run.verification.found(Finding::Unsigned { from: 0, to: count });
                return run.report(Some(store.unsealed().await?), &options);
            }
            if count > 0 {
                run.verification.found(Finding::Outside { count });
            }
            for stray in source.strays().await? {
                run.verification.found(check::added(stray));
            }
            run.forgotten(store, log.config.encryption.as_ref()).await?;
            run.counts(kept);
            run.edge(store, size).await?;
            run.report(Some(store.unsealed().await?), &options)
        }
    }
}

/// The newest checkpoint. Where it is none, nobody can say how much of the log there should be.
async fn newest(store: &dyn Store) -> Result<Option<Checkpoint>, Failure> {
    store.last_checkpoint().await.map_err(|error| match error {
        StoreError::Tree(why) => Failure::no(why),
        other => other.into(),
    })
}

/// The last checkpoint that the daemon wrote to its file.
fn carried(file: &Destination, keys: &[LogVerifier]) -> Option<Checkpoint> {
    let carried = file.last_written(|checkpoint| check_any(keys, checkpoint).is_ok());
    if carried.is_none() {
        let note = format!("`{file}`, where the daemon writes checkpoints, has none that can be read here");
        eprintln!("{}", Paint::stderr().dim(&note));
    }
    carried
}

fn outside(files: &[PathBuf]) -> Result<Vec<Checkpoint>, Failure> {
    let mut found = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| source::unreadable(file, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let read = Checkpoint::parse_kept(&text).map_err(|error| Failure::input(format!("`{}` {error}", file.display())))?;
        found.extend(read);
    }
    Ok(found)
}

async fn check_proof(file: &Path, options: &Options) -> Result<(), Failure> {
    let keys = verifiers_elsewhere(&options.key, &options.config).await?;
    let text = std::fs::read_to_string(file).map_err(|error| source::unreadable(file, &error))?;
    let proof = Proof::parse(&text).map_err(|error| Failure::input(format!("`{}`: {error}", file.display())))?;
    proof.check(&keys).map_err(|error| Failure::no(format!("`{}` proves nothing: {error}", file.display())))?;
    let record: serde_json::Value = serde_json::from_slice(&proof.leaf).unwrap_or_default();
    if options.json {
        return print_json(
            &json!({ "index": proof.index, "size": proof.checkpoint.size, "log": proof.checkpoint.origin, "record": record }),
        );
    }
    println!("this record is leaf {} of {} in the log {}", proof.index, proof.checkpoint.size, proof.checkpoint.origin);
    print_json(&record)
}

impl Run {
    fn new(keys: Vec<LogVerifier>, outside: Vec<Checkpoint>, master: Option<MasterKey>, total: u64) -> Self {
        Self {
            verification: Verification::new(keys, outside),
            recheck: Arc::default(),
            persons: Persons::new(master),
            again: Again::default(),
            erased: BTreeMap::new(),
            missing_policies: BTreeSet::new(),
            tally: Tally::default(),
            tables: None,
            archives: Archives::default(),
            progress: Progress::of("verifying"),
            total,
        }
    }

    fn open_archives(&mut self, folders: &[PathBuf]) -> Result<(), Failure> {
        self.archives = Archives::open(folders)?;
        self.archives.months().for_each(|month| self.verification.has_archive_of(month.to_owned()));
        Ok(())
    }

    /// Whoever's facts are gone was forgotten by somebody who says so: a key that went another way hides what was decided on.
    async fn forgotten(&mut self, store: &dyn Store, key: Option<&MasterKey>) -> Result<(), Failure> {
        // Where it was replaced meanwhile, what nobody erased cannot be read any more.
        if let Some(key) = key.filter(|_| !self.erased.is_empty()) {
            check_key(store, key, false).await?;
        }
        for (person, decision) in std::mem::take(&mut self.erased) {
            if !store.was_forgotten(&person).await? {
                self.verification.found(Finding::Unread { person, decision: decision.to_string() });
            }
        }
        Ok(())
    }

    /// Holds kept counts against the rows, where these are what was sealed.
    fn counts(&mut self, kept: Vec<(CountedAs, u64)>) {
        if !self.verification.has_its_rows() {
            return;
        }
        for (of, kept, counted) in std::mem::take(&mut self.tally).differences(kept) {
            let CountedAs { day, kind, verdict, rules } = of;
            self.verification.found(Finding::Count { day, kind, verdict, rules, kept, counted });
        }
    }

    /// Holds what the sealer builds on against the leaves, where these are what was sealed.
    async fn edge(&mut self, store: &dyn Store, size: u64) -> Result<(), Failure> {
        if self.verification.has_its_rows() && store.nodes(&edge(size)).await?.root(size).ok() != Some(self.verification.root()) {
            self.verification.found(Finding::Nodes);
        }
        Ok(())
    }

    /// An export has as many leaves as the checkpoint covers that it was taken at.
    fn ends_at(&mut self, size: u64) {
        if self.verification.size() > size {
            let why = format!("the export has {} leaves, and its manifest says {size}", self.verification.size());
            self.verification.found(Finding::Export { why });
        }
    }

    fn policy(&mut self, hash: &str, body: &str) {
        // Nobody else holds it before pages are checked.
        let Some(recheck) = Arc::get_mut(&mut self.recheck) else { return };
        if let Err(why) = recheck.add_policy(hash, body) {
            self.verification.found(Finding::Policy { hash: hash.to_owned(), why });
        }
    }

    /// Reads a page while those before are checked.
    async fn all(&mut self, source: &mut Source, keys: Option<&dyn Store>) -> Result<(), Failure> {
        let mut checking = VecDeque::new();
        while let Some(mut page) = source.next().await? {
            if !self.archives.is_empty() {
                page.read();
                self.archives.fill(&mut page)?;
            }
            let persons = self.persons_of(&page, keys).await?;
            while checking.len() > AT_ONCE {
                self.take_in_first(&mut checking).await?;
            }
            checking.push_back(Checking::of(page, &self.recheck, persons));
        }
        while !checking.is_empty() {
            self.take_in_first(&mut checking).await?;
        }
        Ok(())
    }

    /// The keys of a page's persons; an export has none.
    async fn persons_of(&mut self, page: &Page, store: Option<&dyn Store>) -> Result<Arc<PersonKeys>, Failure> {
        let Some(store) = store else { return Ok(Arc::default()) };
        let sealed = page.entries.iter().filter_map(|entry| entry.row.as_ref()?.sealed.as_ref());
        Ok(self.persons.of(sealed, store).await?)
    }

    async fn take_in_first(&mut self, checking: &mut VecDeque<Checking>) -> Result<(), Failure> {
        if let Some(first) = checking.pop_front() {
            self.take_in(first.end().await?);
        }
        Ok(())
    }

    fn take_in(&mut self, checked: CheckedPage) {
        let mut checkpoints = checked.checkpoints.iter().peekable();
        for one in checked.leaves {
            // Those that cover what came before may stand at the beginning of a page.
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size <= self.verification.size()) {
                self.verification.checkpoint(checkpoint);
            }
            if let Some(tables) = &mut self.tables {
                tables.count(one.seen.stream, one.seen.sealed);
            }
            self.verification.leaf(&one.seen);
            if let Some(again) = one.again {
                self.again(one.seen.id, again);
            }
        }
        checkpoints.for_each(|checkpoint| self.verification.checkpoint(checkpoint));
        checked.findings.into_iter().for_each(|finding| self.verification.found(finding));
        self.tally.add_all(checked.tally);
        checked.months.into_iter().for_each(|month| self.verification.has_rows_of(month));
        checked.dropped.into_iter().for_each(|dropped| self.verification.month_dropped(dropped));
        self.progress.share(self.verification.size(), self.total, "leaves");
    }

    fn again(&mut self, id: Uuid, again: Rechecked) {
        let count = match again {
            Rechecked::Same => &mut self.again.same,
            Rechecked::ByPeople => &mut self.again.by_people,
            Rechecked::Erased(persons) => {
                persons.into_iter().for_each(|person| _ = self.erased.entry(person).or_insert(id));
                &mut self.again.erased
            }
            Rechecked::Sealed => &mut self.again.sealed,
            Rechecked::Differs(recorded, evaluated) => {
                return self.verification.found(Finding::Verdict { id: id.to_string(), recorded, evaluated });
            }
            Rechecked::NoPolicy(hash) => {
                if !self.missing_policies.insert(hash.clone()) {
                    return;
                }
                let why = format!("is not in the archive, or was changed there; decision `{id}` stands on it");
                return self.verification.found(Finding::Policy { hash, why });
            }
            Rechecked::Unreadable => {
                let (recorded, evaluated) = ("what cannot be read".to_owned(), "nothing".to_owned());
                return self.verification.found(Finding::Verdict { id: id.to_string(), recorded, evaluated });
            }
        };
        *count = count.saturating_add(1);
    }

    fn report(self, waiting: Option<u64>, options: &Options) -> Result<(), Failure> {
        let Self { verification, again, progress, .. } = self;
        let log = verification.log().to_owned();
        let verified = verification.finish();
        drop(progress);
        let (is_sound, is_export) = (verified.findings.is_empty(), waiting.is_none());
        let waiting = waiting.unwrap_or_default();
        if options.json {
            print_json(
                &json!({ "log": log, "sound": is_sound, "verified": verified, "decided_again": again, "waiting": waiting }),
            )?;
        } else {
            print_report(&log, &verified, &again, waiting, !options.checkpoint.is_empty());
            if is_export && verified.findings.iter().any(|finding| matches!(finding, Finding::Shorter { .. })) {
                println!("  an export from before that checkpoint says the same: export again, and verify that");
            }
        }
        if is_sound { Ok(()) } else { Err(Failure::no(complaint(&verified))) }
    }
}

fn print_report(log: &str, verified: &Verified, again: &Again, waiting: u64, is_given: bool) {
    let paint = Paint::stdout();
    println!("{} leaves under {} checkpoints of the log {log}", verified.leaves, verified.checkpoints);
    println!("  root           {}", verified.root);
    let Again { same, by_people, erased, sealed } = again;
    println!(
        "  decided again  {same} the same, {by_people} by people, {erased} erased, {sealed} with personal facts that need `encryption.key` and the database"
    );
    for Dropped { month, rows, archived, by } in &verified.dropped {
        let by = by
            .as_ref()
            .map_or_else(|| "nobody says by whom".to_owned(), |(who, at)| format!("by {who} on {}", at.get(..10).unwrap_or(at)));
        println!("  dropped        {month}: {rows} rows {by}, {archived} of them checked in an archive");
    }
    if waiting > 0 {
        println!("  not sealed yet {waiting}");
    }
    if is_given && !verified.anchored {
        println!("  no checkpoint that was given is signed by the log's key: nothing was held against them");
    } else if !verified.anchored {
        println!(
            "{}",
            paint.dim("  no checkpoint from elsewhere was given: whoever has the database and the log's key could have written all of it anew")
        );
    }
    for finding in &verified.findings {
        println!("{} {finding}", paint.red("x"));
    }
    let is_unsigned = |finding: &Finding| matches!(finding, Finding::BadSignature { why, .. } if *why == CheckpointError::BadSignature.to_string());
    if verified.findings.iter().any(is_unsigned) {
        println!("  where the log's key was replaced, `audit.previous_keys` or `--key` must name the one before");
    }
    if verified.more_findings > 0 {
        println!("{} and {} more", paint.red("x"), verified.more_findings);
    }
    if verified.findings.is_empty() {
        println!("{}", paint.green("nothing was changed, removed or added"));
    }
}

fn complaint(verified: &Verified) -> String {
    let count = verified.findings.len() as u64 + verified.more_findings;
    let what = if count == 1 { "one thing does not fit".to_owned() } else { format!("{count} things do not fit") };
    format!("{what}; keep everything as it is, and hold it against an export or a backup from before")
}
