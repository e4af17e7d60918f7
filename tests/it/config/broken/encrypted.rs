use super::report;
use lowtide::config::validate::fleet_beside;
use lowtide::yaml::age::{Beside, MAX_BYTES};
use lowtide::yaml::diagnostic::terminal;

pub(super) const ENCRYPTED: &str = r#"version: 1
age: { identities: [/run/secrets/key] }
registries:
  a.org: { username: bot, password: { age: secrets/missing.age } }
  b.org: { username: bot, password: { age: secrets/clear.age } }
  c.org: { username: bot, password: { age: secrets/passphrase.age } }
  d.org: { username: bot, password: { age: secrets/large.age } }
  e.org: { username: bot, password: { age: hunter2 } }
  f.org: { username: bot, password: { age: secrets/good.age, env: F } }
  g.org: { username: bot, password: { age: secrets/good.age } }
  h.org: { username: bot, password: { age: secrets/pipe.age } }
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
"#;

fn beside() -> Beside {
    let good = b"age-encryption.org/v1\n-> X25519 a\nb\n--- c\n".to_vec();
    let size = usize::try_from(MAX_BYTES).unwrap() + 1;
    let files = [
        ("clear", Ok(b"hunter2\n".to_vec())),
        (
            "passphrase",
            Ok(b"age-encryption.org/v1\n-> scrypt a 18\nb\n--- c\n".to_vec()),
        ),
        ("large", Ok(vec![b'a'; size])),
        ("good", Ok(good)),
        ("pipe", Err("cannot be read: it is no regular file".to_owned())),
    ];
    let files = files.into_iter();
    files
        .map(|(name, found)| (format!("secrets/{name}.age"), found))
        .collect()
}

