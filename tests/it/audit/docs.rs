//! docs/audit.md: every query and every command in it runs, as an auditor would run them.

use super::Auditor;
use crate::harness::Backend;
use crate::harness::command::assent;

/// The blocks of a language, in their order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = vec![];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            found.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_and_every_command_of_the_page_runs() {
    let page = std::fs::read_to_string("docs/audit.md").unwrap();
    let auditor = Auditor::begin(Backend::Postgres).await;
    let decisions = auditor.some_decisions().await;
    let kept = auditor.keep_checkpoint("kept.txt").await;
    let filled = |text: &str| {
        let policy = &auditor.stage.daemon.engine.policy().hash.to_string()[..12];
        text.replace("$USER", auditor.ann.as_str())
            .replace("$TRESOR", auditor.tresor.as_str())
            .replace("$DECISION", &decisions[1])
            .replace("$RULE", "outsider")
            .replace("$POLICY", policy)
    };
    let queries = blocks(&page, "sql");
    assert_eq!(queries.len(), 20);
    let mut rows = 0;
    for query in &queries {
        let query = filled(query);
        let counted = format!("select count(*)::text from ({}) q", query.trim_end_matches(';'));
        rows += auditor.stage.database.texts(counted).await[0].parse::<u32>().unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    assert!(rows > 40, "they find something: {rows}");
    let commands: Vec<String> = blocks(&page, "sh").join("\n").lines().map(filled).collect();
    assert!(commands.len() >= 27, "{commands:?}");
    // Whose facts are under a key: whoever something was shared with.
    let someone = auditor.stage.get(&format!("/v1/decisions/{}", decisions[1])).await["subject_id"].as_str().unwrap().to_owned();
    for command in commands {
        let command = if command.contains(" forget ") { command.replace(auditor.ann.as_str(), &someone) } else { command };
        let command = command.replace("kept.txt", &kept).replace(" ./", &format!(" {}/", auditor.folder.path().display()));
        let command = command.replace("decision.tlog-proof", &auditor.path("decision.tlog-proof"));
        let command = command.replace("'asked to, ticket 4711'", "asked").replace("assent_daemon", "assent_daemon_of_the_page");
        let mut words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words.remove(0), "assent", "{command}");
        words.extend(["--config", &auditor.config]);
        let ran = assent(&words, &[]).await;
        assert_eq!(ran.status, 0, "{command}: {}{}", ran.out, ran.err);
    }
    auditor.stage.daemon.stop().await;
}
