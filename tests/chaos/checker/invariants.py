"""The invariants, each a function that yields what contradicts it as (sentence, order id or None).

The numbers are those of the engine's reliability guide. I19 (live actors and memory) is not decided here: it needs hours.
I16 and I12 are decided as far as the outside can see: the store keeps no epoch with a row, and events have no number.
"""
import collections
import json

from evidence import ENDS
from ledgers import (SHIPPED, i1_conservation, i2_ledgers_agree, i3_no_oversell, i5_charged_once, i6_paid_is_shipped,
                     i7_stock_goes_back, stocked_by_clients)

# From the contract: what a status may be followed by. An event that changes nothing repeats the status.
NEXT = {None: {"pending"},
        "pending": {"pending", "inventory_reserved", "cancelled"},
        "inventory_reserved": {"inventory_reserved", "paid", "payment_failed", "cancelled"},
        "paid": {"paid", "shipped"}, "shipped": {"shipped", "delivered"}, "delivered": {"delivered"},
        "cancelled": {"cancelled", "refunded"}, "payment_failed": {"payment_failed"}, "refunded": {"refunded"}}
OUT_OF_STOCK, PAYMENT_FAILED = "Order cancelled due to insufficient stock.", "Payment failed."
ONCE = ["order.shipped", "order.cancelled", "payment.initiated", "payment.success", "payment.failed", "inventory.reserved",
        "order.tracking.updated"]
READERS = {"order.placed": ["order", "inventory", "notification"], "inventory.reserved": ["order", "notification"],
           "inventory.failed": ["order", "notification"], "payment.initiated": ["payment"],
           "payment.success": ["order", "notification"], "payment.failed": ["order", "inventory", "notification"],
           "order.shipped": ["shipping", "inventory", "notification"], "order.tracking.updated": ["order", "notification"],
           "notification.send": ["notification"], "order.cancel.requested": ["order"]}


def i4_legal_histories(e):
    for order_id, row in e.orders.items():
        steps = sorted(e.transitions.get(order_id, []), key=lambda one: one["version"])
        # The row has a version of its own, which also counts what changed without a step.
        if not steps or [one["version"] for one in steps] != list(range(1, len(steps) + 1)):
            yield f"its versions are {[one['version'] for one in steps]}", order_id
            continue
        before = None
        for one in steps:
            if one["status"] not in NEXT.get(before, ()):
                yield f"{before} is followed by {one['status']} at version {one['version']}", order_id
            before = one["status"]
        if before != row["state"]:
            yield f"the history ends with {before}, the order is {row['state']}", order_id
        if e.final and e.end_of(order_id) is None:
            yield "the order is in the store and in no list of orders", order_id
        for shown in e.final.get(order_id, []):
            if shown["status"] != row["state"]:
                yield f"a client is shown {shown['status']}, the store has {row['state']}", order_id
            if shown["version"] != len(steps):
                yield f"a client is shown version {shown['version']} of {len(steps)}", order_id


def i8_nothing_lost(e):
    # An order by a record alone is as safe as the log it lies in.
    for operation in e.by["place"] + ([] if e.meta.get("log_was_lost") else e.by["bare"]):
        if operation.best == "ok" and operation.order_id not in e.orders:
            yield f"{operation.name} was acknowledged as {operation.order_id} and is not in the store", operation.order_id


def i9_nothing_invented(e):
    for owner, rows in e.of_owner.items():
        wanted = e.wanted.get(owner)
        if not wanted:
            yield f"nobody ordered as {owner}", rows[0]["key"]
            continue
        if all(operation.best == "fail" for operation in wanted):
            yield f"all that {owner} sent was refused ({sorted({str(one.status) for one in wanted})}), and there is an order", rows[0]["key"]
        unkeyed = all(operation.function == "place" and not operation.key for operation in wanted)
        if len(rows) > (len(wanted) if unkeyed else 1):
            yield f"{len(wanted)} requests of {owner} made {len(rows)} orders", rows[0]["key"]
    for order_id in e.orders:
        shown, items = e.end_of(order_id), e.items_of(order_id)
        if shown and items is not None:
            lines = collections.Counter()
            for line in shown["items"]:
                lines[line["product_id"]] += line["quantity"]
            if lines != items:
                yield f"ordered {dict(items)}, the order has {dict(lines)}", order_id


