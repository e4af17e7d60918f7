//! Probes whether an address serves, from where lowtide runs.

use crate::clients::http::Root;
use crate::clients::tls;
use lowtide_model::failure::Failure;
use lowtide_model::local;
use reqwest::{Client, redirect};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);

/// A GET that has to respond with 200–399 within `limit`. A redirect is a response, and not followed.
///
/// # Errors
/// `LocalTrouble` when it cannot be probed from here now. What it said instead of serving is a value, for people.
pub async fn get(url: &str, limit: Duration) -> Result<Result<(), String>, Failure> {
    let client = Client::builder()
        .tls_backend_preconfigured(tls::client())
        .connect_timeout(CONNECT.min(limit))
        .timeout(limit)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("lowtide/", env!("CARGO_PKG_VERSION")))
        .build();
    let response = match client {
        Ok(client) => client.get(url).send().await,
        Err(error) => Err(error),
    };
    let status = match response {
        Ok(response) => response.status(),
        Err(error) => {
            let why = format!("GET {url}: {}", Root::of(&error));
            return match local::exhausted(&error) {
                Some(kind) => Err(Failure::new(kind, why)),
                None => Ok(Err(why)),
            };
        }
    };
    Ok(if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("GET {url} answered {}", status.as_u16()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_a_success_status_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            for status in ["200 OK", "302 Found", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                let response = format!(
                    "HTTP/1.1 {status}\r\nlocation: http://nowhere.invalid/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        let url = format!("http://{address}/healthz");
        let limit = Duration::from_secs(30);
        assert_eq!(get(&url, limit).await.unwrap(), Ok(()));
        assert_eq!(get(&url, limit).await.unwrap(), Ok(()));
        assert_eq!(get(&url, limit).await.unwrap(), Err(format!("GET {url} answered 503")));
        server.await.unwrap();
        let refused = get(&url, limit).await.unwrap().unwrap_err();
        assert!(refused.contains("refused"), "{refused}");
    }
}
