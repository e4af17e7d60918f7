//! Raw configuration to a valid fleet, collecting every problem.
