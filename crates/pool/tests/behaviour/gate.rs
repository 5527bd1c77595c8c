use offloop_pool::{Lane, Pool, PoolError, PoolOptions, Run};
use std::{
    pin::pin,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Keeps one thread of a pool busy until it is opened or dropped.
pub(crate) struct Gate {
    run: Run<()>,
    open: Sender<()>,
}

impl Gate {
    /// Returns once the job runs.
    pub(crate) fn close(pool: &Pool, lane: Lane) -> Gate {
        let (open, opened) = mpsc::channel::<()>();
        let (running, is_running) = mpsc::channel();
        let run = pool.run(lane, None, move || {
            running.send(()).expect("the test waits");
            // An error is a dropped gate, which opens too.
            let _ = opened.recv();
        });
        is_running.recv().expect("the gate's job runs");
        Gate { run, open }
    }

    /// Returns once the job has answered.
    pub(crate) async fn open(self) {
        drop(self.open);
        self.run.await.expect("a gate answers");
    }
}

pub(crate) fn pool(threads: usize) -> Pool {
    let options = PoolOptions { threads, ..PoolOptions::default() };
    Pool::new(options).expect("the pool starts")
}

/// Jobs that write their name down as they start.
pub(crate) struct Log {
    names: Sender<&'static str>,
    written: Receiver<&'static str>,
}

impl Log {
    pub(crate) fn new() -> Log {
        let (names, written) = mpsc::channel();
        Log { names, written }
    }

    pub(crate) fn run(&self, pool: &Pool, lane: Lane, name: &'static str) -> Run<()> {
        let names = self.names.clone();
        pool.run(lane, None, move || names.send(name).expect("the log lives"))
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.written.try_iter().collect()
    }
}

pub(crate) async fn all<T>(runs: impl IntoIterator<Item = Run<T>>) -> Vec<Result<T, PoolError>> {
    let mut answers = Vec::new();
    for run in runs {
        answers.push(run.await);
    }
    answers
}

/// For tests without a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
