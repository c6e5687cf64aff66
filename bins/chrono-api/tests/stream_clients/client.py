"""A client of `WS /stream`, written from the text of the spec alone; it shares no code with the gateway.

    python3 client.py ws://HOST:PORT/stream KEY query|message SYMBOL...

The key goes into `?key=` or into the first message. What is heard becomes lines of JSON on standard output:
{"after_ms": since the start, by a clock that never steps, "message": as it was received}, and at the end
{"after_ms": ..., "closed": {"code": ..., "reason": ...}}.
"""

import asyncio
import json
import sys
import time
from urllib.parse import quote

import websockets

STARTED = time.monotonic()


def say(**what):
    after_ms = (time.monotonic() - STARTED) * 1000
    print(json.dumps({"after_ms": after_ms, **what}), flush=True)


async def main(url, key, place, *symbols):
    def send(**command):
        return socket.send(json.dumps(command))

    if place == "query":
        url += "?key=" + quote(key, safe="")
    socket = await websockets.connect(url)
    if place == "query":
        await send(action="subscribe", symbols=symbols)
    else:
        await send(action="auth", key=key)
    try:
        async for text in socket:
            message = json.loads(text)
            say(message=message)
            if message["type"] == "authenticated":
                await send(action="subscribe", symbols=symbols)
    except websockets.ConnectionClosed:
        pass
    await socket.wait_closed()
    say(closed={"code": socket.close_code, "reason": socket.close_reason})


asyncio.run(main(*sys.argv[1:]))
