//! A backend that costs next to nothing: what is measured is the proxy before it.

use std::io;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::report;

#[derive(Args)]
pub struct AnswerOptions {
    /// Port to listen on; 0: one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// As nginx's `return 200` with a short body.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, world\n";

/// Runs until the process is ended.
pub(super) async fn run(options: &AnswerOptions) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let port = listener.local_addr()?.port();
    report::line(&json!({ "event": "listening", "port": port }))?;
    loop {
        let (socket, _) = listener.accept().await?;
        // One that breaks is the load's to count.
        tokio::spawn(async move { drop(answer(socket).await) });
    }
}

/// Answers each request without a body by its end.
async fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = [0; 16 * 1024];
    let mut known = 0;
    loop {
        match socket.read(&mut request[known..]).await? {
            0 => return Ok(()),
            bytes => known += bytes,
        }
        let ends = request[..known].windows(4).filter(|bytes| *bytes == b"\r\n\r\n").count();
        if ends > 0 {
            // Clients here ask for the next when they have the last: nothing stands behind it.
            known = 0;
            socket.write_all(&RESPONSE.repeat(ends)).await?;
        } else if known == request.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}
