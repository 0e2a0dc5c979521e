//! The program that is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The released binary, which is built first: the one that cargo hands to a bench has the tests' crash points in it. Or the
/// one that `BENCH_PROGRAM` names, such as an earlier release's.
pub(crate) fn path() -> PathBuf {
    if let Some(program) = std::env::var_os("BENCH_PROGRAM") {
        return program.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    eprintln!("building the released binary");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "--bin", "assent"])
        .current_dir(root)
        .status()
        .unwrap();
    assert!(built.success(), "the released binary cannot be built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release/assent")
}