#[test]
fn encrypted_secrets_that_are_of_no_use() {
    let problems = fleet_beside(ENCRYPTED.as_bytes(), &beside()).unwrap_err();
    let shown = terminal("lowtide.yml", ENCRYPTED, &problems);
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown, @"
    encrypted-secret

      × the file of `registries.a.org.password` is not there
       ╭─[lowtide.yml:4:44]
     3 │ registries:
     4 │   a.org: { username: bot, password: { age: secrets/missing.age } }
       ·                                            ───────────────────
     5 │   b.org: { username: bot, password: { age: secrets/clear.age } }
       ╰────
      help: the path counts from the folder of the configuration; in git, the file is committed with it

    encrypted-secret

      × the file of `registries.b.org.password` is not encrypted with age
       ╭─[lowtide.yml:5:44]
     4 │   a.org: { username: bot, password: { age: secrets/missing.age } }
     5 │   b.org: { username: bot, password: { age: secrets/clear.age } }
       ·                                            ─────────────────
     6 │   c.org: { username: bot, password: { age: secrets/passphrase.age } }
       ╰────
      help: encrypt it: `age --encrypt --armor --recipient age1… --output FILE`; a secret that was committed in
            the clear has to be changed

    encrypted-secret

      × the file of `registries.c.org.password` is encrypted with a passphrase, which lowtide cannot be asked
      │ for
       ╭─[lowtide.yml:6:44]
     5 │   b.org: { username: bot, password: { age: secrets/clear.age } }
     6 │   c.org: { username: bot, password: { age: secrets/passphrase.age } }
       ·                                            ──────────────────────
     7 │   d.org: { username: bot, password: { age: secrets/large.age } }
       ╰────
      help: encrypt it for the recipient of an identity: `age --encrypt --armor --recipient age1… --output FILE`

    encrypted-secret

      × the file of `registries.d.org.password` has 65537 bytes: an encrypted secret has at most 65536
       ╭─[lowtide.yml:7:44]
     6 │   c.org: { username: bot, password: { age: secrets/passphrase.age } }
     7 │   d.org: { username: bot, password: { age: secrets/large.age } }
       ·                                            ─────────────────
     8 │   e.org: { username: bot, password: { age: ******* } }
       ╰────
      help: put one secret into one file

    literal-secret

      × `registries.e.org.password.age` is not the path of an encrypted file
       ╭─[lowtide.yml:8:44]
     7 │   d.org: { username: bot, password: { age: secrets/large.age } }
     8 │   e.org: { username: bot, password: { age: ******* } }
       ·                                            ───────
     9 │   f.org: { username: bot, password: { age: secrets/good.age, env: F } }
       ╰────
      help: write it like `{ age: secrets/ghcr.age }`: below the folder of the configuration, with `.age` at its
            end

    one-of

      × `registries.f.org.password` needs exactly one of `env`, `file` and `age`
        ╭─[lowtide.yml:9:27]
      8 │   e.org: { username: bot, password: { age: ******* } }
      9 │   f.org: { username: bot, password: { age: secrets/good.age, env: F } }
        ·                           ────────
     10 │   g.org: { username: bot, password: { age: secrets/good.age } }
        ╰────
      help: write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`

    encrypted-secret

      × the file of `registries.h.org.password` cannot be read: it is no regular file
        ╭─[lowtide.yml:11:44]
     10 │   g.org: { username: bot, password: { age: secrets/good.age } }
     11 │   h.org: { username: bot, password: { age: secrets/pipe.age } }
        ·                                            ────────────────
     12 │ apps:
        ╰────
      help: the path counts from the folder of the configuration

    lowtide.yml: 7 problems. The configuration is not used.
    ");
}

#[test]
fn identities_that_are_none() {
    let with = |age: &str| {
        format!(
            "version: 1\n{age}registries: {{ a.org: {{ username: bot, password: {{ age: s/a.age }} }} }}\n\
             apps: {{ web: {{ source: {{ repo: git@x.org:a }} }} }}\n"
        )
    };
    let told: Vec<String> = [
        "",
        "age: {}\n",
        "age:\n",
        "age: { identities: }\n",
        "age: { identities: [] }\n",
        "age: { identities: [AGE-SECRET-KEY-1HUNTER2, key.txt] }\n",
        "age: { identities: /run/secrets/key }\n",
    ]
    .iter()
    .map(|age| report(&with(age)))
    .collect();
    let told = told.join("\n");
    assert!(!told.contains("HUNTER2"), "{told}");
    insta::assert_snapshot!(told, @"
    missing-key

      × no identity decrypts `registries.a.org.password`
       ╭─[lowtide.yml:2:56]
     1 │ version: 1
     2 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ·                                                        ───────
     3 │ apps: { web: { source: { repo: git@x.org:a } } }
       ╰────
      help: name the file of one: `age: { identities: [/run/secrets/lowtide.agekey] }` at the top level

    lowtide.yml: 1 problem. The configuration is not used.

    missing-key

      × `age` has no `identities`
       ╭─[lowtide.yml:2:1]
     1 │ version: 1
     2 │ age: {}
       · ───
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`

    missing-key

      × no identity decrypts `registries.a.org.password`
       ╭─[lowtide.yml:3:56]
     2 │ age: {}
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ·                                                        ───────
     4 │ apps: { web: { source: { repo: git@x.org:a } } }
       ╰────
      help: name the file of one: `age: { identities: [/run/secrets/lowtide.agekey] }` at the top level

    lowtide.yml: 2 problems. The configuration is not used.

    missing-key

      × no identity decrypts `registries.a.org.password`
       ╭─[lowtide.yml:3:56]
     2 │ age:
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ·                                                        ───────
     4 │ apps: { web: { source: { repo: git@x.org:a } } }
       ╰────
      help: name the file of one: `age: { identities: [/run/secrets/lowtide.agekey] }` at the top level

    lowtide.yml: 1 problem. The configuration is not used.

    missing-key

      × `age` has no `identities`
       ╭─[lowtide.yml:2:8]
     1 │ version: 1
     2 │ age: { identities: }
       ·        ──────────
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`

    lowtide.yml: 1 problem. The configuration is not used.

    empty-list

      × `age.identities` is empty, so nothing can be decrypted
       ╭─[lowtide.yml:2:8]
     1 │ version: 1
     2 │ age: { identities: [] }
       ·        ──────────
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`

    lowtide.yml: 1 problem. The configuration is not used.

    literal-secret

      × an identity stands here, in the place of its file
       ╭─[lowtide.yml:2:21]
     1 │ version: 1
     2 │ age: { identities: [***********************, key.txt] }
       ·                     ───────────────────────
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`

    bad-path

      × `key.txt` is not an absolute path
       ╭─[lowtide.yml:2:46]
     1 │ version: 1
     2 │ age: { identities: [***********************, key.txt] }
       ·                                              ───────
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: name a file that age-keygen wrote: `identities: [/run/secrets/lowtide.agekey]`

    lowtide.yml: 2 problems. The configuration is not used.

    wrong-type

      × `age.identities` must be a list, not a single value
       ╭─[lowtide.yml:2:20]
     1 │ version: 1
     2 │ age: { identities: /run/secrets/key }
       ·                    ────────────────
     3 │ registries: { a.org: { username: bot, password: { age: s/a.age } } }
       ╰────
      help: put it in brackets: `[…]`

    lowtide.yml: 1 problem. The configuration is not used.
    ");
}
