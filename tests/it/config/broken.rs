use lowtide::config::diagnostic::terminal;
use lowtide::config::validate;

#[test]
fn scratch() {
    for text in std::fs::read_to_string(std::env::var("SCRATCH").unwrap()).unwrap().split("=====\n") {
        let out = validate::fleet(text.as_bytes()).map_or_else(|p| terminal("lowtide.yml", text, &p), |f| format!("OK {f:?}"));
        eprintln!("{out}\n=====");
    }
}
