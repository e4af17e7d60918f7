//! A signed request, by the specification of Standard Webhooks (version 1, symmetric keys): the signature covers id, time and
//! body, so that a request can be neither changed nor replayed later.

use crate::runtime::channels::courier::stable_id;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;

/// What the specification asks of a key's length.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What signs the requests.
pub struct Key(hmac::Key);

impl Key {
    /// Reads `whsec_…`; `None`: it is none.
    #[must_use]
    pub fn read(secret: &str) -> Option<Self> {
        let bytes = STANDARD.decode(secret.trim().strip_prefix("whsec_")?).ok()?;
        let key = || Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        KEY_BYTES.contains(&bytes.len()).then(key)
    }
}

/// What a request carries besides its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// `webhook-id`: the same for the same notice, however often it is delivered.
    pub id: String,
    /// `webhook-timestamp`: when it is sent, seconds.
    pub timestamp: String,
    /// `webhook-signature`
    pub signature: String,
}

/// The headers of a request that is sent `now`. `of`: what makes the message unique, among all of `instance`.
#[must_use]
pub fn headers(key: &Key, instance: &str, of: &str, body: &str, now: Timestamp) -> Headers {
    let id = format!("msg_{}", stable_id(instance, of));
    let timestamp = now.as_second().to_string();
    let tag = hmac::sign(&key.0, format!("{id}.{timestamp}.{body}").as_bytes());
    Headers {
        signature: format!("v1,{}", STANDARD.encode(tag)),
        id,
        timestamp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let key = Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        let tag = STANDARD.encode(hmac::sign(&key.0, signed.as_bytes()));
        assert_eq!(tag, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_id_is_the_notices_and_the_signature_covers_everything() {
        let key = Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap();
        let first = headers(&key, "harbour", "webhook/a", "{}", at(0));
        let again = headers(&key, "harbour", "webhook/a", "{}", at(60));
        assert_eq!(first.id, again.id, "a receiver recognises a repeated delivery");
        assert_ne!(first.signature, again.signature);
        assert_ne!(headers(&key, "harbour", "webhook/b", "{}", at(0)).id, first.id);
        assert_ne!(headers(&key, "other", "webhook/a", "{}", at(0)).id, first.id);
        assert_ne!(
            headers(&key, "harbour", "webhook/a", "{ }", at(0)).signature,
            first.signature
        );
        insta::assert_debug_snapshot!(first, @r#"
        Headers {
            id: "msg_46c08be74c27834ef7f3c7cb0b3206e5",
            timestamp: "1795000000",
            signature: "v1,Nqs5UrmdfCARjx1AG2c6oNiVkalQ9wCjes/CE5bWJvo=",
        }
        "#);
    }

    #[test]
    fn only_a_key_of_the_specification_is_one() {
        for secret in [
            "",
            "whsec_",
            "hunter2",
            "whsec_hunter2",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
        ] {
            assert!(Key::read(secret).is_none(), "{secret}");
        }
        let long = STANDARD.encode([7; 65]);
        assert!(Key::read(&format!("whsec_{long}")).is_none());
        assert!(Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").is_some());
    }
}
