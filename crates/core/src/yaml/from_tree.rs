//! WorkLock the tree into structs, which are compared with the second reader's. Parts of the text that are wrong are left
//! out.

use super::diagnostic::Route;
use super::tree::{Kind, Node};
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::collections::BTreeSet;

/// `broken`: routes of keys left out. A list with a wrong entry is itself in it.
///
/// # Errors
/// When what is left does not fit the structs; it quotes values, so it is not for people.
pub(crate) fn read<T: DeserializeOwned>(root: &Node, broken: &BTreeSet<Route>) -> Result<T, Error> {
    if broken.is_empty() {
        return T::deserialize(Value(root));
    }
    T::deserialize(Value(&whole_part(root, &Route::default(), broken)))
}

fn whole_part(node: &Node, route: &Route, broken: &BTreeSet<Route>) -> Node {
    let kind = match &node.kind {
        Kind::Scalar { .. } => node.kind.clone(),
        Kind::List(items) => {
            let items = items.iter().enumerate();
            Kind::List(
                items
                    .map(|(n, item)| whole_part(item, &route.index(n), broken))
                    .collect(),
            )
        }
        Kind::Map(map) => Kind::Map(map.filtered(|entry| {
            let route = route.key(&entry.key);
            (!broken.contains(&route)).then(|| whole_part(&entry.value, &route, broken))
        })),
    };
    Node { span: node.span, kind }
}

#[derive(Clone, Copy)]
struct Value<'a>(&'a Node);

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.kind {
            Kind::Scalar { .. } if self.0.is_null() => visitor.visit_unit(),
            Kind::Scalar { text, plain: true } => match (text.as_str(), text.parse::<u64>(), decimal(text)) {
                ("true", ..) => visitor.visit_bool(true),
                ("false", ..) => visitor.visit_bool(false),
                (_, Ok(number), _) => visitor.visit_u64(number),
                (_, Err(_), Some(number)) => visitor.visit_f64(number),
                (text, Err(_), None) => visitor.visit_str(text),
            },
            Kind::Scalar { text, plain: false } => visitor.visit_str(text),
            Kind::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Value))),
            Kind::Map(_) => {
                let entries = self.0.entries().iter();
                visitor.visit_map(MapDeserializer::new(entries.map(|e| (e.key.as_str(), Value(&e.value)))))
            }
        }
    }

    /// Read by `TextOrSecret`, for which a scalar is the text as it is written.
    fn is_human_readable(&self) -> bool {
        false
    }

    /// A scalar where a text is wanted is the text as it is written: `1.10` stays `1.10`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.kind {
            Kind::Scalar { text, .. } if !self.0.is_null() => visitor.visit_str(text),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.kind {
            Kind::Scalar { text, .. } => {
                let word: serde::de::value::StrDeserializer<'_, Error> = text.as_str().into_deserializer();
                word.deserialize_enum(name, variants, visitor)
            }
            Kind::List(_) | Kind::Map(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Digits on both sides of one point: the only fractions that the configuration has.
fn decimal(text: &str) -> Option<f64> {
    let (whole, part) = text.split_once('.')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(part)).then(|| text.parse().ok()).flatten()
}
