//! A static file server with the headers a careful host would send.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn};
use tokio::runtime::Runtime;
use tower_http::services::{ServeDir, ServeFile};

/// Workers take their policy from their own response, so a `<meta>` in the page is not enough.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; form-action 'none'";

/// Headers of every response.
const HEADERS: [(&str, &str); 4] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
];

/// A server on this machine, until it is dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves a folder; port 0 takes a free one.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start(folder: &Path, port: u16) -> Result<Self> {
        Self::start_with(folder, port, &[])
    }

    /// As [`Server::start`], with the headers that WebAssembly threads need; umedsam does not.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_isolated(folder: &Path, port: u16) -> Result<Self> {
        const ISOLATION: [(&str, &str); 2] =
            [("cross-origin-opener-policy", "same-origin"), ("cross-origin-embedder-policy", "require-corp")];
        Self::start_with(folder, port, &ISOLATION)
    }

    /// As [`Server::start`], as a content delivery network: any page may load its files, and its own pages may load any.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_open(folder: &Path, port: u16) -> Result<Self> {
        const OPEN: [(&str, &str); 3] = [
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("content-security-policy", "default-src * blob: data: 'unsafe-inline' 'wasm-unsafe-eval'"),
        ];
        Self::start_with(folder, port, &OPEN)
    }

    /// As [`Server::start`], with a policy that demands Trusted Types.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_with_trusted_types(folder: &Path, port: u16) -> Result<Self> {
        const TRUSTED: [(&str, &str); 1] = [(
            "content-security-policy",
            "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'",
        )];
        Self::start_with(folder, port, &TRUSTED)
    }

    /// As [`Server::start`], with a policy that forbids compiling WebAssembly.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_without_wasm(folder: &Path, port: u16) -> Result<Self> {
        const FORBIDDING: [(&str, &str); 1] = [("content-security-policy", "default-src 'self'")];
        Self::start_with(folder, port, &FORBIDDING)
    }

    /// As [`Server::start`], with a `Cross-Origin-Embedder-Policy` on pages alone, as where only the application sets headers.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_embedding(folder: &Path, port: u16) -> Result<Self> {
        const EMBEDDING: [(&str, &str); 2] = [
            ("cross-origin-embedder-policy", "require-corp"),
            ("content-security-policy", "default-src 'self' blob:; script-src 'self' blob: 'wasm-unsafe-eval'"),
        ];
        Self::start_with_some(folder, port, &EMBEDDING, |path| path.ends_with('/') || path.ends_with(".html"))
    }

    /// As [`Server::start_isolated`], an application of one page such as OHIF, with the policy that its inline scripts and styles, its workers and what it
    /// evaluates need: `further` folders and files by their path, and the page at every path where nothing else is.
    ///
    /// # Errors
    /// If the port cannot be used.
    pub fn start_application(folder: &Path, further: &[(&str, &Path)], port: u16) -> Result<Self> {
        const APPLICATION: [(&str, &str); 3] = [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            (
                "content-security-policy",
                "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; \
                 style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; object-src 'none'; base-uri 'none'",
            ),
        ];
        let page = ServeDir::new(folder).fallback(ServeFile::new(folder.join("index.html")));
        let app = further.iter().fold(Router::new().fallback_service(page), |app, (path, place)| {
            if place.is_dir() {
                app.nest_service(path, ServeDir::new(place))
            } else {
                app.route_service(path, ServeFile::new(place))
            }
        });
        Self::start_app(app, port, &APPLICATION, |_| true)
    }

    fn start_with(folder: &Path, port: u16, further: &'static [(&str, &str)]) -> Result<Self> {
        Self::start_with_some(folder, port, further, |_| true)
    }

    /// With further headers on the paths of a kind.
    fn start_with_some(
        folder: &Path,
        port: u16,
        further: &'static [(&str, &str)],
        is_meant: fn(&str) -> bool,
    ) -> Result<Self> {
        Self::start_app(Router::new().fallback_service(ServeDir::new(folder)), port, further, is_meant)
    }

    fn start_app(app: Router, port: u16, further: &'static [(&str, &str)], is_meant: fn(&str) -> bool) -> Result<Self> {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = requests.clone();
        let app = app.layer(from_fn(move |request: Request, next: Next| {
            log.lock().expect("no handler panics").push(request.uri().to_string());
            let further = if is_meant(request.uri().path()) { further } else { &[] };
            async move {
                let mut response = next.run(request).await;
                for (name, value) in HEADERS.iter().chain(further) {
                    response.headers_mut().insert(*name, HeaderValue::from_static(value));
                }
                response
            }
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("port {port} cannot be used; choose another with --port"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        Ok(Self { address, requests, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URLs that were asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no handler panics").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server may be dropped within another runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