def i10_idempotent(e):
    keys = collections.defaultdict(list)
    for operation in e.by["place"]:
        if operation.key:
            keys[operation.key].append(operation)
    for key, tries in keys.items():
        said = {(one.order_id, one.answer_hash) for one in tries if one.best == "ok" and not one.other}
        if len(said) > 1:
            yield f"the key {key} was answered with {len({order for order, _ in said})} orders, {len(said)} bodies", sorted(said)[0][0]
        for one in tries:
            if one.other and one.best == "ok":
                yield f"the key {key} was taken for another body", one.order_id


def i11_tracking(e):
    owners = collections.defaultdict(set)
    for order_id in e.orders:
        seen = {one.tracking_id for one in e.reads.get(order_id, [])} | {one["tracking_id"] for one in e.final.get(order_id, [])}
        seen.discard(None)
        if len(seen) > 1:
            yield f"its tracking id was {sorted(seen)}", order_id
        for one in seen:
            owners[one].add(order_id)
        if e.orders[order_id]["state"] in SHIPPED and e.final and not seen:
            yield "shipped without a tracking id", order_id
    for tracking, those in owners.items():
        if len(those) > 1:
            yield f"{len(those)} orders have the tracking id {tracking}", sorted(those)[0]


def i12_events(e):
    first = {}
    for record in e.records:
        name = record["headers"].get("ce_id")
        if name is None:
            continue
        here = (record["topic"], name)
        if here in first and (first[here]["key"], first[here]["value"]) != (record["key"], record["value"]):
            yield f"{record['topic']} {name} was written again with other bytes", None
        first.setdefault(here, record)
    for order_id, row in e.orders.items():
        names = collections.defaultdict(set)
        for record in e.records_of.get(order_id, []):
            names[record["topic"]].add(record["headers"].get("ce_id"))
        for topic in ONCE:
            if len(names[topic] - {None}) > 1:  # None: a foreign program's copy
                yield f"{topic} says different things: {sorted(map(str, names[topic]))}", order_id
        must = {"shipped": ["inventory.reserved", "payment.initiated", "payment.success", "order.shipped", "order.tracking.updated"],
                "cancelled": ["order.cancelled"], "refunded": ["order.cancelled", "payment.refunded"], "payment_failed": ["payment.failed"]}
        must_not = {"shipped": ["order.cancelled", "payment.failed"], "cancelled": ["order.shipped"], "refunded": ["order.shipped"],
                    "payment_failed": ["order.shipped"]}
        # Cancelled before its order.placed got into the log (the node died between the two): then nobody was asked for anything.
        never_asked = row["state"] == "cancelled" and not names["inventory.reserved"] and not names["inventory.failed"]
        if not e.meta.get("log_was_lost"):
            for topic in ([] if never_asked else ["order.placed"]) + must.get(row["state"], []):
                if not names[topic]:
                    yield f"{row['state']}, and no {topic} was ever written", order_id
        for topic in must_not.get(row["state"], []):
            if names[topic]:
                yield f"{row['state']}, and {topic} was written", order_id


def i13_notices(e):
    told = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in e.table("notification", "notices"):
        doc = json.loads(row["doc"])
        told[row["key"].split("/")[0]][doc["occasion"], doc["channel"]].append(doc["text"])
    for order_id, row in e.orders.items():
        for (occasion, _), texts in told[order_id].items():
            if len(texts) > 1:
                yield f"{occasion} was told {len(texts)} times", order_id
        by_occasion = {occasion: texts for (occasion, _), texts in told[order_id].items()}
        shown, wanted = e.end_of(order_id), None
        if row["state"] == "cancelled" and shown:
            wanted = ("inventory.failed", OUT_OF_STOCK) if shown["reason"] == "out_of_stock" else ("order.cancelled", None)
        elif row["state"] == "payment_failed":
            wanted = ("payment.failed", PAYMENT_FAILED)
        elif row["state"] in SHIPPED:
            wanted = ("order.shipped", None)
        if wanted and (wanted[0] not in by_occasion or (wanted[1] and by_occasion[wanted[0]] != [wanted[1]])):
            yield f"{row['state']}: the notice of {wanted[0]} is {by_occasion.get(wanted[0])}", order_id


def dead_places(e):
    """Where records lay that are in dead letters: {(group, topic, partition, offset)}."""
    out = set()
    for record in e.records:
        if record["topic"].endswith(".dlq"):
            headers = record["headers"]
            out.add((headers["dlq_group"], headers["dlq_topic"], int(headers["dlq_partition"]), int(headers["dlq_offset"])))
    return out


