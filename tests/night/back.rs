//! Back means back, also to what lowtide never made.

use crate::house::{House, Version};
use serde_json::Value;

/// Readiness asks for a HEALTHCHECK; the container that served until now has none, and served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_leads_to_a_container_without_a_healthcheck() {
    let mut house = House::new("{}", |_| {}).await;
    house.start_old().await;
    let before = house.inspect().await;
    let bot = house.serve(|_| {});
    house.commit(Version::Dying);
    assert!(!house.night());
    let status: Value = serde_json::from_slice(&house.lowtide(&["status", "--json"]).stdout).unwrap();
    assert_eq!(
        status["apps"][0]["halted"]["reason"]["reason"], "reverted",
        "{status:#}"
    );
    let after = house.inspect().await;
    assert_eq!(after["Id"], before["Id"]);
    assert_eq!(after["State"]["Running"], true);
    bot.end();
    house.remove().await;
}
