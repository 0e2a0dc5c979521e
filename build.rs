//! Migrations are compiled in; a changed one must be seen. And the program is linked so that an idle daemon is small.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
    if loads_packed_relocations() {
        // A megabyte of tables that is read once, when the program is loaded, and stays in memory.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program runs where it is built, and the loader there is glibc 2.36 or later: one before does not load such a program.
fn loads_packed_relocations() -> bool {
    let is_set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_here = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if !is_here || !is_set("CARGO_CFG_TARGET_OS", "linux") || !is_set("CARGO_CFG_TARGET_ENV", "gnu") {
        return false;
    }
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().map(|said| said.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let version = said.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    version.is_some_and(|(major, minor)| (number(major), number(minor)) >= (2, 36))
}