def i14_offset_after_durable(e):
    for death in e.deaths + [{"committed": e.offsets["committed"], "positions": None}]:
        if death["positions"] is None:
            continue
        for group, places in death["committed"].items():
            role = group.rsplit(".", 1)[1]
            for place, offset in places.items():
                durable = death["positions"].get(role, {}).get(place, 0)
                if offset > durable:
                    yield f"{group} had committed {place} up to {offset}, its store up to {durable}", None
    group, names = e.meta["prefix"] + ".order", e.meta["topics"]
    dead = dead_places(e)
    for record in e.records:
        if record["topic"] != "order.placed" or e.meta.get("log_was_lost"):
            continue
        committed = e.offsets["committed"].get(group, {}).get(f"order.placed/{record['partition']}", 0)
        if record["offset"] >= committed or (group, names["order.placed"], record["partition"], record["offset"]) in dead:
            continue
        try:
            order_id = json.loads(record["value"].encode("latin-1"))["order_id"]
        except (ValueError, KeyError, TypeError, AttributeError):
            order_id = None
        if order_id not in e.orders:
            yield f"order.placed[{record['partition']}]@{record['offset']} was read by {group} and is neither an order nor a dead letter", order_id


def i15_no_way_back(e):
    for order_id, reads in e.reads.items():
        ended = sorted(reads, key=lambda one: one.ended["t"])
        for later in reads:
            for one in ended:
                if one.ended["t"] >= later.begun["t"]:
                    break
                if one.version > later.version:
                    yield f"a client read version {one.version} and later {later.version}", order_id
                    break
    acknowledged = {}
    for operation in e.by["place"]:
        if operation.best == "ok":
            at = (operation.ended["t"], operation.ended["node"])
            acknowledged[operation.order_id] = min(acknowledged.get(operation.order_id, at), at)
    for one in e.by["read"]:
        if one.status == 404 and one.order_id in acknowledged:
            at, node = acknowledged[one.order_id]
            if one.begun["t"] > at + (0 if one.begun["node"] == node else 5):
                yield f"an acknowledged order was not found {one.begun['t'] - at:.3f} s later", one.order_id


def i16_one_writer(e):
    last = {}
    for sample in e.shards:
        here = (sample["role"], sample["partition"])
        now = (sample["epoch"], sample["sequence"])
        before = last.get(here)
        if before and (now[0] < before[0] or now[1] < before[1]):
            yield f"the shard {here[0]}/{here[1]} went back from epoch, sequence {before} to {now}", None
        last[here] = now
    for role in ("order", "inventory", "payment", "shipping", "notification"):
        for row in e.table(role, "shards"):
            if row["published"] > row["sequence"]:
                yield f"{role}/{row['partition']} has published {row['published']} of {row['sequence']}", None


def never_answered(e, order_id):
    """tok_never: the gateway never answers, so the refund of such an order is awaited for ever."""
    operation = e.operation_of(order_id)
    return operation is not None and operation.begun["body"].get("payment_token") == "tok_never"


def i17_everything_ends(e):
    for order_id, row in e.orders.items():
        shown = e.end_of(order_id)
        if never_answered(e, order_id):
            if row["state"] not in ENDS:
                yield f"a payment that is never answered: the order is {row['state']} long after its time", order_id
        elif row["open"] or row["state"] not in ENDS or (shown and shown["waiting_for"] is not None):
            yield f"the order is {row['state']}, open {row['open']}, waiting for {shown and shown['waiting_for']}", order_id
    for role in ("order", "inventory", "payment", "shipping", "notification"):
        positions = {f"{row['topic']}/{row['partition']}": row["next"] for row in e.table(role, "positions")}
        for place, end in e.offsets["ends"].items():
            topic = place.split("/")[0]
            if topic in READERS and role in READERS[topic] and positions.get(place, 0) < end:
                yield f"{role} has read {place} up to {positions.get(place, 0)} of {end}", None
        for row in e.table(role, "quarantine"):
            yield f"{role} has set aside {row['key']}: {row['reason']}", row["key"]
        for row in e.table(role, "parked"):
            yield f"{role} has a record parked behind {row['key']}", row["key"]


