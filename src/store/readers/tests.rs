use super::*;
use crate::store::database::Store;
use std::sync::mpsc;

fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("lowtide.db"), true).unwrap()
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let refused = store
        .query(|connection| Ok(connection.execute("DELETE FROM meta", [])?))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("cannot be used"), "{refused}");
    assert_eq!(
        store.current_term().await.unwrap(),
        store.term(),
        "the term is still there"
    );
}

/// The journal goes on while every reader is in progress, and the one after them sees what was written.
#[tokio::test]
async fn questions_are_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let (mut held, mut releases) = (Vec::new(), Vec::new());
    for _ in 0..MOST {
        let (release, wait) = mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let querying = store.clone();
        held.push(tokio::spawn(async move {
            querying
                .query(move |connection| {
                    let before = count(connection)?;
                    let _ = begun.send(());
                    let _ = wait.recv();
                    Ok((before, count(connection)?))
                })
                .await
        }));
        begins.await.unwrap();
        releases.push(release);
    }
    store.set_number("written", Some(1)).await.unwrap();
    let line = Arc::clone(&store.readers().0);
    let after = store.clone();
    let after = tokio::spawn(async move { after.query(count).await });
    while line.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(releases);
    for held in held {
        assert_eq!(held.await.unwrap().unwrap(), (0, 0), "one question, one moment");
    }
    assert_eq!(after.await.unwrap().unwrap(), 1);
    assert!(line.lock().threads <= MOST);
}

fn count(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM meta WHERE key = 'number/written'";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

#[tokio::test]
async fn a_question_that_panics_takes_no_place_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    for _ in 0..=MOST {
        let result: Result<(), _> = store.query(|_| panic!("on purpose")).await;
        assert!(matches!(result, Err(StoreError::Closed)));
    }
    assert_eq!(store.query(count).await.unwrap(), 0);
}

#[tokio::test]
async fn the_threads_go_with_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    store.query(count).await.unwrap();
    let line = Arc::clone(&store.readers().0);
    assert_eq!(line.lock().threads, 1, "one question needs one reader");
    let other = store.clone();
    drop(store);
    other.query(count).await.unwrap();
    drop(other);
    while line.lock().threads > 0 {
        std::thread::yield_now();
    }
}
