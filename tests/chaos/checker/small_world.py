"""A small run that is right, written by hand: a dozen orders with every end, as files of evidence. Not one line of it comes
from the engine, so it says what the checker takes for right."""
import json

from outside import ROLES, write_lines

PREFIX = "small"
TOPICS = ["order.placed", "inventory.reserved", "inventory.failed", "payment.initiated", "payment.success", "payment.failed",
          "order.shipped", "order.tracking.updated", "notification.send", "order.cancelled", "payment.refunded"]
PATHS = {"shipped": [("pending", "order.placed"), ("inventory_reserved", "inventory.reserved"), ("paid", "payment.success"),
                     ("shipped", "order.tracking.updated")],
         "out_of_stock": [("pending", "order.placed"), ("cancelled", "inventory.failed")],
         "declined": [("pending", "order.placed"), ("inventory_reserved", "inventory.reserved"), ("payment_failed", "payment.failed")],
         "refunded": [("pending", "order.placed"), ("inventory_reserved", "inventory.reserved"), ("cancelled", "cancel"),
                      ("refunded", "payment.refunded")]}
WRITTEN = {"shipped": ["order.placed", "inventory.reserved", "payment.initiated", "payment.success", "order.shipped",
                       "order.tracking.updated"],
           "out_of_stock": ["order.placed", "inventory.failed", "order.cancelled"],
           "declined": ["order.placed", "inventory.reserved", "payment.initiated", "payment.failed"],
           "refunded": ["order.placed", "inventory.reserved", "payment.initiated", "order.cancelled", "payment.refunded"]}
TOLD = {"shipped": ("order.shipped", "On its way."), "out_of_stock": ("inventory.failed", "Order cancelled due to insufficient stock."),
        "declined": ("payment.failed", "Payment failed."), "refunded": ("order.cancelled", "Order cancelled.")}
PLAN = ["shipped"] * 6 + ["out_of_stock"] * 2 + ["declined"] * 2 + ["refunded"] * 2
PRICE, STOCKED = 150, 20


class Writer:
    def __init__(self):
        self.history, self.records, self.gateway, self.redis = [], [], [], {}
        self.store = {f"{role}.{table}": [] for role in ROLES
                      for table in ("shards", "positions", "dead_letters", "parked", "quarantine")}
        self.store |= {name: [] for name in ("order.orders", "order.transitions", "inventory.reservations", "inventory.products",
                                             "notification.notices")}
        self.op, self.wall, self.ends = 0, 1_000_000, {}

    def operation(self, function, type_, begun=None, **ended):
        self.op += 1
        self.wall += 10
        self.history.append({"op": self.op, "type": "invoke", "f": function, "t": self.wall / 1000, "wall": self.wall, "node": "a"} | (begun or {}))
        self.history.append({"op": self.op, "type": type_, "t": self.wall / 1000 + 0.005, "wall": self.wall + 5, "node": "a"} | ended)

    def record(self, topic, key, value, headers=None):
        self.wall += 1
        offset = self.ends.get(f"{topic}/0", 0)
        self.ends[f"{topic}/0"] = offset + 1
        self.records.append({"topic": topic, "partition": 0, "offset": offset, "at": self.wall, "key": key, "value": value, "headers": headers or {}})
        return offset

    def order(self, number, kind):
        order_id, name, token = f"o-{number}", f"u-{number}", {"declined": "tok_declined", "refunded": "tok_timeout"}.get(kind, "tok_ok")
        quantity = 500 if kind == "out_of_stock" else 1
        body = {"product_id": "bolt", "quantity": quantity, "user_id": name, "payment_token": token}
        placed = {"name": name, "key": f"k-{number}", "body": body}
        for _ in range(1 + number % 2):  # every other one is said twice
            self.operation("place", "ok", placed, status=202, order_id=order_id, answer_hash=f"h-{number}")
        self.operation("place", "fail", placed | {"other": True}, status=422)
        if kind == "refunded":
            self.operation("cancel", "ok", {"order_id": order_id}, status=202, order_id=order_id)
        for topic in WRITTEN[kind]:
            self.record(topic, order_id, json.dumps({"order_id": order_id}), {"ce_id": f"{order_id}/{topic}"})
        path = PATHS[kind]
        for version, (status, event) in enumerate(path, 1):
            self.store["order.transitions"].append({"order_id": order_id, "version": version, "status": status, "event": event, "at": self.wall + version})
        state = path[-1][0]
        self.store["order.orders"].append({"key": order_id, "partition": 0, "version": len(path), "state": state, "owner": name, "open": 0, "due": 0,
                                           "created_at": self.wall, "updated_at": self.wall, "doc": "{}"})
        reservation = {"shipped": "sold", "out_of_stock": "failed", "declined": "released", "refunded": "released"}[kind]
        self.store["inventory.reservations"].append({"key": order_id, "state": reservation, "open": 0, "doc": "{}"})
        self.redis["{small}:order:" + order_id] = "failed out_of_stock" if reservation == "failed" else reservation
        txn = "" if kind == "declined" else f"t-{number}"
        if kind != "out_of_stock":
            self.gateway.append({"effect": f"{order_id}/charge/1", "order_id": order_id, "kind": "charge", "amount": PRICE * quantity, "txn_id": txn,
                                 "asked": 1, "answered": 1})
        if kind == "refunded":
            self.gateway.append({"effect": f"{order_id}/refund/1", "order_id": order_id, "kind": "refund", "amount": PRICE * quantity,
                                 "txn_id": f"r-{number}", "asked": 1, "answered": 1})
        occasion, text = TOLD[kind]
        doc = {"order_id": order_id, "channel": "email", "occasion": occasion, "text": text}
        self.store["notification.notices"].append({"key": f"{order_id}/{occasion}", "state": "sent", "open": 0, "doc": json.dumps(doc)})
        tracking = f"CW{number}" if kind == "shipped" else None
        shown = {"order_id": order_id, "status": state, "reason": {"out_of_stock": "out_of_stock", "refunded": "requested"}.get(kind),
                 "waiting_for": None, "items": [{"product_id": "bolt", "quantity": quantity}], "amount_minor": PRICE * quantity,
                 "txn_id": txn or None, "tracking_id": tracking, "version": len(path)}
        for version in (1, len(path)):
            self.operation("read", "ok", {"order_id": order_id}, status=200, order_id=order_id, version=version,
                           tracking_id=tracking if version > 1 else None)
        return shown


