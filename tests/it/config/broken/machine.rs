use lowtide::config::validate;
use lowtide::yaml::diagnostic::{json, markdown, sarif};

#[test]
fn for_programs() {
    let text = "version: 1\napps: {}\nversion: 2\n";
    let problems = validate::fleet(text.as_bytes()).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json("lowtide.yml", &problems)).unwrap(), @r#"
    {
      "version": 1,
      "file": "lowtide.yml",
      "problems": [
        {
          "code": "missing-key",
          "message": "`apps` is missing",
          "hint": "name at least one app: `apps: { web: { source: { repo: https://… } } }`",
          "route": "apps",
          "line": 2,
          "column": 1,
          "length": 4,
          "also": null
        },
        {
          "code": "duplicate-key",
          "message": "`version` is given twice",
          "hint": "keep one of the two",
          "route": "version",
          "line": 3,
          "column": 1,
          "length": 7,
          "also": {
            "message": "first given here",
            "route": "version",
            "line": 1,
            "column": 1,
            "length": 7
          }
        }
      ]
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&sarif("lowtide.yml", &problems, &[])).unwrap(), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "lowtide",
              "version": "0.1.0",
              "rules": [
                {
                  "id": "duplicate-key",
                  "shortDescription": {
                    "text": "a key given twice"
                  }
                },
                {
                  "id": "missing-key",
                  "shortDescription": {
                    "text": "a key that is needed"
                  }
                }
              ]
            }
          },
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "ruleId": "missing-key",
              "level": "error",
              "message": {
                "text": "`apps` is missing. name at least one app: `apps: { web: { source: { repo: https://… } } }`"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 1,
                      "endColumn": 5
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "apps"
                    }
                  ]
                }
              ],
              "relatedLocations": []
            },
            {
              "ruleId": "duplicate-key",
              "level": "error",
              "message": {
                "text": "`version` is given twice. keep one of the two"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 3,
                      "startColumn": 1,
                      "endColumn": 8
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "version"
                    }
                  ]
                }
              ],
              "relatedLocations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 1,
                      "startColumn": 1,
                      "endColumn": 8
                    }
                  },
                  "message": {
                    "text": "first given here"
                  }
                }
              ]
            }
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(markdown("lowtide.yml", text, &problems), @r#"
    **lowtide.yml:2:1** `apps` is missing (`missing-key`)

    ````text
       2 | apps: {}
         | ^^^^
    ````

    > name at least one app: `apps: { web: { source: { repo: https://… } } }`

    **lowtide.yml:3:1** `version` is given twice (`duplicate-key`)

    ````text
       3 | version: 2
         | ^^^^^^^
       1 | version: 1
         | ^^^^^^^
    ````

    > keep one of the two
    "#);
}
