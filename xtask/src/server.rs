//! A static file server with the headers a careful host would send.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow};
use tiny_http::{Header, Request, Response, StatusCode};

/// Workers take their policy from their own response, so a `<meta>` in the page is not enough.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'; form-action 'none'";

/// A server on this machine, until it is dropped.
pub struct Server {
    inner: Arc<tiny_http::Server>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves a folder; port 0 takes a free one.
    pub fn start(folder: &Path, port: u16) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let inner = tiny_http::Server::http(address).map_err(|error| anyhow!("port {port}: {error}"))?;
        let server = Self { inner: Arc::new(inner), requests: Arc::default() };
        for _ in 0..4 {
            let (inner, requests, folder) = (server.inner.clone(), server.requests.clone(), folder.to_path_buf());
            std::thread::spawn(move || {
                for request in inner.incoming_requests() {
                    requests.lock().expect("no handler panics").push(request.url().to_string());
                    // A browser that went away is no error of ours.
                    let _ = answer(request, &folder);
                }
            });
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.server_addr().to_ip().expect("an IP listener")
    }

    /// The URLs that were asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no handler panics").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for _ in 0..4 {
            self.inner.unblock();
        }
    }
}

fn answer(request: Request, folder: &Path) -> std::io::Result<()> {
    let Some(path) = resolve(folder, request.url()) else {
        return request.respond(Response::from_string("not found").with_status_code(StatusCode(404)));
    };
    let file = std::fs::File::open(&path)?;
    let headers = [
        ("Content-Type", content_type(&path)),
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-cache"),
    ];
    let mut response = Response::from_file(file);
    for (name, value) in headers {
        response.add_header(Header::from_bytes(name, value).expect("constant headers"));
    }
    request.respond(response)
}

/// The file of a URL, if it lies in the folder.
fn resolve(folder: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let inside = path.components().all(|component| matches!(component, Component::Normal(_)));
    let path = folder.join(path);
    (inside && path.is_file()).then_some(path)
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(resolve(folder, "/Cargo.toml?x=1"), Some(folder.join("Cargo.toml")));
        for url in ["/../Cargo.toml", "/src/../Cargo.toml", "//etc/passwd", "/src", "/nothing"] {
            assert_eq!(resolve(folder, url), None, "{url}");
        }
    }
}
