//! What is long is streamed: a large upload and a long list need no more memory than short ones.

use super::{Scene, kebab};
use crate::harness;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The most memory that either may take.
const MOST_KIB: u64 = 64 * 1024;

/// Runs a command to its end; its output, and the most memory it ever had, in KiB, as the kernel counted it.
async fn measured(scene: &Scene, name: &str, arguments: &[&str]) -> (String, u64) {
    let service = format!("http://{}/tenant-{}", scene.platform, harness::TENANT);
    let mut child = Command::new(env!("CARGO_BIN_EXE_assent"))
        .args(["admin", &kebab(name), "--service-url", &service, "--admin-key-file"])
        .arg(scene.key_file.path())
        .args(arguments)
        .env("ASSENT_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let output = tokio::spawn(async move {
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut child.stdout.take().unwrap(), &mut text).await.unwrap();
        (child.wait().await.unwrap(), text)
    });
    let mut most = 0;
    while !output.is_finished() {
        // The kernel's own high-water mark, so that nothing between two looks is missed but the very end.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(mark.unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, text) = output.await.unwrap();
    assert!(status.success(), "{name}: {text}");
    (text, most)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_200_mib_and_a_list_of_100_000_tresors_take_less_than_64_mib() {
    let (scene, _stop) = Scene::set().await;
    let large = tempfile::NamedTempFile::new().unwrap();
    large.as_file().set_len(200 * 1024 * 1024).unwrap();
    let path = large.path().to_str().unwrap();
    let (said, most) = measured(&scene, "UploadCustomContent", &["--file-name", "large.bin", "--data", path]).await;
    assert!(said.contains("size     200.0 MiB"), "{said}");
    assert!(most > 0 && most < MOST_KIB, "the upload took {most} KiB");
    {
        let mut world = scene.simulator.world();
        for _ in 0..100_000 {
            world.create_tresor(&scene.ann).unwrap();
        }
    }
    let (said, most) = measured(&scene, "ListTresors", &[]).await;
    assert!(said.ends_with("100000 tresors\n") && said.lines().count() == 100_001, "{}", said.lines().count());
    assert!(most > 0 && most < MOST_KIB, "the list of tresors took {most} KiB");
    let pages = scene.simulator.calls().iter().filter(|call| **call == "ListTresors").count();
    assert_eq!(pages, 1000, "a hundred a page");
    let users: Vec<_> = (0..50_000).map(|_| scene.simulator.world().add_user().unwrap()).collect();
    let (said, most) = measured(&scene, "ListUsers", &["--json"]).await;
    let list: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(list["Users"].as_array().unwrap().len(), users.len() + 2);
    assert!(most > 0 && most < MOST_KIB, "the list of users took {most} KiB");
}
