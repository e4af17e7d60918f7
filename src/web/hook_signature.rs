//! Is a request signed with a secret of ours? The body is read in pieces: it is neither stored nor understood.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use lowtide_model::secret::Secret;
use ring::hmac;
use subtle::{Choice, ConstantTimeEq};

/// How old a request may be, and how far its sender's clock may be ahead. Standard Webhooks leaves it to the receiver.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// Signatures looked at in one request; a sender that changes its secret has two.
const SIGNATURES: usize = 4;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it has no signature that can be read")]
    Unsigned,
    #[error("it was signed more than five minutes ago, or ahead of our clock")]
    Untimely,
    /// The operator's concern: no request can be signed with it.
    #[error("web.hooks.signed is no secret of Standard Webhooks: it begins with `whsec_`")]
    Unusable,
}

/// A signature that is being checked.
pub(super) struct Checked {
    context: hmac::Context,
    /// Any of them may fit.
    claimed: Vec<Vec<u8>>,
}

/// As GitHub signs (docs.github.com, *Validating webhook deliveries*): HMAC-SHA256 over the body, in hex.
pub(super) fn github(headers: &HeaderMap, secret: &Secret) -> Result<Checked, Refusal> {
    let claimed = text(headers, "x-hub-signature-256")?;
    let claimed = claimed
        .strip_prefix("sha256=")
        .and_then(bytes_of_hex)
        .ok_or(Refusal::Unsigned)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    Ok(Checked {
        context: hmac::Context::with_key(&key),
        claimed: vec![claimed],
    })
}

/// As Standard Webhooks has it (version 1): HMAC-SHA256 over id, time and body, in Base64.
pub(super) fn signed(headers: &HeaderMap, secret: &Secret, now: Timestamp) -> Result<Checked, Refusal> {
    let encoded = secret.expose().trim().strip_prefix("whsec_").ok_or(Refusal::Unusable)?;
    let key = STANDARD.decode(encoded).map_err(|_| Refusal::Unusable)?;
    let (id, timestamp) = (text(headers, "webhook-id")?, text(headers, "webhook-timestamp")?);
    let at = timestamp
        .parse()
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok());
    let at = at.ok_or(Refusal::Unsigned)?;
    if now.duration_since(at).abs() > TOLERANCE {
        return Err(Refusal::Untimely);
    }
    let signatures = text(headers, "webhook-signature")?.split(' ').take(SIGNATURES);
    let claimed: Vec<Vec<u8>> = signatures
        .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
        .collect();
    if claimed.is_empty() {
        return Err(Refusal::Unsigned);
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    Ok(Checked { context, claimed })
}

impl Checked {
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    /// The whole body was given. Takes the same time wherever a signature differs.
    pub(super) fn fits(self) -> bool {
        let tag = self.context.sign();
        let fitting = self
            .claimed
            .iter()
            .map(|claimed| claimed.as_slice().ct_eq(tag.as_ref()));
        fitting.fold(Choice::from(0), |any, one| any | one).into()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refusal> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .ok_or(Refusal::Unsigned)
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    /// The example of GitHub's documentation.
    #[test]
    fn a_signature_of_github_is_that_of_its_documentation() {
        let secret = Secret::new("It's a Secret to Everybody".to_owned());
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let fits = |signature: &str, body: &[u8]| {
            let mut checked = github(&headers(&[("x-hub-signature-256", signature)]), &secret)?;
            body.chunks(5).for_each(|piece| checked.update(piece));
            Ok::<_, Refusal>(checked.fits())
        };
        assert_eq!(fits(right, b"Hello, World!"), Ok(true));
        assert_eq!(fits(right, b"Hello, World?"), Ok(false));
        assert_eq!(
            fits(&right.to_uppercase().replace("SHA", "sha"), b"Hello, World!"),
            Ok(true)
        );
        assert_eq!(fits("sha256=", b"Hello, World!"), Ok(false));
        assert_eq!(fits("sha256=75", b"Hello, World!"), Ok(false));
        for unsigned in ["", "sha1=757107ea", "sha256=7", "sha256=zz"] {
            assert_eq!(fits(unsigned, b"Hello, World!"), Err(Refusal::Unsigned), "{unsigned}");
        }
        assert_eq!(github(&headers(&[]), &secret).err(), Some(Refusal::Unsigned));
    }

    /// The example of the specification's libraries.
    #[test]
    fn a_signature_of_standard_webhooks_is_that_of_its_specification() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let fits = |signature: &str, now: Timestamp, body: &str| {
            let of = headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ]);
            let mut checked = signed(&of, &secret, now)?;
            checked.update(body.as_bytes());
            Ok::<_, Refusal>(checked.fits())
        };
        let body = "{\"test\": 2432232314}";
        assert_eq!(fits(signature, at, body), Ok(true));
        assert_eq!(fits(&format!("v1,AAAA v1a,BBBB {signature}"), at, body), Ok(true));
        assert_eq!(fits(signature, at, "{}"), Ok(false));
        assert_eq!(fits("v1a,BBBB", at, body), Err(Refusal::Unsigned));
        let minutes = SignedDuration::from_mins;
        assert_eq!(fits(signature, at + minutes(5), body), Ok(true));
        assert_eq!(fits(signature, at + minutes(6), body), Err(Refusal::Untimely));
        assert_eq!(fits(signature, at - minutes(6), body), Err(Refusal::Untimely));
        let plain = Secret::new("no key".to_owned());
        assert_eq!(signed(&headers(&[]), &plain, at).err(), Some(Refusal::Unusable));
    }
}
