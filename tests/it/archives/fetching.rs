//! The client alone: mirrors, proxies, waiting, local files.

use super::site::{Site, Trick, client, limits};
use lowtide::clients::archive::address::Mirror;
use lowtide::clients::archive::error::ArchiveError;
use lowtide::clients::archive::fetch::{Access, ArchiveClient, FileRequest, Got, Limits, LocalFiles};
use lowtide::clients::pipe::{Pipe, pipe};
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

fn request(url: &str) -> FileRequest<'_> {
    FileRequest {
        url,
        limit: 1 << 20,
        cached: None,
        expected: None,
    }
}

async fn content(client: &ArchiveClient, url: &str) -> Result<Vec<u8>, ArchiveError> {
    match client.get(&request(url)).await? {
        Got::Content { bytes, .. } => Ok(bytes),
        Got::Unchanged => panic!("nothing was kept"),
    }
}

#[tokio::test]
async fn a_busy_server_is_waited_for_or_left_alone() {
    let site = Site::new().await;
    site.put("a", "content");
    let url = format!("{}/a", site.address);
    site.trick("a", Trick::BusyOnce("0"));
    let waiting = client(limits());
    assert_eq!(content(&waiting, &url).await.unwrap(), b"content");
    assert_eq!(site.seen(), ["/a -> 200", "/a -> 503"]);
    site.trick("a", Trick::BusyOnce("3600"));
    let error = content(&waiting, &url).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Busy { until: Some(_), .. }) && error.retryable());
    // Until then nothing else of that host is asked for, either.
    let error = content(&waiting, &format!("{}/b", site.address)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Busy { until: Some(_), .. }));
    assert_eq!(site.seen(), ["/a -> 503"]);
    assert_eq!(content(&client(limits()), &url).await.unwrap(), b"content");
}

#[tokio::test]
async fn one_host_gets_a_few_requests_at_a_time() {
    let site = Site::new().await;
    let narrow = client(Limits {
        per_host: 1,
        silence: Duration::from_millis(500),
        ..limits()
    });
    site.put("a", "content");
    site.trick("silent", Trick::Silence);
    let silent = format!("{}/silent", site.address);
    let quick = format!("{}/a", site.address);
    let (first, second) = tokio::join!(content(&narrow, &silent), content(&narrow, &quick));
    assert!(matches!(first, Err(ArchiveError::Timeout { .. })), "{first:?}");
    // It had to wait for the first to be given up, and then had its turn.
    assert_eq!(second.unwrap(), b"content");
    assert_eq!(site.seen(), ["/a -> 200", "/silent -> 200"]);
}

#[tokio::test]
async fn mirrors_and_proxies_take_the_archives_place() {
    let site = Site::new().await;
    site.put("mirror/dists/x", "content");
    site.put("dists/x", "through the proxy");
    let mirrored = ArchiveClient::new(Access {
        mirrors: vec![Mirror {
            from: "http://deb.example.org/debian".to_owned(),
            to: format!("{}/mirror", site.address),
        }],
        ..Access::default()
    });
    let url = "http://deb.example.org/debian/dists/x";
    assert_eq!(content(&mirrored.unwrap(), url).await.unwrap(), b"content");
    let proxied = ArchiveClient::new(Access {
        proxy: Some(site.address.clone()),
        ..Access::default()
    });
    let url = "http://deb.example.org/dists/x";
    assert_eq!(content(&proxied.unwrap(), url).await.unwrap(), b"through the proxy");
    let error = ArchiveClient::new(Access {
        proxy: Some("not an address".to_owned()),
        ..Access::default()
    });
    assert!(matches!(error.err().unwrap(), ArchiveError::Address { .. }));
}

#[tokio::test]
async fn unreachable_servers_and_foreign_transports_have_their_names() {
    let client = client(limits());
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = content(&client, &format!("http://u:secret@{closed}/a"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&closed.to_string(), "HOST"), @"http://HOST/a does not answer: Connection refused (os error 111)");
    let error = content(&client, "tor+http://deb.example.org/a").await.unwrap_err();
    insta::assert_snapshot!(error, @"tor+http://deb.example.org/a cannot be fetched: only http, https and file are known");
}

#[tokio::test]
async fn folders_are_read_only_when_that_was_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Release"), "content").unwrap();
    let url = format!("file:{}/Release", folder.path().display());
    let refused = content(&client(limits()), &url).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Local { .. }));
    let reading = ArchiveClient::new(Access {
        files: LocalFiles::Read,
        ..Access::default()
    })
    .unwrap();
    let Ok(Got::Content { bytes, validators }) = reading.get(&request(&url)).await else {
        panic!("the file was not read");
    };
    assert_eq!(bytes, b"content");
    let again = FileRequest {
        cached: Some(&validators),
        ..request(&url)
    };
    assert_eq!(reading.get(&again).await.unwrap(), Got::Unchanged);
    let gone = content(&reading, &format!("{url}.gpg")).await.unwrap_err();
    assert!(matches!(gone, ArchiveError::NotFound { .. }));
    let small = FileRequest {
        limit: 3,
        ..request(&url)
    };
    assert!(matches!(
        reading.get(&small).await,
        Err(ArchiveError::TooLarge { limit: 3, .. })
    ));
}

/// Threads that read what arrives, in the order in which they were asked for.
#[derive(Default)]
struct Readers(Mutex<Vec<JoinHandle<String>>>);

impl Readers {
    fn begin(&self, first_byte: &Arc<Notify>) -> Pipe {
        let (pipe, mut pieces) = pipe();
        let first_byte = Arc::clone(first_byte);
        let reader = std::thread::spawn(move || {
            let mut all = vec![0];
            pieces.read_exact(&mut all).unwrap();
            first_byte.notify_one();
            match pieces.read_to_end(&mut all) {
                Ok(_) => String::from_utf8(all).unwrap(),
                Err(error) => format!("{}, then {}", String::from_utf8_lossy(&all), error.kind()),
            }
        });
        self.0.lock().unwrap().push(reader);
        pipe
    }

    fn read(self) -> Vec<String> {
        let readers = self.0.into_inner().unwrap().into_iter();
        readers.map(|reader| reader.join().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_file_is_read_while_it_arrives() {
    let site = Site::new().await;
    site.put("a", "content");
    // The server goes on once the first half was read: who waits for the whole file waits in vain.
    let first_byte = Arc::new(Notify::new());
    site.trick("a", Trick::Halves(Arc::clone(&first_byte)));
    let readers = Readers::default();
    let url = format!("{}/a", site.address);
    let got = client(limits())
        .get_into(&request(&url), &|| readers.begin(&first_byte))
        .await;
    assert!(matches!(got, Ok(Got::Content { bytes, .. }) if bytes.is_empty()));
    assert_eq!(readers.read(), ["content"]);
}

#[tokio::test]
async fn each_attempt_has_a_reader_of_its_own() {
    let site = Site::new().await;
    site.put("a", "content");
    site.trick("a", Trick::BreakOnce);
    let (readers, nobody) = (Readers::default(), Arc::default());
    let url = format!("{}/a", site.address);
    let got = client(limits())
        .get_into(&request(&url), &|| readers.begin(&nobody))
        .await;
    assert!(matches!(got, Ok(Got::Content { .. })));
    assert_eq!(readers.read(), ["con, then broken pipe", "content"]);
}
