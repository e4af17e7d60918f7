//! How steps, bars and needs are called.

use super::{Bar, HookPhase, HostNeed, RouteChange, Step, Which};
use std::fmt;

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bar::PublishedPort { port } => write!(f, "port {port} of the host is published"),
            Bar::SharedNetwork => f.write_str("it has no network of its own"),
            Bar::StaticAddress { network } => write!(f, "it has a fixed address in {network}"),
            Bar::FixedMac => f.write_str("it has a fixed MAC address"),
            Bar::Device => f.write_str("it uses a device"),
            Bar::Held => f.write_str("other containers hold on to it"),
            Bar::AutoRemove => f.write_str("its end deletes it"),
            Bar::WritableVolume { path } => write!(f, "it writes to the volume at {path}"),
        }
    }
}

impl fmt::Display for HostNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostNeed::BindSources => "bind mounts",
            HostNeed::Devices => "devices",
            HostNeed::Runtime => "runtime",
            HostNeed::SecurityProfiles => "security options",
            HostNeed::Ulimits => "ulimits",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Preflight => f.write_str("preflight"),
            Step::Pull => f.write_str("pull"),
            Step::TryOut { .. } => f.write_str("try out what the host must have"),
            Step::RunHook {
                phase: HookPhase::Before,
                ..
            } => f.write_str("before hook"),
            Step::RunHook {
                phase: HookPhase::After,
                ..
            } => f.write_str("after hook"),
            Step::CreateCandidate { .. } => f.write_str("create new container"),
            Step::RemoveCandidate { .. } => f.write_str("remove new container"),
            Step::StopOld { .. } => f.write_str("stop old container"),
            Step::SetRestart { policy, .. } => write!(f, "set restart policy {}", policy.name),
            Step::Start { which: Which::Old, .. } => f.write_str("start old container"),
            Step::Start { which: Which::New, .. } => f.write_str("start new container"),
            Step::Restart { .. } => f.write_str("restart new container"),
            Step::AwaitReady { which: Which::Old, .. } => f.write_str("wait until old container is ready"),
            Step::AwaitReady { which: Which::New, .. } => f.write_str("wait until new container is ready"),
            Step::Rename { to, .. } => write!(f, "rename to {to}"),
            Step::StopCandidate { .. } => f.write_str("stop new container"),
            Step::KeepLog { .. } => f.write_str("keep log"),
            Step::RemoveOld { .. } => f.write_str("remove old container"),
            Step::Service(step) => step.fmt(f),
            Step::SelfUpdate(step) => step.fmt(f),
            Step::Command(step) => step.fmt(f),
            Step::Attach { .. } => f.write_str("give it the service's names"),
            Step::Route { change, .. } => f.write_str(match change {
                RouteChange::Join => "router: join",
                RouteChange::Leave => "router: leave",
                RouteChange::Pause => "router: pause",
                RouteChange::Resume => "router: resume",
            }),
            Step::Drain { .. } => f.write_str("drain"),
            Step::KeepImage { .. } => f.write_str("keep old image"),
            Step::LetImageGo { .. } => f.write_str("let old image go"),
            Step::RecreateOld { .. } => f.write_str("make old container again"),
            Step::MoveTag { tag, .. } => write!(f, "move tag {tag}"),
        }
    }
}
