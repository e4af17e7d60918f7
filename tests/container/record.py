"""record.py ENGINE-SOCKET SOCKET LOG GID: passes everything through to the engine; LOG gets the first line of every request.

Bytes go both ways as they are, also on connections that become streams (attach, exec, build sessions): only what a client
sends at the start of a chunk is looked at. SOCKET belongs to the group GID."""

import asyncio
import os
import re
import signal
import sys

REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) (/\S*) HTTP/1\.1\r\n")


async def pump(reader, writer, seen=None):
    try:
        while chunk := await reader.read(65536):
            if seen:
                seen(chunk)
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        try:
            writer.write_eof()
        except OSError:
            pass


async def main(engine, socket, log, gid):
    with open(log, "a", buffering=1) as out:

        def seen(chunk):
            if found := REQUEST.match(chunk):
                out.write(b" ".join(found.groups()).decode(errors="replace") + "\n")

        async def serve(reader, writer):
            try:
                up_reader, up_writer = await asyncio.open_unix_connection(engine)
            except OSError:
                writer.close()
                return
            await asyncio.gather(pump(reader, up_writer, seen), pump(up_reader, writer))
            up_writer.close()
            writer.close()

        server = await asyncio.start_unix_server(serve, socket)
        os.chown(socket, -1, gid)
        os.chmod(socket, 0o660)
        stop = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.cancel)
        try:
            await stop
        except asyncio.CancelledError:
            server.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