def i18_poison(e):
    dead, poison = collections.defaultdict(set), {}
    for record in e.records:
        if record["topic"].endswith(".dlq"):
            headers = record["headers"]
            place = (record["topic"][:-4], int(headers["dlq_partition"]), int(headers["dlq_offset"]))
            dead[place].add((headers["dlq_group"], record["key"], record["value"]))
    for one in e.by["poison"]:
        if one.best != "ok":
            continue
        place = (one.topic, one.partition, one.offset)
        poison[place] = one
        for role in READERS[one.topic]:
            if (f"{e.meta['prefix']}.{role}", one.begun["key"], one.begun["value"]) not in dead[place]:
                yield f"{one.topic}[{one.partition}]@{one.offset} {one.begun['value']!r} is no dead letter of {role}", None
    maybe = {(one.topic, one.begun["value"]) for one in e.by["poison"] if one.best == "info"}
    for place, letters in dead.items():
        for group, key, value in letters:
            if place not in poison and (place[0], value) not in maybe and not e.meta.get("log_was_lost"):
                yield f"{group} made a dead letter of {place[0]}[{place[1]}]@{place[2]}, which was no poison: {value!r}", None


def i20_no_secrets(e):
    for name, text in e.logs.items():
        for canary in e.meta.get("canaries", []):
            if canary in text:
                yield f"{name} has a customer's data in it: {canary}", None


def x1_as_the_token_says(e):
    """Not of the guide: an order ends as the gateway's token and the stock say, and nothing expires before its time."""
    asked = collections.Counter()
    for operations in e.wanted.values():
        asked.update(e.items(operations[0]))
    least = {product: bounds[0] for product, bounds in stocked_by_clients(e).items()}
    cancelled = {one.order_id for one in e.by["cancel"] if one.best != "fail"}
    for order_id, row in e.orders.items():
        shown, operation = e.end_of(order_id), e.operation_of(order_id)
        if not shown or not operation or row["open"]:
            continue
        token, end = operation.begun["body"].get("payment_token", "tok_ok"), (row["state"], shown["reason"])
        if end[0] in SHIPPED:
            if token in ("tok_declined", "tok_never"):
                yield f"shipped, although its payment is {token}", order_id
        elif end[0] == "payment_failed":
            if token != "tok_declined":
                yield f"payment failed, although its payment is {token}", order_id
        elif end[1] == "out_of_stock":
            if all(asked[product] <= least.get(product, 0) for product in e.items(operation)):
                yield "out of stock, although there was enough for everybody", order_id
        elif end[1] == "requested":
            if order_id not in cancelled:
                yield "cancelled as requested, and nobody requested it", order_id
        elif end[1] == "expired":
            times = {one["status"]: one["at"] for one in reversed(e.transitions.get(order_id, []))}
            since, limit = ("inventory_reserved", "payment_ttl") if "inventory_reserved" in times else ("pending", "inventory_ttl")
            if times["cancelled"] - times[since] < e.meta[limit] - 50:
                yield f"expired {times['cancelled'] - times[since]} ms after {since}", order_id
        else:
            yield f"ended {end}", order_id


ALL = [("I1", "available + reserved + sold = stocked, never below 0", i1_conservation),
       ("I2", "orders, ledger and Redis agree on what is sold and reserved", i2_ledgers_agree),
       ("I3", "no more is shipped than there was", i3_no_oversell),
       ("I4", "each history counts from 1 without a gap and is legal", i4_legal_histories),
       ("I5", "nobody is charged twice, nor given back more than was taken", i5_charged_once),
       ("I6", "who is shipped something has paid exactly it, nobody else has paid", i6_paid_is_shipped),
       ("I7", "stock is sold with what ships and goes back with all else", i7_stock_goes_back),
       ("I8", "no acknowledged order is lost", i8_nothing_lost),
       ("I9", "no order is invented, none made of a refused request", i9_nothing_invented),
       ("I10", "one Idempotency-Key is one order and one answer", i10_idempotent),
       ("I11", "tracking ids are stable and unique", i11_tracking),
       ("I12", "events written again are the same, none is missing or contradicts", i12_events),
       ("I13", "each end is told once, in the right words", i13_notices),
       ("I14", "no offset is committed before its record is durable", i14_offset_after_durable),
       ("I15", "no reader sees an order go back or vanish", i15_no_way_back),
       ("I16", "epochs and sequences of a shard never go back", i16_one_writer),
       ("I17", "everything ends and everything is read", i17_everything_ends),
       ("I18", "poison is a dead letter of each reader, and nothing else is", i18_poison),
       ("I20", "no customer's data is in a log", i20_no_secrets),
       ("X1", "an order ends as its payment and the stock say", x1_as_the_token_says)]


def violations(e, only=None):
    """[(invariant, sentence, order id or None)] of everything that contradicts."""
    return [(name, sentence, order_id) for name, _, check in ALL if not only or name in only for sentence, order_id in check(e)]
