"""Orders under trouble: placed by several threads with Idempotency-Keys, said again until each has an answer."""
import collections
import http.client
import json
import threading
import time
import uuid

import lib
from lib import check, equal

PRODUCTS = {"bolt": 150, "nut": 80, "screw": 30}
STOCKED = 100_000
# Where each kind of order has to end; the simulated gateway does to the payment what its token says.
KINDS = [({}, "shipped"), ({"payment_token": "tok_timeout"}, "shipped"), ({}, "shipped"),
         ({"payment_token": "tok_declined"}, "payment_failed"), ({"payment_token": "tok_error"}, "shipped"),
         ({"product_id": "sold-out"}, "cancelled"), ({}, "shipped"), ({"items": 2}, "shipped")]


def order_number(number):
    more, end = KINDS[number % len(KINDS)]
    names = list(PRODUCTS)
    order = {"product_id": names[number % len(names)], "quantity": 1 + number % 3, "user_id": "load"} | more
    if "items" in more:
        del order["product_id"], order["quantity"]
        order["items"] = [{"product_id": name, "quantity": 1 + number % 2} for name in names[:2]]
    return order, end


def stock_up(node):
    for product, price in PRODUCTS.items():
        node.stock_up(product, STOCKED, price)
    node.stock_up("sold-out", 0, 100)


class Load:
    """Places orders until each has been answered 202. What had no answer is said again, with its key."""

    def __init__(self, node):
        self.node, self.mark = node, uuid.uuid4().hex[:8]
        self.lock, self.ids, self.expected = threading.Lock(), {}, {}
        self.said_again = collections.Counter()
        self.next, self.until, self.threads, self.broken = 0, 0, [], []

    def place(self, count, threads=4, seconds=150, pause=0.0):
        """Begins to place `count` more."""
        self.until += count
        self.threads = [threading.Thread(target=self.work, args=(time.monotonic() + seconds, pause), daemon=True)
                        for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self, deadline, pause):
        while True:
            with self.lock:
                if self.next >= self.until:
                    return
                number, self.next = self.next, self.next + 1
            order, end = order_number(number)
            while time.monotonic() < deadline:
                try:
                    answer = self.node.call("POST", "/v1/orders", order, {"Idempotency-Key": f"{self.mark}-{number}"}, limit=15)
                except (OSError, http.client.HTTPException):
                    answer = None
                if answer is not None and answer.status == 202:
                    with self.lock:
                        self.ids[number] = json.loads(answer.body)["order_id"]
                        self.expected[self.ids[number]] = end
                    break
                # 409: the first try is still running; 503 and 504: not now.
                if answer is not None and answer.status not in (409, 503, 504):
                    self.broken.append(f"order {number}: {answer}")
                    return
                self.said_again[answer.status if answer else "no answer"] += 1
                time.sleep(0.1)
            else:
                self.broken.append(f"order {number} was never answered 202")
                return
            time.sleep(pause)

    def answered(self):
        with self.lock:
            return len(self.ids)

    def wait_answered(self, count, seconds=60):
        lib.wait_until(lambda: self.answered() >= count or self.broken, seconds,
                       lambda: f"{count} orders are answered; {self.answered()} are; {dict(self.said_again)}\n{self.node.tail()}", 0.002)
        check(not self.broken, "each order is answered 202 in the end", self.broken)

    def join(self, seconds=160):
        for thread in self.threads:
            thread.join(seconds)
            check(not thread.is_alive(), "all orders have been placed", f"{self.answered()} of {self.until}")
        check(not self.broken, "each order is answered 202 in the end", self.broken)

    def check_ends(self, seconds, more=None):
        """Everything that has to hold when all is over. `more` are orders placed otherwise: {id: end}."""
        expected = self.expected | (more or {})
        equal(len(self.ids), self.until, "each order has its answer")
        equal(len(set(self.ids.values())), self.until, "each Idempotency-Key has an order of its own")
        orders = self.node.wait_ends(list(expected), seconds)
        wrong = [(one["order_id"], one["status"], one["reason"]) for one in orders.values() if one["status"] != expected[one["order_id"]]]
        equal(wrong, [], "each order ends where it has to")
        check(all(one["tracking_id"] for one in orders.values() if one["status"] == "shipped"), "what is shipped has a tracking id")
        listed = all_orders(self.node)
        equal(sorted(listed), sorted(expected), "the orders of the list are those that were placed, none twice")
        lib.check_histories(self.node, orders)
        lib.check_money(self.node, orders)
        lib.check_stock(self.node, {product: STOCKED for product in PRODUCTS} | {"sold-out": 0}, orders.values())
        self.check_notices(orders)
        return orders

    def check_notices(self, orders):
        occasion = {"cancelled": "inventory.failed", "payment_failed": "payment.failed"}

        def told(order):
            items = self.node.notices(order["order_id"])
            kinds = [(one["occasion"], one["channel"]) for one in items]
            equal(len(kinds), len(set(kinds)), f"an occasion of {order['order_id']} is told once on a channel")
            wanted = occasion.get(order["status"])
            return wanted is None or wanted in [one["occasion"] for one in items]

        for order in orders.values():
            lib.wait_until(lambda: told(order), 30, lambda: f"the {order['status']} order {order['order_id']} is told; "
                                                           f"its notices: {self.node.notices(order['order_id'])}")


def all_orders(node):
    ids, token = [], ""
    while token is not None:
        page = node.get(f"/v1/orders?page_size=500&page_token={token}")
        ids += [one["order_id"] for one in page["items"]]
        token = page["next_page_token"]
    return ids


def check_same_again(records):
    """An event that is written again has the same bytes and the same id."""
    first = {}
    for record in records:
        if record.headers.get("ce_id") is None:
            continue
        here = (record.topic, record.headers["ce_id"])
        if here in first:
            equal((record.key, record.value), (first[here].key, first[here].value), f"{record.topic} written again has the same bytes")
        first[here] = record
    ids = {}
    for record in records:
        if record.topic in ("order.shipped", "payment.initiated", "order.tracking.updated", "payment.success"):
            ids.setdefault((record.topic, record.key), set()).add(record.headers.get("ce_id"))
    twice = {key: found for key, found in ids.items() if len(found) > 1}
    equal(twice, {}, "an order has one order.shipped, payment.initiated, payment.success and tracking, however often it is written")
