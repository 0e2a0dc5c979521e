//! Rule files, list files and test files of any text: the reader never panics, and what loads can be asked, linted,
//! described and traced without a panic, too.

#![no_main]

use assent::domain::fact::FactSet;
use assent::domain::kind::Kind;
use assent::policy::{Inquiry, SourceFile, load, load_cases, nearest_changes, updated, warnings};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|text: &str| {
    // Parts of one input: rules, a list, tests.
    let mut parts = text.split("\n---\n");
    let file = |path: &str, text: Option<&str>| SourceFile { path: path.to_owned(), text: text.unwrap_or_default().to_owned() };
    let files = [file("p.yaml", parts.next()), file("l.txt", parts.next()), file("p.test.yaml", parts.next())];
    let policy = match load(&files) {
        Ok(policy) => policy,
        Err(problems) => {
            for problem in &problems {
                let _ = problem.render(Some(&files[0].text));
            }
            return;
        }
    };
    let now = "2026-03-02T10:00:00Z".parse().expect("a time");
    for problem in warnings(&policy, now) {
        let _ = problem.render(Some(&files[0].text));
    }
    for kind in Kind::ALL {
        let inquiry = Inquiry { kind, facts: FactSet::default(), counts: BTreeMap::new(), now };
        let evaluation = inquiry.put_to(&policy);
        assert!(evaluation.trace.len() <= policy.rules.len());
        let _ = nearest_changes(&policy, &inquiry);
    }
    match load_cases(&files[2], &policy) {
        Ok(cases) => {
            let results: Vec<_> = cases.run(&policy).collect();
            let (text, _) = updated(&files[2].text, &results);
            // An expectation that was brought up to date is met.
            let _ = load_cases(&file("p.test.yaml", Some(&text)), &policy);
        }
        Err(problems) => {
            for problem in &problems {
                let _ = problem.render(Some(&files[2].text));
            }
        }
    }
});
