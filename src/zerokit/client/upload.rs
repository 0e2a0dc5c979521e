//! A file on its way to the platform: hashed in a first pass, as the signature covers the hash, and streamed in a second.

use aws_lc_rs::digest;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

/// How much of the file is in memory at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Why a file cannot be uploaded.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be read: {cause}")]
pub struct UploadError {
    /// The file.
    pub path: String,
    /// What the system says.
    pub cause: std::io::Error,
}

/// Hears how many bytes were sent so far, and of how many.
pub type OnProgress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// A file that was read once and is to be sent.
#[derive(Clone)]
pub struct Upload {
    path: PathBuf,
    len: u64,
    hash: String,
    content_type: String,
    on_progress: OnProgress,
}

impl Upload {
    /// Reads the file for its hash and its length; `on_progress` hears of the bytes as they are sent.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn of(path: &Path, on_progress: OnProgress) -> Result<Self, UploadError> {
        let failed = |cause| UploadError { path: path.display().to_string(), cause };
        let mut file = File::open(path).await.map_err(failed)?;
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut piece = vec![0; PIECE_BYTES];
        let mut len = 0;
        loop {
            let read = file.read(&mut piece).await.map_err(failed)?;
            if read == 0 {
                break;
            }
            hash.update(piece.get(..read).unwrap_or_default());
            len += read as u64;
        }
        let content_type = mime_guess::from_path(path).first_or_octet_stream().to_string();
        Ok(Self { path: path.to_owned(), len, hash: hex::encode(hash.finish()), content_type, on_progress })
    }

    /// Bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty file is uploaded like any other")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// The lower-case hex SHA-256 of the file.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The file's own type, from its extension.
    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The file as the body of a request.
    pub(super) async fn open(&self) -> Result<reqwest::Body, String> {
        let file = File::open(&self.path).await.map_err(|error| error.to_string())?;
        let body = FileBody {
            file,
            left: self.len,
            len: self.len,
            piece: vec![0; PIECE_BYTES],
            on_progress: Arc::clone(&self.on_progress),
        };
        Ok(reqwest::Body::wrap(body))
    }
}

struct FileBody {
    file: File,
    left: u64,
    len: u64,
    piece: Vec<u8>,
    on_progress: OnProgress,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = usize::try_from(this.left).unwrap_or(usize::MAX).min(this.piece.len());
        let mut buffer = ReadBuf::new(this.piece.get_mut(..wanted).unwrap_or_default());
        match Pin::new(&mut this.file).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(Some(Err(std::io::Error::other("the file became shorter while it was sent"))))
            }
            Poll::Ready(Ok(())) => {
                let bytes = Bytes::copy_from_slice(buffer.filled());
                this.left -= bytes.len() as u64;
                (this.on_progress)(this.len - this.left, this.len);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
