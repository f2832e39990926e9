"""Follows a stream with sseclient-py, which leaves reconnecting to its caller."""

import json
import sys
import time

import requests
from sseclient import SSEClient

last_event_id = None
while True:
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    try:
        response = requests.get(sys.argv[1], headers=headers, stream=True, timeout=(10, 60))
        response.raise_for_status()
        for event in SSEClient(response).events():
            data = json.loads(event.data)
            print(json.dumps({"type": event.event, "id": event.id, "data": data}), flush=True)
            last_event_id = event.id
    except (requests.RequestException, ValueError):
        pass
    time.sleep(0.2)
