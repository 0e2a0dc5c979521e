//! `GET /metrics`: numbers for Prometheus, taken when they are asked for. No ids, no names: what is counted is the daemon.

use super::Api;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::Arc;

pub(super) async fn show(State(api): State<Arc<Api>>) -> Response {
    let text = render(&api);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn render(api: &Api) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let (status, now) = (api.engine.policy_status(), api.clock.now());
    let seconds_since = |time| now.duration_since(time).as_secs_f64().max(0.0);
    metrics::with_local_recorder(&recorder, || {
        describe_gauge!("assent_policy_age_seconds", "How long the policy has been in force on this replica.");
        gauge!("assent_policy_age_seconds").set(seconds_since(status.active_since));
        describe_gauge!("assent_policy_rules", "How many rules it has.");
        gauge!("assent_policy_rules").set(u32::try_from(status.policy.rules.len()).unwrap_or(u32::MAX));
        describe_gauge!("assent_policy_from_archive", "1 while the policy came from the archive, as the directory gave none.");
        gauge!("assent_policy_from_archive").set(f64::from(u8::from(status.source == "archive")));
        describe_gauge!("assent_policy_error", "1 while what stands in the directory cannot be put in force.");
        gauge!("assent_policy_error").set(f64::from(u8::from(status.error.is_some())));
        describe_gauge!("assent_policy_error_age_seconds", "How long that has been so; 0 if it is not.");
        gauge!("assent_policy_error_age_seconds").set(status.error.as_ref().map_or(0.0, |error| seconds_since(error.since)));
        let sealing = &api.engine.sealing_status;
        describe_gauge!("assent_log_leaves", "How many leaves the decision log had when this replica last sealed.");
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles")]
        gauge!("assent_log_leaves").set(sealing.leaves() as f64);
        describe_gauge!("assent_sealing_failing", "1 while the decision log cannot be sealed; see the log.");
        gauge!("assent_sealing_failing").set(f64::from(u8::from(sealing.is_failing())));
        describe_counter!("assent_policy_reloads_total", "How many times another policy was put in force since the start.");
        counter!("assent_policy_reloads_total").absolute(status.reloads);
    });
    handle.render()
}
