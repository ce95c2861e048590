"""The load: clients that place, read and cancel orders, change stock, and write records, and note in a history what they
began and what came of it. An outcome is ok, fail (definitely not done) or info (nobody knows); a timeout is info for ever."""
import collections
import hashlib
import http.client
import json
import random
import threading
import time
import traceback

import confluent_kafka

PRICES = {"bolt": 150, "nut": 80, "gear": 1999, "rare": 700, "flex": 55}
STOCKED = {"bolt": 1_000_000, "nut": 1_000_000, "gear": 1_000_000, "rare": 60, "flex": 500_000}
TOKENS = ["tok_ok"] * 11 + ["tok_timeout"] * 4 + ["tok_error"] * 3 + ["tok_declined"] * 2
CANARY = "canary.ada.4111111111111111@example.org"
POISON = [b"", b"{not json", b"[]", b'{"user_id":"u"}', b"\xff\xfe\x00", b'{"order_id":7,"user_id":"u"}', b'"' + b"x" * 3000 + b'"',
          b'{"order_id":"p","order_id":"q","product_id":"bolt","quantity":1,"user_id":"u","amount":1,"txn_id":"t","tracking_id":"t"}']
POISON_PLACED = POISON + [b'{"order_id":"p","product_id":"bolt","quantity":%s,"user_id":"u"}' % one for one in (b"0", b"1.5", b'"1"', b"1000001")]
POISON_TOPICS = ["order.placed", "inventory.reserved", "payment.initiated", "payment.success", "order.shipped", "order.tracking.updated"]
FAILS = {400, 404, 408, 409, 413, 415, 422, 429, 431, 503}


