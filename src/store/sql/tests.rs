use super::*;
use crate::store::survey_cache;
use rusqlite::Connection;
use std::path::Path;

fn schema() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(include_str!("../../../migrations/0001_journal.sql"))
        .unwrap();
    // A file of its own, whose statements stand in the same list.
    connection.execute_batch(survey_cache::SCHEMA).unwrap();
    connection
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // What is bound says nothing of the plan.
    let lines = statement.raw_query().mapped(|row| row.get::<_, String>(3));
    lines.collect::<Result<_, _>>().unwrap()
}

/// What a plan must not hold. Of what is open, undelivered or closed there is an index that holds nothing else.
fn fault(frequency: Frequency, line: &str) -> Option<&'static str> {
    let scans = line.starts_with("SCAN ") && !line.contains(" USING ");
    let walks = line.starts_with("SCAN ") && !line.contains("INDEX streams_open");
    let sorts = line.contains("TEMP B-TREE");
    match frequency {
        Frequency::Often if scans || walks => Some("goes through all rows"),
        Frequency::Often | Frequency::Whole if sorts => Some("sorts"),
        Frequency::Often | Frequency::Whole | Frequency::Hourly | Frequency::Rarely => None,
    }
}

#[test]
fn frequent_queries_go_straight_to_their_rows() {
    let connection = schema();
    let mut faults = Vec::new();
    for (name, frequency, sql) in ALL {
        for line in plan(&connection, sql) {
            faults.extend(fault(*frequency, &line).map(|fault| format!("{name} {fault}: {line}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A test that finds nothing wrong with anything would be none.
#[test]
fn a_scan_and_a_sort_are_found() {
    let connection = schema();
    let faults = |frequency, sql: &str| -> Vec<_> {
        let lines = plan(&connection, sql);
        lines.iter().filter_map(|line| fault(frequency, line)).collect()
    };
    // As it was once: any app, or this one.
    let sql = "SELECT id FROM streams WHERE kind = 'run' AND (?1 IS NULL OR app = ?1) ORDER BY opened DESC, id DESC";
    assert!(
        faults(Frequency::Often, sql).is_empty(),
        "the index by kind serves it now"
    );
    let sql = "SELECT id FROM streams WHERE kind != 'app' AND (?1 IS NULL OR app = ?1) ORDER BY opened DESC, id DESC";
    assert!(faults(Frequency::Often, sql).contains(&"goes through all rows"));
    assert!(faults(Frequency::Whole, sql).contains(&"sorts"));
    assert!(faults(Frequency::Rarely, sql).is_empty());
}

/// A statement outside `sql.rs` would escape the plan check.
#[test]
fn every_statement_is_in_the_list() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut elsewhere = Vec::new();
    for entry in std::fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.file_name().is_some_and(|name| name == "sql.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in shipped.lines().enumerate() {
            let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "REPLACE "];
            if words.iter().any(|word| line.contains(word)) {
                elsewhere.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(elsewhere.is_empty(), "{}", elsewhere.join("\n"));
}
