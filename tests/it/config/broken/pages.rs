use super::report;

pub(super) const PAGES: &str = r#"version: 1
web:
  names: ["https://lowtide.example.org"]
  public_url: lowtide.example.org/?app=web
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
"#;

#[test]
fn where_pages_cannot_be() {
    insta::assert_snapshot!(report(PAGES), @"");
}
