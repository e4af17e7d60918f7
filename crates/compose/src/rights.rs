//! What of the host a service asks for. A test gets none of it unless the fleet's configuration says so.

use crate::value::{Map, Node, Place, Value};

/// Something of the host that a container would reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRight {
    /// Folder or file of the host, or one that leads out of the repository.
    Path(String),
    /// The engine's socket: all rights there are.
    EngineSocket(String),
    Privileged,
    /// A namespace that is shared with the host: `network`, `pid`, `ipc`, `uts`, `user`, `cgroup`.
    Namespace(&'static str),
    Device(String),
    /// Beyond those that Docker gives every container.
    Capability(String),
    /// `seccomp=unconfined` and the like.
    Unconfined(String),
    /// A volume that exists on the host, or that is a folder of it.
    Volume(String),
    /// A network that exists on the host.
    Network(String),
    /// Another container of the host.
    Container(String),
    /// A runtime or a driver of the host.
    Runtime(String),
    /// No test gets one: what it needs differs from host to host.
    Gpu,
}

impl HostRight {
    /// How the fleet's configuration names it.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Path(path) => format!("path:{path}"),
            Self::EngineSocket(_) => "engine-socket".to_owned(),
            Self::Privileged => "privileged".to_owned(),
            Self::Namespace(name) => format!("namespace:{name}"),
            Self::Device(name) => format!("device:{name}"),
            Self::Capability(name) => format!("capability:{name}"),
            Self::Unconfined(option) => format!("security-opt:{option}"),
            Self::Volume(name) => format!("volume:{name}"),
            Self::Network(name) => format!("network:{name}"),
            Self::Container(name) => format!("container:{name}"),
            Self::Runtime(name) => format!("runtime:{name}"),
            Self::Gpu => "gpu".to_owned(),
        }
    }
}

impl std::fmt::Display for HostRight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "the path {path} of the host"),
            Self::EngineSocket(path) => write!(f, "the engine's socket ({path})"),
            Self::Privileged => f.write_str("privileged mode"),
            Self::Namespace(name) => write!(f, "the host's {name} namespace"),
            Self::Device(name) => write!(f, "the device {name}"),
            Self::Capability(name) => write!(f, "the capability {name}"),
            Self::Unconfined(option) => write!(f, "the security option {option}"),
            Self::Volume(name) => write!(f, "the volume {name} of the host"),
            Self::Network(name) => write!(f, "the network {name} of the host"),
            Self::Container(name) => write!(f, "the container {name} of the host"),
            Self::Runtime(name) => write!(f, "the runtime {name}"),
            Self::Gpu => f.write_str("a GPU"),
        }
    }
}

/// A right, and who asks for it where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub service: String,
    /// From the service on, as `volumes[0]`.
    pub key: String,
    pub place: Place,
    pub right: HostRight,
}

/// Capabilities that Docker gives every container (moby, `oci/caps/defaults.go`).
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Every right that the services of a completed project ask for.
#[must_use]
pub fn wanted(root: &Node) -> Vec<Wanted> {
    let mut out = Vec::new();
    let Some(top) = root.as_map() else { return out };
    for (name, node) in top.get("services").and_then(Node::as_map).map_or(&[][..], |map| &map.0) {
        let Some(service) = node.as_map() else { continue };
        let mut found = Found {
            service: name,
            out: &mut out,
        };
        found.mounts(service, top);
        found.namespaces(service);
        found.devices(service);
        found.security(service);
        found.networks(service, top);
    }
    out
}

struct Found<'a> {
    service: &'a str,
    out: &'a mut Vec<Wanted>,
}

