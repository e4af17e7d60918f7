//! The signed webhook by the whole way: message, outbox, request, and a receiver that checks signatures with the library of
//! Standard Webhooks and bodies against the published schema.

mod receiver;

use lowtide::channels::webhook::policy::WebhookPolicy;
use lowtide::clients::clock;
use lowtide::clients::engine::probe::ProbePath;
use lowtide::config::validate;
use lowtide::fleet::app::Fleet;
use lowtide::model::message::{Addressees, Keys, Message, MessageBody};
use lowtide::model::secret::SecretRef;
use lowtide::runtime::bot::{Bot, InForce};
use lowtide::runtime::{connectivity, notify};
use lowtide::store::database::Store;
use lowtide::store::outbox::Delivery;
use lowtide::store::sealed::Sealed;
use receiver::{Receiver, SECRET};
use serde_json::{Value, json};
use tempfile::TempDir;

const FLEET: &str = r#"
version: 1
notify: { webhook: { url: "https://hooks.example.org", secret: { env: LOWTIDE_TEST_NO_SECRET } } }
apps:
  web:
    source: { repo: https://example.org/web.git }
"#;
const RUN: &str = "01JDCS4Z00ABCDEFGHJKMNPQRS";

/// A bot that has nothing but a webhook.
struct House {
    bot: Bot,
    folder: TempDir,
}

impl House {
    async fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
        let state = folder.path();
        let store = Store::open(&state.join("lowtide.db"), true).unwrap();
        let sealed = Sealed::open(state).unwrap();
        let in_force = InForce::new("1".to_owned(), fleet(url, &folder), None, state).unwrap();
        let instance = "harbour".to_owned();
        let bot = Bot::new(store, sealed, state.to_owned(), instance, ProbePath::HostView, in_force);
        Self {
            bot: bot.await.unwrap(),
            folder,
        }
    }

    async fn notify(&self, key: &str, body: MessageBody) {
        let message = Message {
            keys: Keys {
                dedup: format!("incident/{key}"),
                thread: "incident".to_owned(),
            },
            addressees: Addressees::Maintainers,
            at: clock::now(),
            body,
        };
        self.bot.notify(&message).await.unwrap();
    }

    async fn deliver(&self) -> usize {
        notify::deliver_once(&self.bot).await.unwrap()
    }

    async fn waiting(&self) -> u64 {
        self.bot.store.pending_notices().await.unwrap()
    }

    /// Moves what waits for its next try to now.
    async fn due_now(&self) {
        let later = clock::now() + jiff::SignedDuration::from_hours(48);
        for pending in self.bot.store.due_notices(later, 50, |_| true).await.unwrap() {
            let delivery = Delivery::Later {
                at: clock::now(),
                error: String::new(),
            };
            let dedup = pending.notice.keys.dedup;
            self.bot
                .store
                .record_delivery(dedup, delivery, clock::now())
                .await
                .unwrap();
        }
    }
}

fn fleet(url: &str, folder: &TempDir) -> Fleet {
    let mut fleet = validate::fleet(FLEET.as_bytes()).unwrap();
    // No engine takes part.
    fleet.hosts.clear();
    fleet.channels.webhook = Some(WebhookPolicy {
        url: url.to_owned(),
        secret: SecretRef::File(folder.path().join("secret")),
    });
    fleet
}

fn passed(tag: &str) -> MessageBody {
    MessageBody::RunPassed {
        app: "web".parse().unwrap(),
        run: RUN.parse().unwrap(),
        commit: "3f2a9c1d0e".repeat(4),
        tag: Some(tag.to_owned()),
        observed: false,
    }
}

fn recovered() -> MessageBody {
    MessageBody::RunRecovered {
        app: "web".parse().unwrap(),
        run: RUN.parse().unwrap(),
    }
}

/// What the receiver believed, after its own checks.
fn believed(request: &Value) -> (&Value, &Value) {
    assert_eq!(request["refused"], Value::Null, "{request}");
    assert_eq!(request["problems"], json!([]), "{request}");
    (&request["id"], &request["payload"])
}

#[tokio::test]
async fn a_message_arrives_once_signed_and_as_the_schema_says() {
    let mut receiver = Receiver::start(&["200"]);
    let house = House::new(&receiver.url()).await;
    house.notify("1", passed("20261123.1")).await;
    house.notify("1", passed("20261123.1")).await;
    assert_eq!(house.deliver().await, 1);
    let request = receiver.next();
    let (id, payload) = believed(&request);
    assert!(id.as_str().unwrap().starts_with("msg_"), "{id}");
    assert_eq!(payload["type"], "run.passed");
    assert_eq!(payload["data"]["app"], "web");
    assert_eq!(payload["data"]["tag"], "20261123.1");
    assert_eq!(payload["data"]["instance"], "harbour");
    assert_eq!(house.waiting().await, 0);
    assert_eq!(house.deliver().await, 0);
}

