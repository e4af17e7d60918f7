//! `git http-backend` behind basic authentication, on a free port of the loopback.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

pub(crate) const USER: &str = "reader";

type Look = Arc<dyn Fn(&str) + Send + Sync>;

/// Serves the repositories below `root` until the test process ends. `look` is called with each request line that came
/// with the right password, while git waits for the answer. Without `password` everybody may read.
pub(crate) fn serve(root: &Path, password: Option<&str>, look: impl Fn(&str) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (root, password) = (root.to_owned(), password.map(ToOwned::to_owned));
    let look: Look = Arc::new(look);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (root, password, look) = (root.clone(), password.clone(), look.clone());
            std::thread::spawn(move || respond(stream.unwrap(), root, password.as_deref(), &look));
        }
    });
    address
}

fn respond(stream: TcpStream, root: PathBuf, password: Option<&str>, look: &Look) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let length: usize = header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut out = stream;
    if let Some(password) = password {
        use base64::Engine as _;
        let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        if header("authorization") != format!("Basic {wanted}") {
            let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return out.write_all(refusal.as_bytes()).ok();
        }
    }
    look(&line);
    let mut request = line.split_whitespace();
    let (method, target) = (request.next()?, request.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", length.to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A backend that refuses early does not read everything.
    let _ = backend.stdin.take().map(|mut stdin| stdin.write_all(&body));
    let output = backend.wait_with_output().unwrap().stdout;
    let split = output.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let status = head
        .lines()
        .find_map(|l| l.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let body = &output[split + 4..];
    let sent = format!(
        "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    out.write_all(sent.as_bytes()).ok()?;
    out.write_all(body).ok()
}
