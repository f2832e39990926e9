"""Follows a stream with httpx-sse, which leaves reconnecting to its caller."""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse

last_event_id = None
client = httpx.Client(timeout=httpx.Timeout(10, read=60))
while True:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    try:
        with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            source.response.raise_for_status()
            for event in source.iter_sse():
                data = json.loads(event.data)
                print(json.dumps({"type": event.event, "id": event.id, "data": data}), flush=True)
                last_event_id = event.id
    except httpx.HTTPError:
        pass
    time.sleep(0.2)