#[tokio::test]
async fn what_was_taken_without_a_response_comes_again_under_the_same_id_and_in_order() {
    let mut receiver = Receiver::start(&["500", "204"]);
    let house = House::new(&receiver.url()).await;
    house.notify("1", passed("20261123.1")).await;
    house.notify("2", recovered()).await;
    assert_eq!(house.deliver().await, 0);
    assert_eq!(house.waiting().await, 2, "the second waits behind the first");
    house.due_now().await;
    while house.deliver().await > 0 {}
    let requests = [receiver.next(), receiver.next(), receiver.next()];
    let [lost, again, second] = requests.each_ref().map(believed);
    assert_eq!(lost.0, again.0);
    assert_ne!(second.0, again.0);
    assert_eq!(
        (&again.1["type"], &second.1["type"]),
        (&json!("run.passed"), &json!("run.recovered"))
    );
    assert_eq!(house.waiting().await, 0);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_says() {
    for status in ["503/3600", "429"] {
        let mut receiver = Receiver::start(&[status, "200"]);
        let house = House::new(&receiver.url()).await;
        house.notify("1", passed("20261123.1")).await;
        house.notify("2", passed("20261124.1")).await;
        assert_eq!(house.deliver().await, 0);
        assert_eq!(receiver.next()["status"].to_string(), status[..3]);
        house.due_now().await;
        assert_eq!(house.deliver().await, 0, "{status}: nothing is sent before");
        house.bot.store.set_mark("webhook-silent", clock::now()).await.unwrap();
        while house.deliver().await > 0 {}
        assert_eq!(house.waiting().await, 0, "{status}");
    }
}

#[tokio::test]
async fn the_receivers_response_decides_what_becomes_of_a_message() {
    for (status, waits, says) in [
        ("410", 0, "the receiver answers 410 Gone"),
        ("400", 1, "the receiver answers 400 Bad Request"),
        // Not followed: what is signed goes where the configuration says.
        ("307", 1, "the receiver answers 307 Temporary Redirect"),
    ] {
        let mut receiver = Receiver::start(&[status]);
        let house = House::new(&receiver.url()).await;
        house.notify("1", passed("20261123.1")).await;
        for _ in 0..3 {
            assert_eq!(house.deliver().await, 0);
            house.due_now().await;
        }
        assert_eq!(receiver.next()["path"], "/lowtide");
        assert_eq!(house.waiting().await, waits, "{status}");
        house.deliver().await;
        let undelivered = house.bot.store.undelivered().await.unwrap();
        assert_eq!(undelivered, [format!("webhook/incident/1: {says}")]);
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_receiver_or_the_secret_is_away() {
    let mut receiver = Receiver::start(&["200"]);
    let house = House::new(&receiver.url()).await;
    let secret = house.folder.path().join("secret");
    for (key, wrong) in [("1", "hunter2"), ("2", "whsec_c2hvcnQ=")] {
        std::fs::write(&secret, wrong).unwrap();
        house.notify(key, passed(key)).await;
        assert_eq!(house.deliver().await, 0);
    }
    std::fs::write(&secret, SECRET).unwrap();
    house.due_now().await;
    while house.deliver().await > 0 {}
    assert_eq!(believed(&receiver.next()).1["data"]["tag"], "1");
    assert_eq!(believed(&receiver.next()).1["data"]["tag"], "2");

    let gone = receiver.url();
    drop(receiver);
    let house = House::new(&gone).await;
    house.notify("1", passed("1")).await;
    house.notify("2", passed("2")).await;
    assert_eq!(house.deliver().await, 0);
    assert_eq!(house.waiting().await, 2);
}

#[tokio::test]
async fn a_check_sends_a_signed_ping_and_shows_no_url() {
    let mut receiver = Receiver::start(&["200", "401"]);
    let folder = tempfile::tempdir().unwrap();
    let said = async |url: &str, secret: &str| {
        std::fs::write(folder.path().join("secret"), secret).unwrap();
        let mut fleet = fleet(&format!("{url}?token=in-the-url"), &folder);
        fleet.apps.clear();
        let reached = connectivity::everything(&fleet, None, folder.path().to_owned(), None, |_| ()).await;
        let said = reached.into_iter().map(|it| format!("{}: {:?}", it.what, it.result));
        said.collect::<Vec<_>>()
            .join("\n")
            .replace(folder.path().to_str().unwrap(), "FOLDER")
    };
    let url = receiver.url();
    insta::assert_snapshot!(said(&url, SECRET).await, @r#"webhook: Ok("the receiver takes a signed ping")"#);
    assert_eq!(believed(&receiver.next()).1["type"], "ping");
    insta::assert_snapshot!(said(&url, SECRET).await, @r#"webhook: Err("the receiver answers 401 Unauthorized")"#);
    insta::assert_snapshot!(said(&url, "hunter2").await, @r#"webhook: Err("file FOLDER/secret is no key: it has to be `whsec_` and 24 to 64 bytes in Base64")"#);
    drop(receiver);
    let dead = said(&url, SECRET).await;
    assert!(
        dead.contains("does not answer") && !dead.contains("in-the-url"),
        "{dead}"
    );
}
