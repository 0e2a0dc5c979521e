//! What the engine does when an approval answers each of the 115 codes: once, and every time it is asked.

use crate::harness::{Backend, Setting, Stage};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::{Endpoint, ErrorCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// One approval of a share that meets a code `count` times: final state, error code, calls, and what the web app is told.
async fn approve(code: ErrorCode, count: usize) -> String {
    // Many at once on few cores: what is slow must not be taken for what is lost.
    let patient = Setting { change: |config| config.call_timeout = Duration::from_secs(10), ..Setting::default() };
    let stage = Stage::set(Backend::Sqlite, patient).await;
    let ann = stage.user("ann@example.com");
    let bob = stage.user("bob@example.com");
    let tresor = stage.simulator.world().create_tresor(&ann).unwrap();
    stage.simulator.world().approve_creation(&tresor).unwrap();
    let id = stage.simulator.world().share(&ann, &bob, &tresor, stage.now()).unwrap();
    stage.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::Code(code), count);
    let data = stage.scenario.app().data(Kind::Share, &id, &ann, None);
    let answer = stage.report(data, "approve").await;
    let calls = stage.simulator.calls().iter().filter(|call| **call == "ApproveShare").count();
    let outcome = &answer.body["outcome"];
    let sql = format!("select outcome || ' ' || coalesce(error_code, '-') from outcomes where operation_id = '{id}'");
    let recorded = stage.database.texts(sql).await;
    assert_eq!(answer.status, 200, "{}: the web app is told as soon as it is final", code.as_str());
    assert_eq!(recorded.len(), 1, "{}: exactly one outcome", code.as_str());
    let told = format!("{} {}", outcome["outcome"].as_str().unwrap(), outcome["error_code"].as_str().unwrap_or("-"));
    assert_eq!(recorded[0], told, "{}: the web app is told what is recorded", code.as_str());
    let is_member = stage.simulator.world().members(&tresor).unwrap().contains(&bob);
    assert_eq!(answer.state() == "approved", is_member, "{}: approved means that it happened", code.as_str());
    let effects = stage.simulator.world().effects().len();
    assert_eq!(effects, usize::from(is_member), "{}: and it happened once", code.as_str());
    stage.daemon.stop().await;
    format!(
        "{:<10} {:<11} {} {}",
        answer.state(),
        outcome["outcome"].as_str().unwrap(),
        outcome["error_code"].as_str().unwrap_or("-"),
        calls
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_leads_to_one_outcome_and_the_web_app_is_told() {
    let at_once = Arc::new(Semaphore::new(12));
    let tasks: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let at_once = Arc::clone(&at_once);
            tokio::spawn(async move {
                let _permit = at_once.acquire_owned().await.unwrap();
                (approve(*code, 1).await, approve(*code, 99).await)
            })
        })
        .collect();
    let row = |cells: &str| {
        let cells: Vec<_> = cells.split_whitespace().map(str::to_owned).collect();
        format!("{:<10} {:<10} {:<44} {}", cells[0], cells[1], cells[2], cells[3])
    };
    let mut table =
        format!("{:<48} {:<10} {:<10} {:<44} {}\n", "the approval answers", "state", "outcome", "error code", "calls");
    for (code, task) in ErrorCode::ALL.iter().zip(tasks) {
        let (once, always) = task.await.unwrap();
        let (once, always) = (row(&once), row(&always));
        table.push_str(&format!("{:<48} {once}\n", code.as_str()));
        if always != once {
            table.push_str(&format!("{:<48} {always}\n", "  every time"));
        }
    }
    insta::assert_snapshot!(table);
}
