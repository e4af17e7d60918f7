"""mail.py FILE: shows a kept mail as a person reads it: the headers that matter and the plain text."""

import email
import email.policy
import sys

mail = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
for name in ("From", "To", "Subject", "Date"):
    print(f"{name}: {mail[name]}")
body = mail.get_body(("plain",))
print()
print(body.get_content().rstrip() if body else "(no plain text)")
