"""The invariants of stock and money: what was taken, kept, sold and given back. See invariants.py."""
import collections

from evidence import ENDS

SHIPPED = {"shipped", "delivered"}


def i1_conservation(e):
    for sample in e.samples:
        if not sample["generation"]:
            continue  # being rebuilt; nobody is shown this
        for product, one in sample["products"].items():
            if one["available"] + one["reserved"] + one["sold"] != one["stocked"] or min(one.values()) < 0:
                yield f"{product} does not add up in Redis at {sample['wall']}: {one}", None
    for one in e.by["stock"]:
        for product in one.products or []:
            if product["available"] + product["reserved"] + product["sold"] != product["stocked"]:
                yield f"GET /v1/stock shows numbers that do not add up: {product}", None


def sums(e, statuses):
    out = collections.Counter()
    for order_id, row in e.orders.items():
        if row["state"] in statuses:
            out.update(e.items_of(order_id) or {})
    return out


def stocked_by_clients(e):
    """{product: (least, most)}: what was put in, as far as answers tell."""
    out = {}
    for one in e.by["put"]:
        if one.best == "ok":
            out[one.product] = [one.quantity, one.quantity]
    keys = collections.defaultdict(list)
    for one in e.by["adjust"]:
        keys[one.key].append(one)
    for tries in keys.values():
        one, outcomes = tries[0], {each.best for each in tries}
        if "ok" in outcomes:
            out[one.product][0] += one.delta
            out[one.product][1] += one.delta
        elif "info" in outcomes:
            out[one.product][0 if one.delta < 0 else 1] += one.delta
    return out


def i2_ledgers_agree(e):
    sold, held = sums(e, SHIPPED), collections.Counter()
    for key, row in e.reservations.items():
        if row["state"] == "reserved":
            held.update(e.items_of(key) or {})
    for product, (least, most) in stocked_by_clients(e).items():
        row = e.products.get(product)
        if row is None:
            yield f"{product} was stocked and is not in the ledger", None
            continue
        if not least <= row["stocked"] <= most:
            yield f"{product}: {row['stocked']} stocked, but clients put in {least}..{most}", None
        if row["sold"] != sold[product]:
            yield f"{product}: {row['sold']} sold in the ledger, {sold[product]} shipped in orders", None
        if row["reserved"] != held[product]:
            yield f"{product}: {row['reserved']} reserved in the ledger, its reservations hold {held[product]}", None
        there = e.redis.get("{%s}:stock:%s" % (e.meta["prefix"], product))
        want = {"available": row["stocked"] - row["reserved"] - row["sold"], "reserved": row["reserved"], "sold": row["sold"],
                "stocked": row["stocked"]}
        if there is None or {name: int(there.get(name, -1)) for name in want} != want:
            yield f"{product}: the ledger has {want}, Redis has {there}", None


def i3_no_oversell(e):
    sold = sums(e, SHIPPED)
    for product, (_, most) in stocked_by_clients(e).items():
        if sold[product] > most:
            yield f"{sold[product]} of {product} are shipped, there were never more than {most}", None


def money(e, order_id):
    taken = [one for one in e.ledger.get(order_id, []) if one["kind"] == "charge" and one["txn_id"]]
    back = [one for one in e.ledger.get(order_id, []) if one["kind"] == "refund" and one["txn_id"]]
    return taken, back


def i5_charged_once(e):
    for order_id in set(e.ledger) | set(e.orders):
        taken, back = money(e, order_id)
        if len(taken) > 1:
            yield f"charged {len(taken)} times", order_id
        if sum(one["amount"] for one in back) > sum(one["amount"] for one in taken):
            yield "more was given back than taken", order_id


def price_of(e, order_id):
    prices = {one.product: one.price_minor for one in e.by["put"] if one.best == "ok"}
    return sum(prices.get(product, 0) * count for product, count in (e.items_of(order_id) or {}).items())


def i6_paid_is_shipped(e):
    for order_id in e.ledger:
        taken, back = money(e, order_id)
        if order_id not in e.orders and sum(one["amount"] for one in taken) != sum(one["amount"] for one in back):
            yield "money was taken for an order that is not there", order_id
    for order_id, row in e.orders.items():
        taken, back = money(e, order_id)
        left = sum(one["amount"] for one in taken) - sum(one["amount"] for one in back)
        if row["state"] in SHIPPED:
            if left != price_of(e, order_id) or back or len(taken) != 1:
                yield f"{row['state']}; {price_of(e, order_id)} was to be paid, {left} was kept", order_id
            shown = e.end_of(order_id)
            if shown and taken and (shown["txn_id"], shown["amount_minor"]) != (taken[0]["txn_id"], taken[0]["amount"]):
                yield f"the order names {shown['txn_id']}, {shown['amount_minor']}; the gateway has {taken[0]}", order_id
        elif left != 0 and row["state"] in ENDS and not row["open"]:
            yield f"{row['state']}, and {left} was kept", order_id
        if row["state"] == "refunded" and not back:
            yield "refunded, and the gateway gave nothing back", order_id


def i7_stock_goes_back(e):
    allowed = {"shipped": {"sold"}, "delivered": {"sold"}, "payment_failed": {"released"},
               "cancelled": {"released", "failed", None}, "refunded": {"released"}}
    for order_id, row in e.orders.items():
        if row["open"] or row["state"] not in allowed:
            continue
        held = e.reservations.get(order_id)
        state = held["state"] if held else None
        if state not in allowed[row["state"]]:
            yield f"{row['state']}, and its reservation is {state}", order_id
        there = e.redis.get("{%s}:order:%s" % (e.meta["prefix"], order_id))
        if there is not None and there.split(" ")[0] not in {"sold": {"sold"}, "released": {"released"}, "failed": {"failed", "released"},
                                                              None: {"released", "failed"}}.get(state, ()):
            yield f"its reservation is {state} in the ledger and '{there}' in Redis", order_id
    for key, row in e.reservations.items():
        if row["state"] in ("reserved", "sold") and key not in e.orders:
            yield f"stock is {row['state']} for an order that is not there", key
