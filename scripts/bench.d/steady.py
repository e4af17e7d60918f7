"""steady.py ADDRESS PORT RATE OUT: RATE requests a second, each on a connection of its own, until SIGTERM (600 s at most).

A request fails when it gets no whole answer with status 200 within 5 seconds; it is not asked again. OUT gets one JSON object:
requests, failed, the slowest and all in seconds, and how they failed. OUT.begun is there from the first good answer on."""

import asyncio
import collections
import json
import signal
import sys
import time

CLIENTS = 24
MOST_SECONDS = 600
PATIENCE = 5
QUESTION = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"

address, port, rate, out = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
requests = 0
slowest = 0.0
failed = collections.Counter()
stopped = asyncio.Event()


async def ask():
    """How it failed, or None."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(QUESTION)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if not lines[0].startswith(b"http/1.1 200 "):
            return lines[0].decode(errors="replace") or "closed"
        if b"content-length: %d" % len(body) not in lines:
            return "cut off"
    finally:
        writer.close()


async def client(number):
    global requests, slowest
    pause = CLIENTS / rate
    due = time.monotonic() + pause * number / CLIENTS
    while not stopped.is_set():
        await asyncio.sleep(max(0, due - time.monotonic()))
        due += pause
        asked = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                how = await ask()
        except (OSError, TimeoutError) as error:
            how = type(error).__name__
        if how is not None:
            failed[how] += 1
        elif not requests:
            open(out + ".begun", "w").close()
        requests += 1
        slowest = max(slowest, time.monotonic() - asked)


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.call_later(MOST_SECONDS, stopped.set)
    begun = time.monotonic()
    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    said = {"requests": requests, "failed": failed.total(), "slowest": round(slowest, 3), "how": failed}
    with open(out, "w") as file:
        json.dump(said | {"seconds": round(time.monotonic() - begun, 1)}, file)


asyncio.run(main())
