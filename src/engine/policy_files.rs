//! Reads a policy directory from disk: the one place where policies touch files.

use crate::domain::diagnostic::Diagnostic;
use crate::policy::{Policy, SourceFile, load, load_cases};
use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// A policy file is text that a person wrote; what is larger is a mistake.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How deep folders may stand in each other.
const MAX_DEPTH: u8 = 16;
/// More entries than this are no policy; what changes among the rest is not seen.
const MAX_ENTRIES: usize = 100_000;

/// Why a directory gave no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("the policy directory `{path}` cannot be read: {cause}; check `policies.path`, or the directory on the command line")]
    Unreadable {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It was read and is wrong.
    #[error("the policy in `{path}` does not load: {}; run `assent policy check {path}`", first_problem(problems))]
    Invalid {
        /// The directory.
        path: PathBuf,
        /// Everything that is wrong.
        problems: Vec<Diagnostic>,
        /// The files, for code frames.
        files: Vec<SourceFile>,
    },
    /// It has no tests, and must have some.
    #[error(
        "the policy in `{path}` has no tests, and `policies.require_tests` asks for some; write a `*.test.yaml` beside the rules"
    )]
    NoTests {
        /// The directory.
        path: PathBuf,
    },
    /// It could not be put into the archive, so that nothing may be decided by it.
    #[error("the policy cannot be archived: {0}")]
    Archive(#[from] StoreError),
    /// It loads, and does not do what its tests say.
    #[error("the policy in `{path}` fails {} of its own tests: {}; run `assent policy test {path}`", failed.len(), failed.join(", "))]
    TestsFail {
        /// The directory.
        path: PathBuf,
        /// Their names and places.
        failed: Vec<String>,
    },
}

/// How many problems there are, and the first of them.
fn first_problem(problems: &[Diagnostic]) -> String {
    let count = if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
    match problems.first() {
        Some(first) if first.spot.line > 0 => {
            format!("{count}, the first at {}:{}:{}, {}", first.file, first.spot.line, first.spot.column, first.message)
        }
        Some(first) => format!("{count}, the first in {}, {}", first.file, first.message),
        None => count,
    }
}

/// Reads every `.yaml`, `.yml` and `.txt` file below a directory, hidden ones left out, by path.
///
/// # Errors
/// Something cannot be read, is too large, or is no UTF-8.
pub fn read_policy_files(directory: &Path) -> Result<Vec<SourceFile>, PolicyError> {
    // Files that change while they are read may be old and new ones, or half of one.
    for _ in 0..5 {
        let before = fingerprint(directory);
        let mut files = Vec::new();
        read_below(directory, "", MAX_DEPTH, &mut files)?;
        if fingerprint(directory) == before {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            return Ok(files);
        }
    }
    let cause = io::Error::other("it changes while it is read");
    Err(PolicyError::Unreadable { path: directory.to_owned(), cause })
}

fn read_below(directory: &Path, prefix: &str, depth: u8, files: &mut Vec<SourceFile>) -> Result<(), PolicyError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |cause| PolicyError::Unreadable { path, cause }
    };
    let Some(below) = depth.checked_sub(1) else {
        return Err(unreadable(directory)(io::Error::other("it is nested too deeply; is there a link to a folder above it?")));
    };
    for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            // A rule that is overlooked is a rule that does not hold.
            return Err(unreadable(&path)(io::Error::other("its name is not UTF-8")));
        };
        if name.starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(unreadable(&path))?;
        let relative = format!("{prefix}{name}");
        if metadata.is_dir() {
            read_below(&path, &format!("{relative}/"), below, files)?;
        } else if [".yaml", ".yml", ".txt"].iter().any(|end| name.to_lowercase().ends_with(end)) {
            if !metadata.is_file() {
                return Err(unreadable(&path)(io::Error::other("it is no file")));
            }
            if metadata.len() > MAX_FILE_BYTES {
                return Err(unreadable(&path)(io::Error::other("it is larger than 16 MiB")));
            }
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            files.push(SourceFile { path: relative, text });
        }
    }
    Ok(())
}

/// Reads and compiles a directory; only a policy that passes its own tests is one.
///
/// # Errors
/// It cannot be read, does not load, or fails a test.
pub fn load_policy(directory: &Path) -> Result<Policy, PolicyError> {
    load_tested_policy(directory, false)
}

/// Reads and compiles a directory without running its tests: for tools that show what a policy does, and why.
///
/// # Errors
/// It cannot be read, or does not load.
pub fn load_untested_policy(directory: &Path) -> Result<Policy, PolicyError> {
    let files = read_policy_files(directory)?;
    load(&files).map_err(|problems| PolicyError::Invalid { path: directory.to_owned(), problems, files })
}

/// Like [`load_policy`]; with `require_tests` a policy without any test is none.
///
/// # Errors
/// It cannot be read, does not load, fails a test, or has none.
pub fn load_tested_policy(directory: &Path, require_tests: bool) -> Result<Policy, PolicyError> {
    let files = read_policy_files(directory)?;
    let invalid =
        |problems, files: &[SourceFile]| PolicyError::Invalid { path: directory.to_owned(), problems, files: files.to_vec() };
    let policy = load(&files).map_err(|problems| invalid(problems, &files))?;
    let (mut failed, mut run) = (Vec::new(), 0);
    for file in files.iter().filter(|file| file.is_cases()) {
        let cases = load_cases(file, &policy).map_err(|problems| invalid(problems, &files))?;
        for result in cases.run(&policy) {
            run += 1;
            if !result.mismatches.is_empty() {
                failed.push(format!("`{}` ({}:{})", result.name, result.file, result.line));
            }
        }
    }
    if !failed.is_empty() {
        return Err(PolicyError::TestsFail { path: directory.to_owned(), failed });
    }
    if require_tests && run == 0 {
        return Err(PolicyError::NoTests { path: directory.to_owned() });
    }
    Ok(policy)
}

/// What changes when any file of a directory does: names, times, sizes and inodes of everything in it. A symbolic link
/// that points elsewhere, and a file that was renamed over another, are changes.
#[must_use]
pub(super) fn fingerprint(directory: &Path) -> Vec<(PathBuf, i64, i64, u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = Vec::new();
    let mut waiting = vec![(directory.to_owned(), MAX_DEPTH)];
    while let Some((path, depth)) = waiting.pop().filter(|_| found.len() < MAX_ENTRIES) {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            let Some(metadata) = std::fs::metadata(&path).ok().filter(|_| !is_hidden) else { continue };
            if let (true, Some(below)) = (metadata.is_dir(), depth.checked_sub(1)) {
                waiting.push((path.clone(), below));
            }
            let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
            let (modified, changed) =
                (nanos(metadata.mtime(), metadata.mtime_nsec()), nanos(metadata.ctime(), metadata.ctime_nsec()));
            found.push((path, modified, changed, metadata.len(), metadata.ino()));
        }
    }
    found.sort();
    found
}
