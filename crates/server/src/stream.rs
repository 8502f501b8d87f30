//! A body that a blocking writer fills, chunk by chunk, through a channel with a short queue.
//!
//! Metrics and exports read the store row by row and hold neither rows nor text. A client that does not
//! read is given up after a while, so that it cannot hold a reader of the store for ever; one that goes
//! away stops the writer at its next chunk. What fails before the first chunk is a problem document; what
//! fails later breaks the connection off, so that half a file is never taken for a whole one.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::Frame;
use notafter_store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::api::problem::Problem;

/// A chunk has about so many bytes.
const CHUNK: usize = 64 * 1024;
/// So many chunks wait for the client.
const QUEUE: usize = 4;
/// A client that takes nothing for so long is given up.
const STALLED: Duration = Duration::from_secs(30);
/// So many bodies are made at once; each holds a reader of the store.
static WRITERS: Semaphore = Semaphore::const_new(4);
/// For so long a body waits to be made before its client is sent away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a writer may fail with: its own problem, or that nobody reads any more.
pub(crate) enum Stopped {
    /// The store, or something else of ours.
    Problem(Problem),
    /// The client.
    Gone,
}

impl From<io::Error> for Stopped {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

type Chunk = Result<Bytes, Problem>;

/// Runs a writer on a blocking thread and gives its body, once its first chunk is there.
pub(crate) async fn body(
    write: impl FnOnce(&mut dyn Write) -> Result<(), Stopped> + Send + 'static,
) -> Result<Body, Problem> {
    let turn = tokio::time::timeout(PATIENCE, WRITERS.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::busy("too many exports are being made", 10));
    };
    let (out, mut chunks) = mpsc::channel::<Chunk>(QUEUE);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut channel = Channel { out, runtime, buffer: Vec::with_capacity(CHUNK) };
        match write(&mut channel).and_then(|()| channel.pass_on().map_err(Stopped::from)) {
            Ok(()) | Err(Stopped::Gone) => {}
            Err(Stopped::Problem(problem)) => {
                let _ = channel.out.blocking_send(Err(problem));
            }
        }
    });
    match chunks.recv().await {
        Some(Err(problem)) => Err(problem),
        first => Ok(Body::new(Chunks { first: first.and_then(Result::ok), rest: chunks })),
    }
}

/// The writer's end.
struct Channel {
    out: mpsc::Sender<Chunk>,
    runtime: Handle,
    buffer: Vec<u8>,
}

impl Channel {
    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        let sending = self.out.send_timeout(Ok(chunk), STALLED);
        self.runtime.block_on(sending).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Chunks are passed on when they are full; small ones would only cost.
        Ok(())
    }
}

/// The client's end.
struct Chunks {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Chunk>,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.rest.poll_recv(cx).map(|next| {
            next.map(|chunk| match chunk {
                Ok(bytes) => Ok(Frame::data(bytes)),
                Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_is_what_was_written() {
        let made = body(|out| {
            for _ in 0..1000 {
                out.write_all(&[b'x'; 1000])?;
            }
            Ok(())
        });
        let bytes = axum::body::to_bytes(made.await.unwrap(), usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 1_000_000);
        let empty = body(|_| Ok(())).await.unwrap();
        assert!(axum::body::to_bytes(empty, 10).await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_fails_is_never_half_a_file() {
        let early = body(|_| Err(Problem::internal().into())).await;
        assert_eq!(early.err(), Some(Problem::internal()));
        let late = body(|out| {
            out.write_all(&[b'x'; 2 * CHUNK])?;
            Err(Problem::internal().into())
        });
        assert!(axum::body::to_bytes(late.await.unwrap(), usize::MAX).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_goes_away_ends_the_writer() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let made = body(move |out| {
            let result = loop {
                if let Err(error) = out.write_all(&[b'x'; CHUNK]) {
                    break error;
                }
            };
            let _ = told.send(());
            Err(result.into())
        });
        drop(made.await.unwrap());
        ended.await.unwrap();
    }
}