impl Found<'_> {
    fn add(&mut self, key: String, node: &Node, right: HostRight) {
        self.out.push(Wanted {
            service: self.service.to_owned(),
            key,
            place: node.place.clone(),
            right,
        });
    }

    fn mounts(&mut self, service: &Map, top: &Map) {
        for (at, mount) in list(service, "volumes").into_iter().enumerate() {
            let part = |key: &str| mount.as_map().and_then(|map| map.get(key));
            let (kind, source) = (part("type").and_then(Node::scalar), part("source"));
            let (Some(kind), Some(source)) = (kind, source) else {
                continue;
            };
            let key = format!("volumes[{at}]");
            match (kind.as_str(), &source.value) {
                ("bind", Value::Text(path)) if path.ends_with("docker.sock") || path.ends_with("containerd.sock") => {
                    self.add(key, mount, HostRight::EngineSocket(path.clone()));
                }
                ("bind", Value::Text(path)) => self.add(key, mount, HostRight::Path(path.clone())),
                ("volume", Value::Text(name)) => {
                    let volume = top.get("volumes").and_then(Node::as_map).and_then(|map| map.get(name));
                    if volume.and_then(Node::as_map).is_some_and(is_of_the_host) {
                        self.add(key, mount, HostRight::Volume(name.clone()));
                    }
                }
                ("npipe" | "cluster", _) => {
                    self.add(key, mount, HostRight::Volume(source.scalar().unwrap_or_default()));
                }
                _ => {}
            }
        }
        for from in list(service, "volumes_from") {
            if let Some(name) = from
                .scalar()
                .as_deref()
                .and_then(|from| from.strip_prefix("container:"))
            {
                self.add("volumes_from".to_owned(), from, HostRight::Container(name.to_owned()));
            }
        }
    }

    fn namespaces(&mut self, service: &Map) {
        for (key, name) in [
            ("network_mode", "network"),
            ("pid", "pid"),
            ("ipc", "ipc"),
            ("uts", "uts"),
            ("userns_mode", "user"),
            ("cgroup", "cgroup"),
        ] {
            let Some(node) = service.get(key) else { continue };
            let mode = node.scalar().unwrap_or_default();
            if mode == "host" {
                self.add(key.to_owned(), node, HostRight::Namespace(name));
            } else if let Some(container) = mode.strip_prefix("container:") {
                self.add(key.to_owned(), node, HostRight::Container(container.to_owned()));
            }
        }
    }

    fn devices(&mut self, service: &Map) {
        for device in list(service, "devices") {
            let source = || device.as_map().and_then(|map| map.get("source")).and_then(Node::scalar);
            let name = device.scalar().or_else(source).unwrap_or_default();
            // The host's part of `HOST:CONTAINER:PERMISSIONS`.
            let name = name.split(':').next().unwrap_or_default().to_owned();
            self.add("devices".to_owned(), device, HostRight::Device(name));
        }
        for rule in list(service, "device_cgroup_rules") {
            let name = rule.scalar().unwrap_or_default();
            self.add("device_cgroup_rules".to_owned(), rule, HostRight::Device(name));
        }
        if let Some(node) = service.get("gpus") {
            self.add("gpus".to_owned(), node, HostRight::Gpu);
        }
        let reserved = ["deploy", "resources", "reservations", "devices"];
        let mut here = service.get(reserved[0]);
        for key in &reserved[1..] {
            here = here.and_then(Node::as_map).and_then(|map| map.get(key));
        }
        if let Some(node) = here {
            self.add("deploy.resources.reservations.devices".to_owned(), node, HostRight::Gpu);
        }
    }

    fn security(&mut self, service: &Map) {
        if let Some(node) = service.get("privileged")
            && node.value == Value::Bool(true)
        {
            self.add("privileged".to_owned(), node, HostRight::Privileged);
        }
        for capability in list(service, "cap_add") {
            let name = capability.scalar().unwrap_or_default().to_ascii_uppercase();
            let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
            if !DEFAULT_CAPABILITIES.contains(&name.as_str()) {
                self.add("cap_add".to_owned(), capability, HostRight::Capability(name));
            }
        }
        for option in list(service, "security_opt") {
            let text = option.scalar().unwrap_or_default();
            // These two take rights away; a label that is disabled gives them.
            let takes = text.starts_with("no-new-privileges") || text.starts_with("label");
            if !takes || text.ends_with("disable") {
                self.add("security_opt".to_owned(), option, HostRight::Unconfined(text));
            }
        }
        for key in ["runtime", "cgroup_parent", "isolation"] {
            if let Some(node) = service.get(key) {
                self.add(
                    key.to_owned(),
                    node,
                    HostRight::Runtime(node.scalar().unwrap_or_default()),
                );
            }
        }
    }

    fn networks(&mut self, service: &Map, top: &Map) {
        let networks = service.get("networks").and_then(Node::as_map);
        for (name, node) in networks.map_or(&[][..], |map| &map.0) {
            let network = top.get("networks").and_then(Node::as_map).and_then(|map| map.get(name));
            let Some(map) = network.and_then(Node::as_map) else {
                continue;
            };
            let driver = map.get("driver").and_then(Node::scalar);
            if is_external(map) || driver.is_some_and(|driver| driver != "bridge") {
                self.add(format!("networks.{name}"), node, HostRight::Network(name.clone()));
            }
        }
    }
}

/// The items of a list; of one text, that text: what asks for a right is found in either form.
fn list<'a>(service: &'a Map, key: &str) -> Vec<&'a Node> {
    let Some(node) = service.get(key) else {
        return Vec::new();
    };
    match node.as_list() {
        Some(items) => items.iter().collect(),
        None => vec![node],
    }
}

fn is_external(map: &Map) -> bool {
    map.get("external").is_some_and(|node| node.value == Value::Bool(true))
}

/// It exists already, or its driver decides what it is: `local` with options mounts whatever they name.
fn is_of_the_host(volume: &Map) -> bool {
    let options = volume.get("driver_opts").and_then(Node::as_map);
    let option = |key: &str| options.and_then(|map| map.get(key)).and_then(Node::scalar);
    // With `o: bind` the device is mounted, whatever the type says (mount(2), MS_BIND).
    let plain = |option: &str| {
        let name = option.split('=').next().unwrap_or_default().trim();
        [
            "size",
            "mode",
            "uid",
            "gid",
            "nr_inodes",
            "nr_blocks",
            "noexec",
            "nosuid",
            "nodev",
        ]
        .contains(&name)
    };
    let is_plain = option("o").is_none_or(|text| text.split(',').all(plain));
    let is_memory = option("type").as_deref() == Some("tmpfs") && is_plain;
    let driver = volume.get("driver").and_then(Node::scalar);
    is_external(volume)
        || driver.is_some_and(|driver| driver != "local")
        || (options.is_some_and(|map| !map.0.is_empty()) && !is_memory)
}

