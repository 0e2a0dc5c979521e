//! The web app's side of the wire, as lean as it can be, since it shares two cores with what it measures: HTTP/1.1 over
//! connections that are kept, and a hook that takes events.

use assent::domain::webhook::{self, WebhookSecret};
use axum::Router;
use axum::http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

/// A connection to a daemon that is kept from one report to the next.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a report was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Answer {
    /// The state of the operation.
    pub(crate) fn state(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["state"].as_str().map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned)
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends a notification; with `waits` it is answered once the operation has come to its end.
    pub(crate) async fn report(&mut self, message: &str, body: &str, secret: &WebhookSecret, now: i64, waits: bool) -> Answer {
        let signature = secret.sign(message, now, body.as_bytes());
        let prefer = if waits { "prefer: wait=30\r\n" } else { "" };
        let request = format!(
            "POST /v1/operations HTTP/1.1\r\nhost: assent\r\ncontent-type: application/json\r\n{}: {message}\r\n{}: {now}\r\n{}: {signature}\r\n{prefer}content-length: {}\r\n\r\n{body}",
            webhook::ID,
            webhook::TIMESTAMP,
            webhook::SIGNATURE,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the daemon closed the connection");
        };
        let text = std::str::from_utf8(&self.buffer[..head]).unwrap().to_ascii_lowercase();
        let status = text[9..12].parse().unwrap();
        let length: usize = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        while self.buffer.len() < head + length {
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the daemon closed the connection");
        }
        Answer { status, body: self.buffer[head..].to_vec() }
    }
}

/// Takes every event; how many there were.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Hook {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        let router = Router::new().fallback(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(StatusCode::NO_CONTENT)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken }
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}
