//! Long lists, item by item: read while they arrive, never held as a whole.

use super::{Client, time_is_over, unreadable};
use crate::zerokit::endpoint::Endpoint;
use crate::zerokit::failure::Failure;
use reqwest::Response;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::{BufReader, Cursor, Read};
use tokio::sync::mpsc;

/// How many items may wait for whoever reads them.
const READ_AHEAD: usize = 256;

/// The items of a list, in the platform's order. Dropping it stops the reading.
pub struct Items<T>(mpsc::Receiver<Result<T, Failure>>);

/// Where the items of a list are put.
pub(super) type Sink<T> = mpsc::Sender<Result<T, Failure>>;

impl<T> Items<T> {
    /// The next item; after a failure there is none.
    pub async fn next(&mut self) -> Option<Result<T, Failure>> {
        self.0.recv().await
    }
}

impl<T: Send + 'static> Items<T> {
    /// The items that a task puts into the sink, until it ends.
    pub(super) fn from_task<F: Future<Output = Result<(), Failure>> + Send>(
        task: impl FnOnce(Sink<T>) -> F + Send + 'static,
    ) -> Self {
        let (sink, items) = mpsc::channel(READ_AHEAD);
        tokio::spawn(async move {
            let failed = sink.clone();
            if let Err(failure) = task(sink).await {
                // Nobody may be listening any more.
                let _ = failed.send(Err(failure)).await;
            }
        });
        Self(items)
    }
}

impl Client {
    /// Reads the list that stands under `field` of an answer into a sink, as it arrives.
    pub(super) async fn pour<T: DeserializeOwned + Send + 'static>(
        &self,
        endpoint: Endpoint,
        field: &'static str,
        mut response: Response,
        sink: Sink<T>,
    ) -> Result<(), Failure> {
        let (chunks, arriving) = mpsc::channel(2);
        // The parser takes bytes when it wants them, so it waits in a thread of its own.
        let parser = tokio::task::spawn_blocking(move || {
            let reader = BufReader::new(Arriving { chunks: arriving, rest: Cursor::default() });
            let mut json = serde_json::Deserializer::from_reader(reader);
            let entity = Entity { field, sink };
            json.deserialize_map(entity).and_then(|()| json.end())
        });
        let failure = loop {
            // Only the platform is waited for with a clock in hand, not whoever reads on.
            match tokio::time::timeout(self.timeout, response.chunk()).await {
                Err(_) => break Some(time_is_over(endpoint)),
                Ok(Ok(Some(chunk))) => {
                    if chunks.send(chunk.to_vec()).await.is_err() {
                        break None;
                    }
                }
                Ok(Ok(None)) => break None,
                Ok(Err(error)) => break Some(self.no_answer(endpoint, error)),
            }
        };
        drop(chunks);
        let parsed = parser.await.map_err(|_| Failure::malformed(endpoint, "it cannot be read"))?;
        match (failure, parsed) {
            (Some(failure), _) => Err(failure),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(unreadable(endpoint, &error)),
        }
    }
}

/// Bytes that arrive, as a reader.
struct Arriving {
    chunks: mpsc::Receiver<Vec<u8>>,
    rest: Cursor<Vec<u8>>,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.rest.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

/// An object with one list in it whose items go to a sink.
struct Entity<T> {
    field: &'static str,
    sink: Sink<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Entity<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.field && !found {
                map.next_value_seed(List(&self.sink))?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(A::Error::missing_field(self.field)) }
    }
}

struct List<'s, T>(&'s Sink<T>);

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for List<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for List<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            self.0.blocking_send(Ok(item)).map_err(|_| A::Error::custom("nobody reads on"))?;
        }
        Ok(())
    }
}
