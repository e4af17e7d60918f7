//! The HTTP server: one request per connection, a limit of connections, and a time limit for each.

use crate::runtime::doors::{Guest, Guests, REQUEST_TIMEOUT, Refused};
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// For the log.
const DOOR: &str = "http";
/// Time limit of a connection: enough for a page of ten thousand apps over a slow line.
const WHOLE: Duration = Duration::from_secs(60);
/// Bytes of a request's head. Our longest path has twenty.
const HEAD: usize = 16 << 10;
/// How long responses under way may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until shutdown.
pub(super) async fn serve(listener: TcpListener, app: Router, shutdown: CancellationToken) {
    let guests = Guests::new();
    let mut refused = Refused::default();
    let mut attended = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
            // The slots of ended connections are free already; this only removes their tasks.
            Some(_) = attended.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                refused.accepted(DOOR);
                match guests.admit() {
                    Some(guest) => drop(attended.spawn(attend(stream, app.clone(), guest))),
                    None => debug!("a connection more than can be served"),
                }
            }
            Err(error) => refused.wait(DOOR, &error).await,
        }
    }
    let all = async { while attended.join_next().await.is_some() {} };
    // Clients that have not read their response by then are cut off.
    let _ = timeout(LAST_WORDS, all).await;
}

/// Serves one request per connection within [`WHOLE`]: a client that sends no request or reads no response is cut off.
async fn attend(stream: TcpStream, app: Router, guest: Guest) {
    let app = TowerToHyperService::new(app);
    let service = service_fn(|request| {
        guest.request_received();
        app.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        done = timeout(WHOLE, connection) => match done {
            Ok(Err(error)) => debug!(%error, "a connection ended"),
            Err(_) => debug!("a connection took too long"),
            Ok(Ok(())) => {}
        },
        () = guest.shown_out() => debug!("a silent connection made room"),
    }
}
