"""Many customers at once, for the system tests: over HTTP and over the bus.

A buyer makes one attempt at a time and says what came of it; nothing is sent
again by itself, so that a test decides what a retry is.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import json
import threading

from bus import Client, Unknown


def http_port(cluster, bridge=1):
    return cluster.port_base + bridge - 1


def bus_endpoint(cluster, broker=1):
    return f"tcp://{cluster.address(f'broker-{broker}')}:{cluster.port_base + 9 + broker}"


def add_item(cluster, item, **fields):
    """Put an item on sale."""
    answer = cluster.admin("POST", "/items", {"id": item, **fields})
    assert answer.status == 201, answer


def assert_conserved(cluster, sold):
    """What the catalog and the orders say of each other: of each item exactly as much is sold as
    {id: quantity} says, by both, and initial + moved - sold = stock holds for every item."""
    client = Client(bus_endpoint(cluster))
    status, audit = client.call("catalog", {"op": "audit"})
    assert status == 0 and audit["violations"] == 0, audit
    assert audit["initial"] + audit["moved"] - audit["sold"] == audit["stock"], audit
    assert audit["sold"] == sum(sold.values()), (audit, sold)
    status, tally = client.call("order", {"op": "tally"})
    assert status == 0, tally
    assert {line["id"]: line["quantity"] for line in tally["sold"]} == sold, (tally, sold)
    for item, quantity in sold.items():
        status, item = client.call("catalog", {"op": "movements", "id": item})
        assert status == 0 and item["sold"] == quantity, item
        assert item["initial"] + item["moved"] - item["sold"] == item["stock"], item
        assert item["stock"] >= 0, item
    client.close()


class HttpBuyer:
    """A customer with a connection of its own to a bridge."""

    def __init__(self, port, address="127.0.0.1"):
        self.port, self.address = port, address
        self.connection = None

    def call(self, method, path, body=None, headers=None, timeout=15.0):
        """The status, the JSON and the headers of an answer. Raises Unknown when there is none:
        whether the request was worked on can't be told then."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, self.port,
                                                             timeout=timeout)
            headers = dict(headers or {})
            data = None
            if body is not None:
                data = json.dumps(body)
                headers["Content-Type"] = "application/json"
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.getheader("Connection", "").lower() == "close":
                self.close()
            return answer.status, json.loads(text) if text else None, answer.headers
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unknown() from error

    def buy(self, item, quantity, key, timeout=15.0):
        """What became of a buy: ("sold", order), ("refused", problem) or ("unknown", problem)."""
        try:
            status, body, _ = self.call(
                "POST", "/orders", {"lines": [{"id": item, "quantity": quantity}]},
                {"Idempotency-Key": key}, timeout)
        except Unknown:
            return "unknown", None
        if status == 201:
            return "sold", body
        return ("unknown" if status >= 500 else "refused"), body

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class BusBuyer:
    """A customer with a socket of its own to the broker."""

    def __init__(self, endpoint):
        self.client = Client(endpoint)

    def stamp(self, timeout=15.0):
        status, body = self.client.call("catalog", {"op": "time"}, timeout)
        if status != 0:
            raise Unknown()
        return body["log_time"]

    def buy(self, item, quantity, key, timeout=15.0):
        try:
            status, body = self.client.call(
                "order.leader", {"op": "buy", "key": key, "stamp": self.stamp(timeout),
                                 "lines": [{"id": item, "quantity": quantity}]}, timeout)
        except Unknown:
            return "unknown", None
        if status == 0:
            return "sold", body["order"]
        return ("refused" if 200 <= status < 300 else "unknown"), body

    def close(self):
        self.client.close()


def at_once(calls):
    """Run all calls at the same time, each in a thread, and return their results in order."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(index, call):
        barrier.wait()
        results[index] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
