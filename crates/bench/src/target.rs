//! The server under load, and how to reach it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use clap::Args;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, SupportedProtocolVersion};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::key_share::KeptX25519;
use crate::link::Link;
use crate::pinned::PinnedCertificate;
use crate::session_store::SessionStore;
use crate::tls_link::TlsLink;

/// Which server, and TLS or not.
#[derive(Args)]
pub struct TargetOptions {
    /// Address of the server.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of the server.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The server's certificate (PEM), the only one accepted.
    #[arg(long, required_unless_present = "plain")]
    cert: Option<PathBuf>,
    /// Plain TCP, no TLS.
    #[arg(long)]
    plain: bool,
    /// Offers TLS 1.2 only; 1.3 only otherwise.
    #[arg(long)]
    tls12: bool,
    /// Resumes sessions; without it every handshake is a full one.
    #[arg(long)]
    resume: bool,
    /// A fresh key share for each connection, as browsers do; one kept for all costs the client less.
    #[arg(long)]
    fresh_key_shares: bool,
    /// Offers AES-128 and SHA-256 alone in TLS 1.3; otherwise AES-256 and SHA-384 come first, which
    /// node:tls prefers too, and cost each side of a handshake some 10 % more.
    #[arg(long)]
    aes128: bool,
    /// Source addresses from 127.0.0.1 up, where one would run out of ports (Linux reuses them).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=200))]
    sources: u8,
}

/// A server that can be dialled.
pub struct Target {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    sources: u8,
    next_source: AtomicU8,
}

impl Target {
    /// Reads the certificate and fixes what the client offers.
    ///
    /// # Errors
    /// When the certificate can't be read.
    pub fn new(options: &TargetOptions) -> io::Result<Arc<Self>> {
        let tls = match &options.cert {
            Some(cert) if !options.plain => Some(Arc::new(client_config(cert, options)?)),
            _ => None,
        };
        Ok(Arc::new(Self {
            address: SocketAddr::new(options.host, options.port),
            tls,
            sources: options.sources,
            next_source: AtomicU8::new(0),
        }))
    }

    /// One connection, with its handshake behind it.
    ///
    /// # Errors
    /// When the server refuses, or is not who it should be.
    pub async fn dial(&self) -> io::Result<Link> {
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Link::plain(stream)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Link::Tls(Box::new(TlsLink::handshake(stream, Arc::clone(config), name).await?)))
    }

    /// `count` connections to a server that echoes, each with one message behind it: a server may
    /// accept long after the client's kernel says connected.
    ///
    /// # Errors
    /// The first one's that failed.
    pub async fn dial_echoing(self: &Arc<Self>, count: usize) -> io::Result<Vec<Link>> {
        self.dial_all(count, b"first").await
    }

    /// `count` connections.
    ///
    /// # Errors
    /// The first one's that failed.
    pub async fn dial_silent(self: &Arc<Self>, count: usize) -> io::Result<Vec<Link>> {
        self.dial_all(count, b"").await
    }

    /// At most 64 at a time are on their way; `greeting` is echoed when there is one.
    async fn dial_all(
        self: &Arc<Self>,
        count: usize,
        greeting: &'static [u8],
    ) -> io::Result<Vec<Link>> {
        let mut links = Vec::with_capacity(count);
        let mut dialling = JoinSet::new();
        let mut started = 0;
        while links.len() < count {
            while started < count && dialling.len() < 64 {
                let target = Arc::clone(self);
                dialling.spawn(async move {
                    let mut link = target.dial().await?;
                    if !greeting.is_empty() {
                        link.echo(greeting).await?;
                    }
                    Ok::<_, io::Error>(link)
                });
                started += 1;
            }
            if let Some(link) = dialling.join_next().await {
                links.push(link??);
            }
        }
        Ok(links)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        if self.sources == 1 {
            return TcpStream::connect(self.address).await;
        }
        let socket = TcpSocket::new_v4()?;
        let turn = self.next_source.fetch_add(1, Ordering::Relaxed) % self.sources;
        socket.bind(SocketAddr::from(([127, 0, 0, 1 + turn], 0)))?;
        socket.connect(self.address).await
    }
}

fn client_config(cert: &Path, options: &TargetOptions) -> io::Result<ClientConfig> {
    let leaf = CertificateDer::from_pem_file(cert)
        .map_err(|error| io::Error::other(format!("{}: {error}", cert.display())))?;
    let version: &'static SupportedProtocolVersion = if options.tls12 { &TLS12 } else { &TLS13 };
    // The same group for every server: newer OpenSSL would else ask for a post-quantum one.
    let x25519 =
        if options.fresh_key_shares { aws_lc_rs::kx_group::X25519 } else { KeptX25519::leaked()? };
    let mut cipher_suites = aws_lc_rs::default_provider().cipher_suites;
    if options.aes128 {
        cipher_suites.retain(|suite| {
            suite.tls13().is_none() || suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256
        });
    }
    let provider = CryptoProvider {
        cipher_suites,
        kx_groups: vec![x25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    };
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedCertificate { leaf, algorithms }))
        .with_no_client_auth();
    config.resumption = if options.resume {
        Resumption::store(Arc::new(SessionStore::default()))
    } else {
        Resumption::disabled()
    };
    Ok(config)
}
