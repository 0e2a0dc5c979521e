//! The house keeps its order: the `use` lines point one way, pure modules touch nothing outside, every file says what it
//! owns, and no file grows past what one can read.

use std::path::{Path, PathBuf};

/// Each module and what it may use of ours, as DESIGN says.
const HOUSE: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("fault", &[]),
    ("policy", &["domain"]),
    ("flow", &["domain"]),
    ("audit", &["domain"]),
    ("zerokit", &["domain", "fault"]),
    ("directory", &["domain"]),
    ("store", &["domain", "fault", "flow", "audit"]),
    ("engine", &["domain", "fault", "policy", "flow", "audit", "zerokit", "directory", "store"]),
    ("simulator", &["domain", "zerokit"]),
    ("http", &["domain", "engine", "store"]),
    ("cli", &["domain", "fault", "policy", "flow", "audit", "zerokit", "directory", "store", "engine", "simulator", "http"]),
];

/// What pure modules must not name: async, databases, networks, files, environment, clocks.
const IMPURE: [&str; 12] = [
    "tokio",
    "sqlx",
    "reqwest",
    "axum",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "SystemTime",
    "Instant",
    "async fn",
    "Timestamp::now",
];
const PURE: [&str; 4] = ["domain", "policy", "flow", "audit"];

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code without comments; a test module at the end is not the product.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_point_one_way() {
    let mut wrong = vec![];
    for (module, allowed) in HOUSE {
        for file in files(&source().join(module)) {
            for part in code(&file).split("crate::").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let is_known = HOUSE.iter().any(|(known, _)| *known == name);
                if is_known && name != module && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{} uses {name}", file.strip_prefix(source()).unwrap().display()));
                }
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_of_the_house_is_in_the_table() {
    let mut rooms: Vec<_> = std::fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    rooms.sort();
    let mut known: Vec<_> = HOUSE.iter().map(|(module, _)| (*module).to_owned()).collect();
    known.sort();
    assert_eq!(rooms, known);
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let mut wrong = vec![];
    for module in PURE {
        for file in files(&source().join(module)) {
            let code = code(&file);
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{} names {word}", file.strip_prefix(source()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_owns_and_can_be_read_in_one_go() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in files(&source()).into_iter().chain(files(&tests)) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not open by saying what it owns", file.display());
        assert!(text.lines().count() <= 500, "{} has {} lines: split it", file.display(), text.lines().count());
    }
}

#[test]
fn nothing_is_named_for_being_a_leftover() {
    for file in files(&source()) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            !["util", "utils", "helper", "helpers", "common", "manager", "misc"].contains(&name.as_str()),
            "{}",
            file.display()
        );
    }
}

#[test]
fn the_released_binary_has_no_crash_points() {
    // They are compiled by a feature that nothing but the tests turns on.
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("default = ["), "no default features");
    let room = std::fs::read_to_string(source().join("fault/mod.rs")).unwrap();
    for part in ["mod armed;", "pub mod bugs;", "pub(crate) use armed"] {
        assert!(room.contains(&format!("#[cfg(feature = \"faults\")]\n{part}")), "{part} is compiled without the feature");
    }
    for file in files(&source()) {
        let is_armed = file.ends_with("fault/armed.rs") || file.ends_with("fault/bugs.rs");
        assert!(
            is_armed || !code(&file).contains("feature = \"faults\"") || file.ends_with("fault/mod.rs"),
            "{}",
            file.display()
        );
    }
}
