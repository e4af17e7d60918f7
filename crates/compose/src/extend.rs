//! `extends`: a service that is another one, changed.

use crate::canonical;
use crate::load::{Env, LoadError, Loader, is_remote, join, parent, shape};
use crate::merge;
use crate::paths;
use crate::value::{Map, Node, Value};

impl Loader<'_> {
    /// Every service of a document with all that it extends under it.
    pub(crate) fn extend_all(&mut self, document: &mut Node, path: &str, env: &Env) -> Result<(), LoadError> {
        let Value::Map(top) = &mut document.value else {
            return Ok(());
        };
        let Some(services) = top.get_mut("services") else {
            return Ok(());
        };
        if services.value == Value::Null {
            return Ok(());
        }
        let Value::Map(map) = &services.value else {
            return Err(shape(services, "services", "a map"));
        };
        let names: Vec<String> = map.0.iter().map(|(name, _)| name.clone()).collect();
        let original = map.clone();
        for name in names {
            let extended = self.extended(&name, &original, path, env, &mut Vec::new())?;
            if let Value::Map(map) = &mut services.value {
                map.set(&name, extended);
            }
        }
        Ok(())
    }

    /// A service with all that it extends under it.
    fn extended(
        &mut self,
        name: &str,
        services: &Map,
        path: &str,
        env: &Env,
        chain: &mut Vec<String>,
    ) -> Result<Node, LoadError> {
        let Some(service) = services.get(name) else {
            return Err(LoadError::Missing(format!("{path}: service {name}")));
        };
        let mut service = service.clone();
        let Value::Map(map) = &mut service.value else {
            return Ok(service);
        };
        let Some(extends) = map.take("extends") else {
            return Ok(service);
        };
        let here = format!("{name} in {path}");
        if chain.contains(&here) {
            chain.push(here);
            let (place, chain) = (extends.place, chain.join(" → "));
            return Err(LoadError::Cycle { place, chain });
        }
        chain.push(here);
        let part = |key: &str| extends.as_map().and_then(|map| map.get(key)).and_then(Node::scalar);
        let Some(base) = extends.scalar().or_else(|| part("service")) else {
            return Err(shape(
                &extends,
                &format!("services.{name}.extends"),
                "the name of a service",
            ));
        };
        let no_base = |file: &str| LoadError::NoBase {
            place: extends.place.clone(),
            service: name.to_owned(),
            base: base.clone(),
            file: file.to_owned(),
        };
        let earlier = match part("file") {
            Some(file) if is_remote(&file) => {
                let (place, what) = (extends.place.clone(), file);
                return Err(LoadError::Remote { place, what });
            }
            Some(file) => {
                let file = join(parent(path), &file)?;
                let mut found = None;
                for document in self.documents(&file)? {
                    let document = self.interpolated(document, env)?;
                    let services = document
                        .as_map()
                        .and_then(|map| map.get("services"))
                        .and_then(Node::as_map);
                    found = services.cloned().or(found);
                }
                let mut services = found
                    .filter(|map| map.get(&base).is_some())
                    .ok_or_else(|| no_base(&file))?;
                for (name, service) in &mut services.0 {
                    canonical::service(service, name)?;
                    paths::service(service, parent(&file))?;
                }
                self.extended(&base, &services, &file, env, chain)?
            }
            None if services.get(&base).is_some() => self.extended(&base, services, path, env, chain)?,
            None => return Err(no_base(path)),
        };
        chain.pop();
        Ok(merge::services(name, earlier, service)?)
    }
}
