//! Custom contents of the emulated platform: files in a folder of their own, which goes when the simulator goes.
//!
//! They are streamed in and out, so that a large one needs no memory.

use super::world::Refusal;
use crate::zerokit::{ContentName, ErrorCode, wire};
use aws_lc_rs::digest;
use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) content_type: String,
    pub(super) etag: String,
    pub(super) file: PathBuf,
}

/// A body that was received and is not accepted yet.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) size: u64,
    /// Lower-case hex SHA-256.
    pub(super) hash: String,
    file: PathBuf,
}

/// The files, by name.
#[derive(Debug)]
pub(super) struct Contents {
    folder: PathBuf,
    files: BTreeMap<String, Content>,
}

impl Default for Contents {
    fn default() -> Self {
        let folder = std::env::temp_dir().join(format!("assent-simulator-{}", uuid::Uuid::now_v7().simple()));
        Self { folder, files: BTreeMap::new() }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Contents {
    /// Where a new body can be put.
    pub(super) fn fresh_path(&self) -> PathBuf {
        self.folder.join(uuid::Uuid::now_v7().simple().to_string())
    }

    /// Keeps a received body under a name, in place of the one that was there.
    pub(super) fn keep(&mut self, name: &ContentName, received: Received) -> Content {
        let content = Content {
            size: received.size,
            content_type: mime_guess::from_path(name.as_str()).first_or_octet_stream().to_string(),
            etag: format!("\"{}\"", received.hash.get(..16).unwrap_or_default()),
            file: received.file,
        };
        if let Some(old) = self.files.insert(name.to_string(), content.clone()) {
            let _ = std::fs::remove_file(old.file);
        }
        content
    }

    /// Deletes a file, if it is there.
    pub(super) fn delete(&mut self, name: &str) {
        if let Some(content) = self.files.remove(name) {
            let _ = std::fs::remove_file(content.file);
        }
    }

    pub(super) fn clear(&mut self) {
        for name in self.files.keys().cloned().collect::<Vec<_>>() {
            self.delete(&name);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Content> {
        self.files.get(name).cloned()
    }

    /// The files as the platform lists them; `base` is the address that `/custom/` follows.
    pub(super) fn list(&self, base: &str) -> wire::ListCustomContentResponse {
        let contents: Vec<_> = self.files.iter().map(|(name, content)| describe(base, name, content)).collect();
        wire::ListCustomContentResponse {
            custom_content_count: contents.len() as u64,
            total_used_bytes: contents.iter().map(|content| content.size).sum(),
            contents,
        }
    }
}

/// A file as the platform describes it.
pub(super) fn describe(base: &str, name: &str, content: &Content) -> wire::CustomContentDetailsResponse {
    wire::CustomContentDetailsResponse {
        name: name.rsplit('/').next().unwrap_or(name).to_owned(),
        path: name.to_owned(),
        url: format!("{base}/custom/{name}"),
        size: content.size,
        content_type: content.content_type.clone(),
        etag: content.etag.clone(),
    }
}

/// Writes a body to a file while hashing it.
pub(super) async fn receive(path: PathBuf, mut body: Body) -> Result<Received, Refusal> {
    let failed = |_: std::io::Error| ErrorCode::UnexpectedStorage;
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    let mut file = File::create(&path).await.map_err(failed)?;
    let (mut hash, mut size) = (digest::Context::new(&digest::SHA256), 0);
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(bytes) = frame.map_err(|_| ErrorCode::ClientDisconnected)?.into_data() else { continue };
        hash.update(&bytes);
        size += bytes.len() as u64;
        file.write_all(&bytes).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(Received { size, hash: hex::encode(hash.finish()), file: path })
}

/// A file as the body of an answer.
pub(super) async fn open(content: &Content) -> Option<Body> {
    let file = File::open(&content.file).await.ok()?;
    Some(Body::new(Streamed { file, buffer: vec![0; 64 * 1024] }))
}

struct Streamed {
    file: File,
    buffer: Vec<u8>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let mut buffer = ReadBuf::new(&mut this.buffer);
        Pin::new(&mut this.file).poll_read(context, &mut buffer).map(|read| match read {
            Err(error) => Some(Err(error)),
            Ok(()) if buffer.filled().is_empty() => None,
            Ok(()) => Some(Ok(Frame::data(Bytes::copy_from_slice(buffer.filled())))),
        })
    }
}
