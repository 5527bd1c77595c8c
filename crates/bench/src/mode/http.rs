//! HTTP/1.1 keep-alive requests.

use std::io;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use super::CONNECTIONS;
use crate::link::Link;
use crate::report;
use crate::tally::SharedTally;
use crate::target::{Target, TargetOptions};
use crate::window::{Window, WindowOptions};

#[derive(Args)]
pub struct HttpOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    window: WindowOptions,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(CONNECTIONS))]
    connections: u32,
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: offloop-load\r\n\r\n";

pub(super) async fn run(options: HttpOptions) -> io::Result<()> {
    let target = Target::new(&options.target)?;
    let links = target.dial_silent(options.connections as usize).await?;
    let facts = links[0].facts();
    let window = Window::default();
    let tally = SharedTally::default();
    let mut clients = JoinSet::new();
    for link in links {
        let (window, tally) = (window.clone(), tally.clone());
        clients.spawn(async move {
            if let Err(error) = ask(link, &window, &tally).await {
                tally.lock().failed(&error);
            }
        });
    }
    let measured = window.run(options.window, clients).await?;
    let tally = tally.take();
    report::line(&report::merged([
        json!({
            "event": "end",
            "mode": "http",
            "requests": tally.done,
            "requests_per_second": measured.rate(tally.done),
        }),
        tally.latencies(),
        tally.distribution(),
        tally.failures(),
        facts,
        measured.client(),
    ]))
}

async fn ask(mut link: Link, window: &Window, tally: &SharedTally) -> io::Result<()> {
    let mut response = Vec::new();
    while !window.over() {
        let start = Instant::now();
        request(&mut link, &mut response).await?;
        if window.measuring() {
            tally.lock().answered(start.elapsed());
        }
    }
    link.close().await
}

/// One request and its response.
pub(super) async fn request(link: &mut Link, response: &mut Vec<u8>) -> io::Result<()> {
    link.send(REQUEST).await?;
    response.clear();
    loop {
        if link.receive(|piece| response.extend_from_slice(piece)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if is_whole(response)? {
            return Ok(());
        }
    }
}

/// Whether `response` is one whole response with `200` and a `content-length`.
fn is_whole(response: &[u8]) -> io::Result<bool> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let Some(head) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = str::from_utf8(&response[..head]).map_err(|_| invalid("a header is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(invalid(&format!("expected status 200, got '{status}'")));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or_else(|| invalid("a response without content-length"))?;
    match response.len().cmp(&(head + 4 + length)) {
        std::cmp::Ordering::Less => Ok(false),
        std::cmp::Ordering::Equal => Ok(true),
        std::cmp::Ordering::Greater => Err(invalid("more than the response came")),
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_response_is_whole_when_its_body_is() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..response.len() {
            assert!(!is_whole(&response[..end]).unwrap());
        }
        assert!(is_whole(response).unwrap());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(is_whole(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(is_whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxy").is_err());
    }
}