class History:
    def __init__(self, path):
        self.file, self.lock, self.next = open(path, "a", encoding="utf-8"), threading.Lock(), 0

    def line(self, **fields):
        now = {"t": round(time.monotonic(), 6), "wall": int(time.time() * 1000)}
        with self.lock:
            self.file.write(json.dumps(fields | now) + "\n")

    def begin(self, function, **fields):
        with self.lock:
            self.next += 1
            op = self.next
        self.line(op=op, type="invoke", f=function, **fields)
        return op

    def end(self, op, type_, **fields):
        self.line(op=op, type=type_, **fields)

    def flush(self):
        with self.lock:
            self.file.flush()


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Clients:
    """`nodes`: {name: port or None}, kept by the world. `names` are the topics' names. `never`: some of the first orders
    get no answer from the gateway, ever."""

    def __init__(self, history, nodes, broker, names, seed, never):
        self.history, self.nodes, self.names, self.seed, self.never = history, nodes, names, seed, never
        self.lock, self.number, self.recent, self.placed = threading.Lock(), 0, collections.deque(maxlen=400), 0
        self.stopping, self.threads, self.broken, self.said = threading.Event(), [], [], collections.Counter()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": broker, "linger.ms": 2, "message.timeout.ms": 120000,
                                                  "partitioner": "consistent_random", "acks": "all", "enable.idempotence": True})

    # -- one request

    def request(self, node, method, path, body=None, headers=None, media="application/json", limit=9):
        """(type, status, headers, body) of the answer."""
        port = self.nodes.get(node)
        if port is None:
            return "fail", "down", {}, b""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit)
        try:
            connection.request(method, path, data, dict(headers or {}) | ({"Content-Type": media} if data is not None else {}))
            got = connection.getresponse()
            text = got.read()
            kind = "ok" if got.status < 300 else "fail" if got.status in FAILS else "info"
            return kind, got.status, {name.lower(): value for name, value in got.getheaders()}, text
        except ConnectionRefusedError:
            return "fail", "refused", {}, b""
        except (OSError, http.client.HTTPException) as error:
            return "info", type(error).__name__, {}, b""
        finally:
            connection.close()

    def any_node(self, rng):
        return rng.choice(sorted(self.nodes))

    # -- what is ordered

    def new_order(self):
        """(number, rng, body): the same for the same seed and number."""
        with self.lock:
            number, self.number = self.number, self.number + 1
        rng = random.Random(f"{self.seed}/{number}")
        body = {"user_id": f"u-{number}", "payment_token": rng.choice(TOKENS)}
        if self.never and number < 40 and number % 13 == 12:
            body["payment_token"] = "tok_never"
        kind = rng.random()
        if kind < 0.15:
            names = rng.sample(["bolt", "nut", "gear"], 2)
            body["items"] = [{"product_id": name, "quantity": rng.randint(1, 3)} for name in names]
        else:
            body["product_id"] = "rare" if kind < 0.30 else "unknown" if kind < 0.32 else rng.choice(["bolt", "bolt", "bolt", "nut", "gear"])
            body["quantity"] = rng.randint(1, 3)
        if rng.random() < 0.1:
            body["contact"] = {"email": CANARY}
        return number, rng, body

    def place(self, number, node, body, key, **more):
        op = self.history.begin("place", name=body["user_id"], node=node, key=key, body=body, hash=digest(json.dumps(body).encode()), **more)
        kind, status, _, text = self.request(node, "POST", "/v1/orders", body, {"Idempotency-Key": key} if key else None)
        order_id = None
        try:
            order_id = json.loads(text).get("order_id")
        except ValueError:
            pass
        self.said[status] += 1
        self.history.end(op, kind, node=node, status=status, order_id=order_id, answer_hash=digest(text))
        if kind == "ok":
            self.note(order_id)
        return kind, order_id

    def note(self, order_id):
        with self.lock:
            self.placed += 1
            self.recent.append(order_id)

    def place_until_known(self, deadline):
        number, rng, body = self.new_order()
        key = f"key-{number}" if rng.random() < 0.85 else None
        at_once = key and rng.random() < 0.08
        twin = None
        if at_once:  # the same request twice at the same time, perhaps through another node
            twin = threading.Thread(target=self.place, args=(number, self.any_node(rng), body, key), daemon=True)
            twin.start()
        kind, order_id = self.place(number, self.any_node(rng), body, key)
        while kind != "ok" and key and time.monotonic() < deadline and not self.stopping.is_set():
            time.sleep(0.25)
            kind, order_id = self.place(number, self.any_node(rng), body, key)
        if twin:
            twin.join(20)
        if kind != "ok":
            return
        if key and rng.random() < 0.05:
            self.place(number, self.any_node(rng), body, key)
        if key and rng.random() < 0.04:
            self.place(number, self.any_node(rng), body | {"metadata": {"other": True}}, key, other=True)
        if rng.random() < 0.06:
            self.cancel(order_id, self.any_node(rng))
        if rng.random() < 0.3:
            self.read(order_id, self.any_node(rng))

    def cancel(self, order_id, node):
        op = self.history.begin("cancel", order_id=order_id, node=node)
        kind, status, _, _ = self.request(node, "POST", f"/v1/orders/{order_id}/cancel")
        # 503: the shard was changing its owner, and nothing is said about what it does with the request.
        self.history.end(op, "info" if status == 503 else kind, order_id=order_id, node=node, status=status)

    def read(self, order_id, node):
        op = self.history.begin("read", order_id=order_id, node=node)
        kind, status, _, text = self.request(node, "GET", f"/v1/orders/{order_id}")
        shown = json.loads(text) if kind == "ok" else {}
        more = {name: shown.get(name) for name in ("version", "tracking_id", "waiting_for")} | {"order_status": shown.get("status")}
        self.history.end(op, kind, order_id=order_id, node=node, status=status, **more if kind == "ok" else {})

    def batch(self, count, node, tokens=None):
        """Many at once, each line an operation of its own."""
        ops, lines = [], []
        for _ in range(count):
            _, rng, body = self.new_order()
            if tokens:
                body["payment_token"] = rng.choice(tokens)
            lines.append(json.dumps(body))
            ops.append(self.history.begin("place", name=body["user_id"], node=node, key=None, body=body, via="batch"))
        kind, status, _, text = self.request(node, "POST", "/v1/orders:batch", ("\n".join(lines) + "\n").encode(), media="application/x-ndjson",
                                             limit=30)
        said = [json.loads(line) for line in text.splitlines()] if kind == "ok" else [{}] * count
        for op, one in zip(ops, said):
            of_line = one.get("status", status)
            self.said[of_line] += 1
            mine = kind if kind != "ok" else "ok" if of_line == 202 else "fail" if of_line in FAILS else "info"
            self.history.end(op, mine, node=node, status=of_line, order_id=one.get("order_id"))
            if mine == "ok":
                self.note(one["order_id"])
        return kind

    # -- Kafka

    def produce(self, function, topic, key, value, fields, **more):
        op = self.history.begin(function, topic=topic, key=key, value=value.decode("latin-1"), **fields)

        def delivered(error, message):
            if error is not None:
                self.history.end(op, "info", status=str(error))
            else:
                self.history.end(op, "ok", topic=topic, partition=message.partition(), offset=message.offset(), order_id=fields.get("order_id"))
                if function == "bare":
                    self.note(fields["order_id"])

        self.producer.produce(self.names[topic], value, key, on_delivery=delivered, **more)
        self.producer.poll(0)

    def bare(self, early_cancel=False):
        """An order by a record, as a foreign program places it; its cancellation may come before it."""
        number, _, body = self.new_order()
        order_id = f"b-{number}"
        if early_cancel:
            self.produce("cancel", "order.cancel.requested", order_id, json.dumps({"order_id": order_id}).encode(), {"order_id": order_id})
        record = {"order_id": order_id} | body
        if "items" in body:
            record |= {"product_id": body["items"][0]["product_id"], "quantity": body["items"][0]["quantity"]}
        self.produce("bare", "order.placed", order_id, json.dumps(record).encode(), {"name": body["user_id"], "order_id": order_id, "body": body})

    def poison(self, rng):
        topic = rng.choice(POISON_TOPICS)
        self.produce("poison", topic, rng.choice(["p", "q"]), rng.choice(POISON_PLACED if topic == "order.placed" else POISON), {})

    # -- stock

    def put_stock(self, node):
        for product, quantity in STOCKED.items():
            fields = {"product": product, "quantity": quantity, "price_minor": PRICES[product]}
            op = self.history.begin("put", node=node, **fields)
            kind, status, _, _ = self.request(node, "PUT", f"/v1/stock/{product}",
                                              {"quantity": quantity, "price_minor": PRICES[product], "currency": "EUR"})
            self.history.end(op, kind, status=status, **fields)
            if kind != "ok":
                raise RuntimeError(f"stock cannot be set: {status}")

    def adjust(self, number, rng):
        """Until it is known to be done: the key makes it once."""
        fields = {"product": "flex", "delta": rng.choice([3, 5, -2]), "key": f"adjust-{number}"}
        while True:
            node = self.any_node(rng)
            op = self.history.begin("adjust", node=node, **fields)
            kind, status, _, _ = self.request(node, "POST", "/v1/stock/flex/adjustments", {"delta": fields["delta"], "reason": "count"},
                                              {"Idempotency-Key": fields["key"]})
            self.history.end(op, kind, status=status)
            if kind == "ok" or self.stopping.wait(0.4):
                return

    def see_stock(self, node):
        op = self.history.begin("stock", node=node)
        kind, status, _, text = self.request(node, "GET", "/v1/stock")
        products = json.loads(text)["items"] if kind == "ok" else []
        self.history.end(op, kind, status=status,
                         products=[{name: one[name] for name in ("product_id", "available", "reserved", "sold", "stocked")} for one in products])

    # -- all of it

    def start(self, rate):
        """About `rate` orders a second, until stop()."""
        placers = 4
        self.loop(placers, lambda _, __: self.place_until_known(time.monotonic() + 60), placers / (rate * 0.8))
        self.loop(1, lambda rng, n: self.bare(early_cancel=n % 12 == 11), 1 / (rate * 0.2))
        self.loop(2, lambda rng, _: self.read(rng.choice(list(self.recent)), self.any_node(rng)) if self.recent else None, 0.1)
        self.loop(1, lambda rng, n: self.adjust(n, rng), 0.7)
        self.loop(1, lambda rng, _: self.see_stock(self.any_node(rng)), 0.3)

    def loop(self, count, work, pause):
        for which in range(count):
            rng = random.Random(f"{self.seed}/{len(self.threads)}/{which}")

            def run(rng=rng):
                number = 0
                while not self.stopping.is_set():
                    began = time.monotonic()
                    try:
                        work(rng, number)
                    except Exception:  # the load is broken, not the engine
                        self.broken.append(traceback.format_exc())
                        return
                    number += 1
                    self.producer.poll(0)
                    self.stopping.wait(max(0.0, rng.uniform(0.5, 1.5) * pause - (time.monotonic() - began)))

            self.threads.append(threading.Thread(target=run, daemon=True))
            self.threads[-1].start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(40)
        self.producer.flush(120)

    def final_reads(self, node):
        """What a client is told at the end of everything."""
        op, orders, token = self.history.begin("final", node=node), [], ""
        while token is not None:
            for _ in range(20):
                kind, status, _, text = self.request(node, "GET", f"/v1/orders?page_size=500&page_token={token}", limit=30)
                if kind == "ok":
                    break
                time.sleep(0.5)
            else:
                raise RuntimeError(f"the orders cannot be listed: {status} {text[:200]!r}")
            page = json.loads(text)
            orders += [{name: one[name] for name in ("order_id", "status", "reason", "waiting_for", "items", "amount_minor", "txn_id",
                                                     "tracking_id", "version")} for one in page["items"]]
            token = page["next_page_token"]
        self.history.end(op, "ok", node=node, orders=orders)
        self.see_stock(node)
        return orders
