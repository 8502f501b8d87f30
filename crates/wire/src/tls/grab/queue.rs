//! A bounded queue between threads that block and event loops that must not.
//!
//! The blocking side waits on a condition variable; a loop only ever tries, and is woken through
//! its `Waker` when what it waited for may be there. Nothing here knows what is queued.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Ends one loop's wait in epoll.
pub(super) struct Waker {
    pub(super) event: OwnedFd,
    /// Set by the loop before it waits with an eye on a queue: only then is waking it worth a system call.
    pub(super) waiting: AtomicBool,
}

impl Waker {
    pub(super) fn new() -> io::Result<Waker> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Waker { event, waiting: AtomicBool::new(false) })
    }

    /// Ends the loop's wait if it waits for what a queue may have now.
    fn wake(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            self.rouse();
        }
    }

    /// Ends the loop's wait, whatever it waits for.
    pub(super) fn rouse(&self) {
        // It can only fail when the counter is full, and then the loop is awake already.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// Forgets the wake-ups received.
    pub(super) fn drain(&self) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}

/// See the file's own words.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
    wakers: Vec<Arc<Waker>>,
}

/// What became of waiting for an item.
pub(super) enum Popped<T> {
    Item(T),
    Nothing,
    Closed,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    /// A queue for `capacity` items whose loops are woken through `wakers`.
    pub(super) fn new(capacity: usize, wakers: Vec<Arc<Waker>>) -> Queue<T> {
        let state = State { items: VecDeque::new(), closed: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), capacity: capacity.max(1), wakers }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_loops(&self) {
        for waker in &self.wakers {
            waker.wake();
        }
    }

    /// Adds what `items` yields, waiting for room; gives back what was not taken if the queue is closed.
    pub(super) fn push_all(&self, mut items: VecDeque<T>) -> Result<(), VecDeque<T>> {
        while !items.is_empty() {
            let mut state = self.lock();
            while state.items.len() >= self.capacity && !state.closed {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return Err(items);
            }
            let room = (self.capacity - state.items.len()).min(items.len());
            state.items.extend(items.drain(..room));
            drop(state);
            self.wake_loops();
        }
        Ok(())
    }

    /// As `push_all` for one item, without waiting.
    pub(super) fn try_push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed || state.items.len() >= self.capacity {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.wake_loops();
        Ok(())
    }

    /// Takes one item, waiting for it no longer than `patience`.
    pub(super) fn pop_within(&self, patience: Duration) -> Popped<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                let was_full = state.items.len() + 1 >= self.capacity;
                drop(state);
                if was_full {
                    self.wake_loops();
                }
                return Popped::Item(item);
            }
            if state.closed {
                return Popped::Closed;
            }
            // A wake-up for something else starts the wait anew: it is a bound, not a measure.
            let (woken, over) =
                self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            if over.timed_out() && woken.items.is_empty() && !woken.closed {
                return Popped::Nothing;
            }
            state = woken;
        }
    }

    /// Takes one item, waiting for it; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        loop {
            match self.pop_within(Duration::from_secs(3600)) {
                Popped::Item(item) => return Some(item),
                Popped::Nothing => {}
                Popped::Closed => return None,
            }
        }
    }

    /// As `pop`, without waiting.
    pub(super) fn try_pop(&self) -> Option<T> {
        let item = self.lock().items.pop_front();
        if item.is_some() {
            self.wake_loops();
        }
        item
    }

    /// For a loop: moves up to `most` items over. Returns whether more may come.
    pub(super) fn take(&self, most: usize, into: &mut VecDeque<T>) -> bool {
        let mut state = self.lock();
        let count = state.items.len().min(most);
        into.extend(state.items.drain(..count));
        let open = !state.closed || !state.items.is_empty();
        // A feeder woken for every place that falls free would do nothing but wake up.
        let roomy = state.items.len() <= self.capacity / 2;
        drop(state);
        if count > 0 && roomy {
            self.changed.notify_all();
        }
        open
    }

    /// For a loop: adds the item unless the queue is full; a closed queue swallows it.
    pub(super) fn offer(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Ok(());
        }
        if state.items.len() >= self.capacity {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Whether an `offer` would find the queue full.
    pub(super) fn is_full(&self) -> bool {
        let state = self.lock();
        !state.closed && state.items.len() >= self.capacity
    }

    /// Whether a `take` would find nothing new.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        !state.closed && state.items.is_empty()
    }

    /// No more items from now on; those inside can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
        for waker in &self.wakers {
            waker.rouse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_closes() {
        let queue = Queue::new(2, Vec::new());
        assert!(queue.is_idle());
        assert_eq!((queue.offer(1), queue.offer(2), queue.offer(3)), (Ok(()), Ok(()), Err(3)));
        assert!(queue.is_full());
        let mut taken = VecDeque::new();
        assert!(queue.take(1, &mut taken));
        assert_eq!((taken, queue.pop()), (VecDeque::from([1]), Some(2)));
        assert_eq!(queue.push_all(VecDeque::from([4])), Ok(()));
        queue.close();
        assert_eq!(queue.push_all(VecDeque::from([5])), Err(VecDeque::from([5])));
        assert_eq!((queue.pop(), queue.pop()), (Some(4), None));
    }

    #[test]
    fn a_full_queue_holds_its_feeder_back() {
        let queue = Queue::new(1, Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push_all((0..100).collect()).unwrap());
            for expected in 0..100 {
                let mut taken = VecDeque::new();
                while taken.is_empty() {
                    queue.take(1, &mut taken);
                    std::thread::yield_now();
                }
                assert_eq!(taken, [expected]);
            }
        });
    }
}
