//! `offloop-load`: see `offloop-load --help` and [`offloop_bench`].
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use offloop_bench::mode::Mode;
use offloop_bench::process;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load for TLS and TCP servers on this machine; prints one JSON object a line.
#[derive(Parser)]
#[command(name = "offloop-load", version)]
struct Options {
    /// Threads of the client; 1 is enough for a server on two cores.
    #[arg(long, global = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    #[command(subcommand)]
    mode: Mode,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match load(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(io::stderr(), "offloop-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(options: Options) -> io::Result<()> {
    process::raise_descriptor_limit();
    let mut builder = if options.threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(options.threads.into()).enable_all().build()?;
    let result = runtime.block_on(options.mode.run());
    // `idle` leaves a thread blocked in a read of stdin.
    runtime.shutdown_background();
    result
}
