//! A body that a blocking writer fills, chunk by chunk, through a channel with a short queue.
//!
//! Metrics and exports read the store row by row and hold neither rows nor text. A client that does not
//! read is given up after a while, so that it cannot hold a reader of the store for ever; one that goes
//! away stops the writer at its next chunk. What fails before the first chunk is a problem document; what
//! fails later breaks the connection off, so that half a file is never taken for a whole one.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
/// A body that is not through after so long is given up, however steadily its client sips.
const WHOLE: Duration = Duration::from_secs(600);
/// So many exports are made at once.
static EXPORTS: Semaphore = Semaphore::const_new(4);
/// So many scrapes are answered at once. Apart from the exports: they must not make the monitor blind.
static SCRAPES: Semaphore = Semaphore::const_new(4);
/// For so long a body waits to be made before its client is sent away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a body is for: each kind waits for its own turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A file for somebody.
    Export,
    /// `/metrics`.
    Scrape,
}

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
    purpose: Purpose,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Stopped> + Send + 'static,
) -> Result<Body, Problem> {
    let turns = match purpose {
        Purpose::Export => &EXPORTS,
        Purpose::Scrape => &SCRAPES,
    };
    let turn = tokio::time::timeout(PATIENCE, turns.acquire()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::busy("too many such answers are being made", 10));
    };
    let (out, mut chunks) = mpsc::channel::<Chunk>(QUEUE);
    let runtime = Handle::current();
    // Only a writer that came to its end says so: not one that was given up, nor one that fell over.
    let done = Arc::new(AtomicBool::new(false));
    let whole = Arc::clone(&done);
    let over = Arc::new(AtomicBool::new(false));
    let ring = Arc::clone(&over);
    let alarm = tokio::spawn(async move {
        tokio::time::sleep(WHOLE).await;
        ring.store(true, Ordering::Relaxed);
    });
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut channel = Channel { out, runtime, buffer: Vec::with_capacity(CHUNK), over };
        match write(&mut channel).and_then(|()| channel.pass_on().map_err(Stopped::from)) {
            Ok(()) => whole.store(true, Ordering::Release),
            Err(Stopped::Gone) => {}
            Err(Stopped::Problem(problem)) => {
                let sending = channel.out.send_timeout(Err(problem), STALLED);
                let _ = channel.runtime.block_on(sending);
            }
        }
        alarm.abort();
    });
    match chunks.recv().await {
        Some(Err(problem)) => Err(problem),
        Some(Ok(first)) => Ok(Body::new(Chunks { first: Some(first), rest: chunks, done })),
        None if done.load(Ordering::Acquire) => Ok(Body::empty()),
        None => Err(Problem::internal()),
    }
}

/// The writer's end.
struct Channel {
    out: mpsc::Sender<Chunk>,
    runtime: Handle,
    buffer: Vec<u8>,
    over: Arc<AtomicBool>,
}

impl Channel {
    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.over.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
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
    done: Arc<AtomicBool>,
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
        self.rest.poll_recv(cx).map(|next| match next {
            Some(Ok(bytes)) => Some(Ok(Frame::data(bytes))),
            None if self.done.load(Ordering::Acquire) => None,
            Some(Err(_)) | None => Some(Err(io::ErrorKind::BrokenPipe.into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_is_what_was_written() {
        let made = body(Purpose::Export, |out| {
            for _ in 0..1000 {
                out.write_all(&[b'x'; 1000])?;
            }
            Ok(())
        });
        let bytes = axum::body::to_bytes(made.await.unwrap(), usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 1_000_000);
        let empty = body(Purpose::Export, |_| Ok(())).await.unwrap();
        assert!(axum::body::to_bytes(empty, 10).await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_fails_is_never_half_a_file() {
        let early = body(Purpose::Export, |_| Err(Problem::internal().into())).await;
        assert_eq!(early.err(), Some(Problem::internal()));
        let late = body(Purpose::Export, |out| {
            out.write_all(&[b'x'; 2 * CHUNK])?;
            Err(Problem::internal().into())
        });
        assert!(axum::body::to_bytes(late.await.unwrap(), usize::MAX).await.is_err());
        let fallen = body(Purpose::Export, |out| {
            out.write_all(&[b'x'; 2 * CHUNK])?;
            panic!("on purpose")
        });
        assert!(axum::body::to_bytes(fallen.await.unwrap(), usize::MAX).await.is_err());
        let given_up = body(Purpose::Export, |out| {
            out.write_all(&[b'x'; 2 * CHUNK])?;
            Err(io::Error::from(io::ErrorKind::TimedOut).into())
        });
        assert!(axum::body::to_bytes(given_up.await.unwrap(), usize::MAX).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_goes_away_ends_the_writer() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let made = body(Purpose::Export, move |out| {
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