#[cfg(test)]
mod tests {
    use crate::load::{Request, load};

    fn shown(text: &str) -> String {
        let read = |path: &str| Ok((path == "c.yml").then(|| text.as_bytes().to_vec()));
        let request = Request {
            files: vec!["c.yml".to_owned()],
            project: "t".to_owned(),
            ..Request::default()
        };
        let project = load(&request, &read).unwrap();
        let lines = super::wanted(&project.root).into_iter();
        lines
            .map(|it| format!("{} services.{}.{}: {}\n", it.place, it.service, it.key, it.right))
            .collect()
    }

    #[test]
    fn every_right_is_named_with_its_line() {
        insta::assert_snapshot!(shown(
            "
services:
  a:
    image: x
    privileged: true
    network_mode: host
    pid: host
    ipc: container:other
    cap_add: [NET_ADMIN, CAP_CHOWN, net_raw]
    security_opt: [seccomp=unconfined, no-new-privileges, label=disable, \"label:type:x\"]
    devices: [/dev/kvm:/dev/kvm]
    gpus: all
    runtime: nvidia
    volumes_from: [container:c, b]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - /etc:/host
      - ~/x:/x
      - ../up:/up
      - ./in:/in
      - named:/named
      - ext:/ext
      - nfs:/nfs
      - mem:/mem
      - disguised:/disguised
  b:
    image: x
    networks: [inner, outer]
    deploy: { resources: { reservations: { devices: [{ capabilities: [gpu] }] } } }
networks: { inner: {}, outer: { external: true } }
volumes:
  named:
  ext: { external: true }
  nfs: { driver_opts: { type: nfs, o: addr=1.2.3.4, device: ':/x' } }
  mem: { driver_opts: { type: tmpfs, device: tmpfs, o: \"size=1m,uid=1\" } }
  disguised: { driver_opts: { type: tmpfs, device: /etc, o: \"size=1m,bind\" } }
"
        ), @r"
        c.yml:16 services.a.volumes[0]: the engine's socket (/var/run/docker.sock)
        c.yml:17 services.a.volumes[1]: the path /etc of the host
        c.yml:18 services.a.volumes[2]: the path ~/x of the host
        c.yml:19 services.a.volumes[3]: the path ../up of the host
        c.yml:22 services.a.volumes[6]: the volume ext of the host
        c.yml:23 services.a.volumes[7]: the volume nfs of the host
        c.yml:25 services.a.volumes[9]: the volume disguised of the host
        c.yml:14 services.a.volumes_from: the container c of the host
        c.yml:6 services.a.network_mode: the host's network namespace
        c.yml:7 services.a.pid: the host's pid namespace
        c.yml:8 services.a.ipc: the container other of the host
        c.yml:11 services.a.devices: the device /dev/kvm
        c.yml:12 services.a.gpus: a GPU
        c.yml:5 services.a.privileged: privileged mode
        c.yml:9 services.a.cap_add: the capability NET_ADMIN
        c.yml:10 services.a.security_opt: the security option seccomp=unconfined
        c.yml:10 services.a.security_opt: the security option label=disable
        c.yml:13 services.a.runtime: the runtime nvidia
        c.yml:29 services.b.deploy.resources.reservations.devices: a GPU
        c.yml:28 services.b.networks.outer: the network outer of the host
        ");
    }

    /// Compose wants lists here. Whatever else is written must not bring a right unseen.
    #[test]
    fn a_right_in_one_text_is_a_right() {
        let text = "services: { a: { image: x, cap_add: SYS_ADMIN, security_opt: seccomp=unconfined, devices: /dev/kvm, device_cgroup_rules: \"c 1:3 rmw\", volumes_from: \"container:c\" } }\n";
        insta::assert_snapshot!(shown(text), @r"
        c.yml:1 services.a.volumes_from: the container c of the host
        c.yml:1 services.a.devices: the device /dev/kvm
        c.yml:1 services.a.device_cgroup_rules: the device c 1:3 rmw
        c.yml:1 services.a.cap_add: the capability SYS_ADMIN
        c.yml:1 services.a.security_opt: the security option seccomp=unconfined
        ");
    }

    #[test]
    fn an_ordinary_stack_asks_for_nothing() {
        let text = "services:\n  web: { build: ., volumes: [\".:/app\", \"data:/data\"], privileged: false, ports: [\"80:80\"] }\n  db: { image: postgres }\nvolumes: { data: }\n";
        assert_eq!(shown(text), "");
    }
}
