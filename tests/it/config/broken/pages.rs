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
    insta::assert_snapshot!(report(PAGES), @r#"
    bad-name

      × https://lowtide.example.org is not a host name
       ╭─[lowtide.yml:3:11]
     2 │ web:
     3 │   names: ["https://lowtide.example.org"]
       ·           ─────────────────────────────
     4 │   public_url: lowtide.example.org/?app=web
       ╰────
      help: write it as a browser sends it, without scheme and port: `lowtide.example.org`

    bad-url

      × `lowtide.example.org/?app=web` is not the URL of a page
       ╭─[lowtide.yml:4:15]
     3 │   names: ["https://lowtide.example.org"]
     4 │   public_url: lowtide.example.org/?app=web
       ·               ────────────────────────────
     5 │ apps:
       ╰────
      help: write where a browser finds the pages, without a query: `https://lowtide.example.org`

    lowtide.yml: 2 problems. The configuration is not used.
    "#);
}
