//! Rolling services of a swarm of one node. The kernel may lack IPVS, so no test asks a service's virtual address.
//!
//! Not here, since they need more engines than one: a change of leader in the middle of an update (three managers), and a
//! node that is down while others serve. Both are in the decisions' own tests, on a simulated swarm.

mod nodes;
mod registry;
mod rolls;
mod stage;
mod strangers;
