//! Every built-in default, in one place. `config.example.yml` shows the same values; a test compares the two.

use crate::policy::{ContainerLimits, Limits, ReadyCheck, RegistryRetention, Retention};
use jiff::SignedDuration;
use jiff::civil::Time;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

pub const TIMEZONE: &str = "UTC";
/// Where Docker listens when nothing else is said, and the name of that host.
pub const HOST: &str = "local";
pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Traffic of most services falls from 22:00; 02:30 leaves time before windows that open at 03:00.
pub const NIGHT: (Time, Time) = (Time::constant(22, 0, 0, 0), Time::constant(2, 30, 0, 0));
pub const DAILY_REPORT: Time = Time::constant(8, 0, 0, 0);
pub const GITHUB_API: &str = "https://api.github.com";

pub const SOURCE_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
pub const SOURCE_MAX_SIZE: u64 = 2 * GIB;
pub const DOCKERFILE: &str = "Dockerfile";

pub const BUILD_TIMEOUT: SignedDuration = SignedDuration::from_mins(30);
pub const BUILD_MAX_LOG: u64 = 16 * MIB;
/// What lowtide cannot see before a build (language packages, downloads) is fetched anew at least this often.
pub const BUILD_MAX_AGE: SignedDuration = SignedDuration::from_hours(7 * 24);

pub const TEST_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// The testing tools are fetched at launch: that takes longer than a start in production.
pub const TEST_READY_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
pub const TEST_LIMITS: ContainerLimits = ContainerLimits {
    memory: 2 * GIB,
    cpus: 2.0,
    pids: 1024,
    output: 16 * MIB,
    disk: 10 * GIB,
};
pub const STEP_STATUS: u16 = 200;

pub const READY_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
pub const STAY_UP: SignedDuration = ReadyCheck::STAY_UP;
pub const BAKE: SignedDuration = SignedDuration::from_mins(2);
pub const HOOK_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
/// Of a command target's program: a deployment elsewhere, with all its own waits.
pub const COMMAND_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
pub const DRAIN: SignedDuration = SignedDuration::from_secs(5);
/// A router that takes longer to apply a change would hold up requests.
pub const ROUTER_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);

pub const TAG: &str = "{date}.{run}-{commit}";
/// Of a followed image.
pub const FOLLOWED_TAG: &str = "{tag}-{digest}";
/// The only channel of an app that names none, and its moving tag.
pub const CHANNEL: &str = "stable";

pub const LIMITS: Limits = Limits {
    runs: 2,
    rollouts: 4,
    rollouts_per_host: 1,
    min_free_disk: 2 * GIB,
};
pub const RETENTION: Retention = Retention {
    history: SignedDuration::from_hours(90 * 24),
    audit: SignedDuration::from_hours(2 * 365 * 24),
    images: 3,
    logs: GIB,
    build_cache: 10 * GIB,
    registry: REGISTRY_RETENTION,
};
pub const REGISTRY_RETENTION: RegistryRetention = RegistryRetention {
    keep: 30,
    age: None,
    delete: false,
};