def write(directory):
    w = Writer()
    w.operation("put", "ok", {"product": "bolt", "quantity": STOCKED - 5, "price_minor": PRICE}, product="bolt", quantity=STOCKED - 5)
    w.operation("adjust", "ok", {"product": "bolt", "delta": 5, "key": "adjust-1"}, status=200)
    shown = [w.order(number, kind) for number, kind in enumerate(PLAN)]
    w.operation("place", "info", {"name": "u-lost", "key": "k-lost", "body": {"product_id": "bolt", "quantity": 1, "user_id": "u-lost"}})
    w.operation("place", "fail", {"name": "u-refused", "key": "k-refused", "body": {"product_id": "bolt", "quantity": 1, "user_id": "u-refused"}},
                status=503)
    w.operation("final", "ok", orders=shown)
    sold = PLAN.count("shipped")
    w.operation("stock", "ok", products=[{"product_id": "bolt", "available": STOCKED - sold, "reserved": 0, "sold": sold, "stocked": STOCKED}])
    offset = w.record("order.placed", "p", "{not json")
    w.operation("poison", "ok", {"topic": "order.placed", "key": "p", "value": "{not json"}, topic="order.placed", partition=0, offset=offset)
    for role in ("order", "inventory", "notification"):
        w.record("order.placed.dlq", "p", "{not json", {"dlq_group": f"small.{role}", "dlq_topic": "order.placed", "dlq_partition": "0",
                                                        "dlq_offset": str(offset), "dlq_cause": "not-json"})
    for role in ROLES:
        w.store[f"{role}.shards"].append({"partition": 0, "epoch": 2, "sequence": 9, "published": 9})
        for place, end in w.ends.items():
            w.store[f"{role}.positions"].append({"topic": place.split("/")[0], "partition": 0, "next": end})
    w.store["inventory.products"].append({"product_id": "bolt", "stocked": STOCKED, "reserved": 0, "sold": sold})
    counts = {"available": STOCKED - sold, "reserved": 0, "sold": sold, "stocked": STOCKED}
    w.redis["{small}:stock:bolt"] = {name: str(count) for name, count in counts.items()}
    groups = {f"small.{role}": dict(w.ends) for role in ROLES}
    positions = {role: dict(w.ends) for role in ROLES}
    directory.mkdir(parents=True)
    for name, rows in w.store.items():
        write_lines(directory / "store" / f"{name}.jsonl", rows)
    for name, rows in (("history", w.history), ("topics", w.records), ("gateway", w.gateway)):
        write_lines(directory / f"{name}.jsonl", rows)
    write_lines(directory / "redis.jsonl", [{"key": key, "value": value} for key, value in w.redis.items()])
    write_lines(directory / "samples.jsonl", [{"wall": w.wall, "generation": "1", "products": {"bolt": counts}}] * 3 +
                [{"wall": w.wall, "generation": "", "products": {"bolt": counts | {"sold": 0}}}])
    write_lines(directory / "shards.jsonl", [{"role": "order", "partition": 0, "epoch": epoch, "sequence": 4 + epoch} for epoch in (1, 1, 2)])
    write_lines(directory / "faults.jsonl", [{"wall": 1_000_050, "what": "nothing, this is a small world"}])
    (directory / "offsets.json").write_text(json.dumps({"committed": groups, "ends": w.ends}))
    (directory / "deaths").mkdir()
    (directory / "deaths" / "000.json").write_text(json.dumps({"committed": groups, "positions": positions}))
    (directory / "logs").mkdir()
    (directory / "logs" / "node.log").write_text("all is well\n")
    (directory / "meta.json").write_text(json.dumps({
        "prefix": PREFIX, "topics": {topic: topic for topic in TOPICS}, "products": ["bolt"], "payment_ttl": 20_000, "inventory_ttl": 60_000,
        "canaries": ["ada@example.org"]}))
