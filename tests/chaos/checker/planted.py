"""Wrong ledgers: each changes one thing of evidence that was right, as one bug of an engine would, and names the invariant
that has to notice. A checker that accepts one of them is of no use."""
import copy
import json


def order_in(e, state, reason=None):
    for order_id, row in sorted(e.orders.items()):
        shown = e.end_of(order_id)
        if row["state"] == state and (reason is None or (shown and shown["reason"] == reason)):
            return order_id
    raise LookupError(f"no {state} order in this evidence")


def rows(e, name):
    return e.store[name]


def row(e, name, **wanted):
    return next(one for one in rows(e, name) if all(one[key] == value for key, value in wanted.items()))


def charge_of(e, order_id):
    return next(one for one in e.gateway if one["order_id"] == order_id and one["kind"] == "charge" and one["txn_id"])


def torn_counts(e):
    sample = next(one for one in e.samples if one["generation"] and one["products"])
    sample["products"] = copy.deepcopy(sample["products"])
    next(iter(sample["products"].values()))["available"] += 1


def sold_is_not_shipped(e):
    product = next(iter(next(iter(e.items_of(one) for one in [order_in(e, "shipped")]))))
    row(e, "inventory.products", product_id=product)["sold"] += 1


def redis_sells_more(e):
    key = next(key for key in e.redis if ":stock:" in key)
    e.redis[key] = e.redis[key] | {"available": str(int(e.redis[key]["available"]) + 1)}


def oversold(e):
    order_id = order_in(e, "shipped")
    product = next(iter(e.items_of(order_id)))
    for line in e.history:
        if line["type"] == "invoke" and line["f"] in ("put", "adjust") and line["product"] == product:
            line["quantity" if line["f"] == "put" else "delta"] = 0
        elif line.get("product") == product and "quantity" in line:
            line["quantity"] = 0


def history_gap(e):
    order_id = order_in(e, "shipped")
    rows(e, "order.transitions").remove(row(e, "order.transitions", order_id=order_id, version=2))


def shipped_unpaid(e):
    row(e, "order.transitions", order_id=order_in(e, "shipped"), version=3)["status"] = "cancelled"


def charged_twice(e):
    order_id = order_in(e, "shipped")
    e.gateway.append(charge_of(e, order_id) | {"effect": f"{order_id}/charge/2", "txn_id": "another"})


def shipped_for_nothing(e):
    e.gateway.remove(charge_of(e, order_in(e, "shipped")))


def kept_the_money(e):
    order_id = order_in(e, "payment_failed")
    e.gateway.append({"effect": f"{order_id}/charge/2", "order_id": order_id, "kind": "charge", "amount": 150, "txn_id": "kept", "asked": 1,
                      "answered": 0})


def stock_leaks(e):
    row(e, "inventory.reservations", key=order_in(e, "payment_failed"))["state"] = "reserved"


def acknowledged_and_lost(e):
    order_id = order_in(e, "shipped")
    rows(e, "order.orders").remove(row(e, "order.orders", key=order_id))


def invented(e):
    rows(e, "order.orders").append(row(e, "order.orders", key=order_in(e, "shipped")) | {"key": "o-invented", "owner": "nobody"})


def refused_and_placed(e):
    """503 was said, and the order is there."""
    order_id = order_in(e, "shipped")
    owner = row(e, "order.orders", key=order_id)["owner"]
    names = {line["op"] for line in e.history if line["type"] == "invoke" and line.get("name") == owner}
    for line in e.history:
        if line["op"] in names and line["type"] != "invoke":
            line.update(type="fail", status=503, order_id=None)


def one_key_two_orders(e):
    order_id = order_in(e, "shipped")
    first = next(one for one in e.by["place"] if one.best == "ok" and one.key and one.order_id == order_id)
    number = max(line["op"] for line in e.history) + 1
    e.history.append(first.begun | {"op": number})
    e.history.append(first.ended | {"op": number, "order_id": order_in(e, "payment_failed")})


def tracking_twice(e):
    two = [one for one, state in sorted((key, one["state"]) for key, one in e.orders.items()) if state == "shipped"][:2]
    for line in e.history:
        for shown in line.get("orders") or []:
            if shown["order_id"] == two[1]:
                shown["tracking_id"] = e.end_of(two[0])["tracking_id"]


