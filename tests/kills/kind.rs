//! The kinds of containers that are rolled, and how each is set up.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Two replicas, stop-first.
    Plain,
    /// Start-first, behind a router that is told.
    Routed,
    /// Stop-first, behind a router that holds requests back.
    Paused,
    /// Its end deletes it.
    Removed,
    /// Another one lives in its network.
    Held,
    /// One that the engine starts whenever it starts itself.
    Always,
    /// A service of a swarm, two tasks.
    Service,
}

/// What goes down at the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Falls {
    Lowtide,
    /// Lowtide, and then the host it looks after, with all that runs there.
    Both,
    /// The host; lowtide goes on.
    Host,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The new image is good.
    Forward,
    /// It exits, and is rolled back.
    Back,
}

impl Kind {
    /// Those whose host stays up.
    pub(crate) const KILLED: [Kind; 6] = [
        Kind::Plain,
        Kind::Routed,
        Kind::Paused,
        Kind::Removed,
        Kind::Held,
        Kind::Service,
    ];

    /// Services by their part of the name, with the flags of `docker run` beside name, network and restart policy.
    pub(crate) fn services(self) -> &'static [&'static str] {
        match self {
            Kind::Plain => &["a", "b"],
            Kind::Routed | Kind::Paused | Kind::Removed | Kind::Held | Kind::Always | Kind::Service => &["a"],
        }
    }

    pub(crate) fn policy(self) -> &'static str {
        match self {
            Kind::Plain | Kind::Routed | Kind::Paused | Kind::Held => "unless-stopped",
            // The tasks of a service are Swarm's to restart.
            Kind::Removed | Kind::Service => "no",
            Kind::Always => "always",
        }
    }

    pub(crate) fn router(self) -> &'static str {
        match self {
            Kind::Routed => {
                "join: [sh, -c, \"echo join >>/told\"], leave: [sh, -c, \"echo leave >>/told\"], drain: 50ms"
            }
            Kind::Paused => "pause: [sh, -c, \"echo pause >>/told\"], resume: [sh, -c, \"echo resume >>/told\"]",
            Kind::Plain | Kind::Removed | Kind::Held | Kind::Always | Kind::Service => "",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Plain => "stop-first",
            Kind::Routed => "start-first",
            Kind::Paused => "paused",
            Kind::Removed => "--rm",
            Kind::Held => "held",
            Kind::Always => "always",
            Kind::Service => "service",
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Forward => "forward",
            Way::Back => "back",
        })
    }
}

impl fmt::Display for Falls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Falls::Lowtide => "",
            Falls::Both => ", and a reboot",
            Falls::Host => ", a reboot alone",
        })
    }
}
