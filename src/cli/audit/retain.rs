//! `assent audit retain`: months that are older than the log must be are written into an archive, and dropped from the database.
//! Their leaves stay, so that every row in the archive can be proved, and nothing can be taken away beside it.

use super::archive::digest;
use super::export::{Manifest, durable, month};
use super::{Deed, open};
use crate::audit::{Checkpoint, DroppedMonth, Stream};
use crate::cli::output::print_json;
use crate::cli::progress::Progress;
use crate::cli::{ConfigArgument, Failure};
use crate::store::{Dropping, Store};
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Less than this is kept by nobody.
const SHORTEST: i32 = 3;
/// For how long a daemon is awaited that seals what was done.
const SEALED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// For how long rows are kept in the database: `7y`, or `18mo`
    #[arg(long, value_name = "TIME", value_parser = |text: &str| months(text).ok_or("must be years or months, three at least, such as `7y` or `18mo`"))]
    keep: i32,
    /// The folder for the months that are dropped, each in one of its own
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
    /// Do it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    deed: Deed,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// A time as months.
fn months(text: &str) -> Option<i32> {
    let months = match (text.strip_suffix("mo"), text.strip_suffix('y')) {
        (Some(months), _) => months.parse().ok()?,
        (_, Some(years)) => years.parse::<i32>().ok()?.checked_mul(12)?,
        _ => return None,
    };
    (SHORTEST..=1_200).contains(&months).then_some(months)
}

/// The first month that stays.
fn first_kept(now: Timestamp, keep: i32) -> Option<Date> {
    let today = TimeZone::UTC.to_datetime(now).date();
    today.checked_sub(Span::new().try_months(keep).ok()?).ok().map(Date::first_of_month)
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let operator = if options.yes { options.deed.operator()? } else { String::new() };
    let log = open(&options.config).await?;
    let store = log.store.as_ref();
    if log.config.database_url.starts_with("sqlite://") {
        return Err(Failure::input("SQLite has no months that can be dropped; the log is kept whole"));
    }
    let first_kept = first_kept(store.now().await?, options.keep).ok_or_else(|| Failure::input("`--keep` is too long"))?;
    let first_kept = first_kept.strftime("%Y-%m").to_string();
    let old: Vec<String> = store.months().await?.into_iter().filter(|month| *month < first_kept).collect();
    if !options.json {
        let said = if old.is_empty() {
            format!("nothing is older than {first_kept}")
        } else {
            format!("the months of {first_kept} and later stay")
        };
        println!("{said}");
    }
    if !options.yes && !old.is_empty() {
        let (months, folder) = (old.join(", "), options.archive.display());
        return Err(Failure::no(format!("`--yes` writes {months} into `{folder}`, and drops them from the database")));
    }
    let _alone = if old.is_empty() { None } else { Some(may_begin(store, &options).await?) };
    let (mut done, mut stays) = (Vec::new(), Vec::new());
    for name in old {
        let waiting = store.unsealed_of_month(&name).await?;
        let checkpoint = store.last_checkpoint().await?.filter(|_| waiting == 0);
        let checkpoint = checkpoint.ok_or_else(|| {
            Failure::no(format!("{waiting} rows up to the end of {name} wait to be sealed; a daemon does it, try again then"))
        })?;
        let dropped = archived(store, &options.archive, &name, &checkpoint).await?;
        match store.drop_month(&dropped, &operator, options.deed.comment.as_deref()).await? {
            Dropping::Done(action) => {
                if !options.json {
                    println!(
                        "{name}  {:>12} rows in {}, and no longer in the database",
                        dropped.leaves,
                        options.archive.join(&name).display()
                    );
                }
                done.push((dropped, action));
            }
            Dropping::Stays(why) => stays.push(format!("{name} stays: {why}")),
        }
    }
    let is_sealed = match done.last() {
        Some((_, action)) => is_sealed(store, action).await?,
        None => true,
    };
    if options.json {
        let months =
            done.iter().map(|(dropped, _)| json!({ "month": dropped.month, "rows": dropped.leaves, "digest": dropped.digest }));
        print_json(
            &json!({ "first_kept": first_kept, "dropped": months.collect::<Vec<_>>(), "stays": stays, "sealed": is_sealed }),
        )?;
    } else if !is_sealed {
        println!("that it was done is not sealed yet; until a daemon runs, `assent audit verify` misses these rows");
    }
    if stays.is_empty() { Ok(()) } else { Err(Failure::no(stays.join("\n"))) }
}

/// Whether months may be dropped now: by whoever may, and one at a time in a folder, until the file is closed.
async fn may_begin(store: &dyn Store, options: &Options) -> Result<File, Failure> {
    let folder = &options.archive;
    if !store.may_change_log().await? {
        return Err(Failure::no("this role may drop nothing: let `database.url` be that of the role that runs `assent migrate`"));
    }
    if Manifest::is_in(folder) {
        return Err(Failure::input(format!("`{}` holds an export; name another folder for the months", folder.display())));
    }
    let path = folder.join(".lock");
    let file = std::fs::create_dir_all(folder).and_then(|()| File::create(&path));
    let file = file.map_err(|error| Failure::unwritten(&path, &error))?;
    let lock = file.try_lock();
    lock.map_err(|_| Failure::no(format!("another `assent audit retain` writes into `{}`", folder.display())))?;
    Ok(file)
}

/// Has a month in its folder, read back from there. What is in the folder already must be just that.
async fn archived(store: &dyn Store, archive: &Path, name: &str, checkpoint: &Checkpoint) -> Result<DroppedMonth, Failure> {
    let (beside, folder) = (archive.join(format!(".{name}")), archive.join(name));
    let cannot = |error: std::io::Error| Failure::unwritten(&beside, &error);
    if beside.exists() {
        // Ours, and broken off.
        std::fs::remove_dir_all(&beside).map_err(cannot)?;
    }
    let progress = Progress::of("writing");
    let dropped = month(store, &beside, name, checkpoint, &progress).await?;
    drop(progress);
    if folder.exists() {
        std::fs::remove_dir_all(&beside).map_err(cannot)?;
    } else {
        std::fs::rename(&beside, &folder).map_err(cannot)?;
        durable(archive)?;
    }
    if digest(&folder)?.as_ref() != Some(&dropped) {
        let why = format!("`{}` holds something else than {name} of this log", folder.display());
        return Err(Failure::no(format!("{why}, and nothing was dropped; name another folder, or move that away")));
    }
    Ok(dropped)
}

/// Whether what was done is under a checkpoint, after a while.
async fn is_sealed(store: &dyn Store, action: &str) -> Result<bool, Failure> {
    let sealed = tokio::time::timeout(SEALED_WITHIN, async {
        while store.leaf_of(Stream::OperatorAction, action).await?.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<_, Failure>(true)
    });
    sealed.await.unwrap_or(Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_stays_as_long_as_a_day_of_it_is_kept() {
        let kept = |now: &str, keep| first_kept(now.parse().unwrap(), keep).unwrap().to_string();
        assert_eq!(kept("2026-11-26T10:00:00Z", 84), "2019-11-01");
        assert_eq!(kept("2026-05-31T23:59:59Z", 3), "2026-02-01");
        assert_eq!(
            (months("7y"), months("18mo"), months("2mo"), months("90d"), months("y")),
            (Some(84), Some(18), None, None, None)
        );
    }
}
