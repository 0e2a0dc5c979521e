//! A C2SP witness: it signs a checkpoint that grew out of what it saw before, and nothing else.

use super::log_key;
use assent::audit::{Checkpoint, TreeHash};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::{Arc, Mutex};
use tlog_tiles::check_tree;
use tokio::net::TcpListener;

const NAME: &str = "witness.example/w1";

pub(crate) struct Witness {
    pub(crate) url: String,
    /// As it publishes its key.
    pub(crate) key: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    size: u64,
    root: Option<TreeHash>,
    signed: u64,
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap()
}

fn public() -> Vec<u8> {
    [&[4], pair().public_key().as_ref()].concat()
}

fn id() -> Vec<u8> {
    digest::digest(&digest::SHA256, &[NAME.as_bytes(), b"\n", &public()].concat()).as_ref()[..4].to_vec()
}

impl Witness {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        let seen = Arc::default();
        let router = Router::new().route("/w/add-checkpoint", post(add)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, key: format!("{NAME}+{}+{}", hex::encode(id()), STANDARD.encode(public())), seen }
    }

    /// How many checkpoints it signed, and the size of the last.
    pub(crate) fn signed(&self) -> (u64, u64) {
        let seen = self.seen.lock().unwrap();
        (seen.signed, seen.size)
    }
}

async fn add(State(seen): State<Arc<Mutex<Seen>>>, body: String) -> (StatusCode, String) {
    let (head, note) = body.split_once("\n\n").unwrap();
    let checkpoint = Checkpoint::parse(note).unwrap();
    if log_key().verifier().unwrap().check(&checkpoint).is_err() {
        return (StatusCode::FORBIDDEN, String::new());
    }
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let proof: Vec<_> = lines.map(|line| TreeHash(STANDARD.decode(line).unwrap().try_into().unwrap())).collect();
    let mut seen = seen.lock().unwrap();
    if old != seen.size {
        return (StatusCode::CONFLICT, format!("{}\n", seen.size));
    }
    if old > checkpoint.size {
        return (StatusCode::BAD_REQUEST, String::new());
    }
    let fits = match seen.root {
        Some(root) if old == checkpoint.size => root == checkpoint.root,
        Some(root) => check_tree(&proof, checkpoint.size, checkpoint.root, old, root).is_ok(),
        None => proof.is_empty(),
    };
    if !fits {
        return (StatusCode::UNPROCESSABLE_ENTITY, String::new());
    }
    *seen = Seen { size: checkpoint.size, root: Some(checkpoint.root), signed: seen.signed + 1 };
    let text = checkpoint.note.split_once("\n\n").unwrap().0;
    let signature = pair().sign(format!("cosignature/v1\ntime 1700000000\n{text}\n").as_bytes());
    let bytes = [id().as_slice(), &1_700_000_000_u64.to_be_bytes(), signature.as_ref()].concat();
    (StatusCode::OK, format!("\u{2014} {NAME} {}\n", STANDARD.encode(bytes)))
}
