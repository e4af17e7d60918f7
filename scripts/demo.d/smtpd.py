"""smtpd.py PORT DIRECTORY: a mail server that keeps every mail as a file, 0001.eml, 0002.eml, …"""

import pathlib
import signal
import sys

from aiosmtpd.controller import Controller


class Keep:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        # Renamed when whole: a reader never sees half a mail.
        part = self.directory / f"{self.count:04}.part"
        part.write_bytes(
            b"X-Envelope-To: " + ", ".join(envelope.rcpt_tos).encode() + b"\r\n" + envelope.original_content
        )
        part.rename(part.with_suffix(".eml"))
        return "250 kept"


if __name__ == "__main__":
    controller = Controller(Keep(sys.argv[2]), hostname="127.0.0.1", port=int(sys.argv[1]))
    controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()