def other_bytes(e):
    record = next(one for one in e.records if one["topic"] == "payment.success" and one["headers"].get("ce_id"))
    e.records.append(record | {"offset": record["offset"] + 100_000, "value": record["value"] + " "})


def second_charge_request(e):
    record = next(one for one in e.records if one["topic"] == "payment.initiated")
    e.records.append(record | {"offset": record["offset"] + 100_000, "headers": record["headers"] | {"ce_id": "another"}})


def never_told(e):
    order_id = order_in(e, "payment_failed")
    e.store["notification.notices"] = [one for one in rows(e, "notification.notices")
                                       if not (json.loads(one["doc"])["order_id"] == order_id and json.loads(one["doc"])["occasion"] == "payment.failed")]


def told_twice(e):
    notices = rows(e, "notification.notices")
    notices.append(notices[0] | {"key": notices[0]["key"] + "/again"})


def offset_before_durable(e):
    group = next(one for one in e.deaths[0]["committed"] if one.endswith(".order"))
    place = next(iter(e.deaths[0]["committed"][group]))
    e.deaths[0]["committed"][group][place] += 1_000_000


def read_and_dropped(e):
    e.records.append(next(one for one in e.records if one["topic"] == "order.placed") |
                     {"offset": -1, "value": json.dumps({"order_id": "o-dropped"})})


def went_back(e):
    order_id, reads = next((key, found) for key, found in e.reads.items() if len(found) > 1 and found[-1].version > 1)
    last = max(reads, key=lambda one: one.begun["t"])
    number = max(line["op"] for line in e.history) + 1
    e.history.append(last.begun | {"op": number, "t": last.ended["t"] + 1})
    e.history.append(last.ended | {"op": number, "t": last.ended["t"] + 1.1, "version": last.version - 1})


def vanished(e):
    first = next(one for one in e.by["place"] if one.best == "ok")
    number = max(line["op"] for line in e.history) + 1
    e.history.append({"op": number, "type": "invoke", "f": "read", "order_id": first.order_id, "t": first.ended["t"] + 9, "wall": 0, "node": "a"})
    e.history.append({"op": number, "type": "fail", "status": 404, "order_id": first.order_id, "t": first.ended["t"] + 9.1, "wall": 0, "node": "a"})


def two_owners(e):
    e.shards.append(e.shards[0] | {"epoch": 0})


def stuck(e):
    order_id = order_in(e, "shipped")
    row(e, "order.orders", key=order_id).update(open=1)


def poison_vanished(e):
    e.records = [one for one in e.records if not one["topic"].endswith(".dlq")]


def good_record_dead(e):
    dead = next(one for one in e.records if one["topic"].endswith(".dlq"))
    e.records.append(dead | {"headers": dead["headers"] | {"dlq_offset": "999999"}, "value": "{}"})


def chatty_log(e):
    e.logs["node.log"] = e.meta["canaries"][0]


def expired_early(e):
    order_id = order_in(e, "refunded", "requested")
    for line in e.history:
        for shown in line.get("orders") or []:
            if shown["order_id"] == order_id:
                shown["reason"] = "expired"


ALL = [("I1", torn_counts), ("I2", sold_is_not_shipped), ("I2", redis_sells_more), ("I3", oversold), ("I4", history_gap), ("I4", shipped_unpaid),
       ("I5", charged_twice), ("I6", shipped_for_nothing), ("I6", kept_the_money), ("I7", stock_leaks), ("I8", acknowledged_and_lost),
       ("I9", invented), ("I9", refused_and_placed), ("I10", one_key_two_orders), ("I11", tracking_twice), ("I12", other_bytes),
       ("I12", second_charge_request), ("I13", never_told), ("I13", told_twice), ("I14", offset_before_durable), ("I14", read_and_dropped),
       ("I15", went_back), ("I15", vanished), ("I16", two_owners), ("I17", stuck), ("I18", poison_vanished), ("I18", good_record_dead),
       ("I20", chatty_log), ("X1", expired_early)]
