"""The main flow, the same on every broker and every store."""
import uuid

import lib
from lib import check, equal, step, wait_until

PRICE = 1250


def fields(record, **wanted):
    """The payload has at least these fields, with these values where one is given."""
    payload = record.json()
    for name, value in wanted.items():
        check(name in payload, f"{record.topic} has the field {name}", record)
        if value is not ...:
            equal(payload[name], value, f"{record.topic} says what is right in {name}")


def main_flow(node, kafka):
    node.stock_up("chair", 10, PRICE)
    node.stock_up("lamp", 3, 900)
    node.stock_up("rare", 0, 100)
    shipped = shipped_order(node)
    messages_of_a_shipped_order(node, kafka, shipped)
    out_of_stock(node, kafka)
    declined(node, kafka)
    several_lines(node)
    from_kafka(node, kafka)


def shipped_order(node):
    step("an order over HTTP reaches shipped")
    order_id = node.place("chair", 2, "user-7")
    equal(node.call("GET", f"/v1/orders/{order_id}").status, 200, "the node that said 202 knows the order at once")
    order = node.wait_status(order_id, "shipped")
    check(order["tracking_id"], "a shipped order has a tracking id", order)
    check(order["txn_id"], "a shipped order has a transaction id", order)
    equal(order["amount_minor"], 2 * PRICE, "the amount is quantity times price")
    equal(order["currency"], "EUR", "the currency is the product's")
    equal(order["reason"], None, "a shipped order has no reason")
    equal(order["items"], [{"product_id": "chair", "quantity": 2}], "the lines are what was ordered")
    equal(order["user_id"], "user-7", "the user is who ordered")
    history = node.history(order_id)
    equal([one["version"] for one in history], list(range(1, order["version"] + 1)), "versions count from 1 without a gap")
    statuses = [one["status"] for one in history]
    for before, after in zip(["pending", "inventory_reserved", "paid"], ["inventory_reserved", "paid", "shipped"]):
        check(before in statuses and after in statuses and statuses.index(before) < statuses.index(after),
              f"{before} comes before {after}", statuses)
    lib.check_stock(node, {"chair": 10, "lamp": 3, "rare": 0}, [order])
    lib.check_money(node, {order_id: order})
    return order


def messages_of_a_shipped_order(node, kafka, order):
    step("the topics show each message of it once, in order, where it belongs")
    order_id, amount = order["order_id"], 2 * PRICE
    path = ["order.placed", "inventory.reserved", "payment.initiated", "payment.success", "order.shipped",
            "order.tracking.updated"]
    records = wait_until(lambda: (lambda found: found if {r.topic for r in found} >= set(path) else None)(
        kafka.of_order(order_id)), 20, lambda: f"the six messages are in the topics: {kafka.of_order(order_id)}")
    partitions = kafka.partitions("order.placed")
    for topic in path:
        found = [record for record in records if record.topic == topic]
        equal(len(found), 1, f"there is one {topic} of one order")
    for record in records:
        equal(record.key, order_id.encode(), f"the key of {record.topic} is the order's id")
        equal(record.partition, lib.partition_of(order_id, partitions), f"{record.topic} lies where murmur2 puts it")
    by_topic = {record.topic: record for record in records}
    times = [by_topic[topic].at for topic in path]
    check(times == sorted(times), "each message is written after the one that caused it", list(zip(path, times)))
    fields(by_topic["order.placed"], order_id=order_id, product_id="chair", quantity=2, user_id="user-7")
    fields(by_topic["inventory.reserved"], order_id=order_id, product_id="chair", quantity=2, amount_minor=amount, currency="EUR")
    fields(by_topic["payment.initiated"], order_id=order_id, amount=amount, user_id="user-7")
    fields(by_topic["payment.success"], order_id=order_id, txn_id=order["txn_id"], amount=amount)
    fields(by_topic["order.shipped"], order_id=order_id, user_id="user-7")
    fields(by_topic["order.tracking.updated"], order_id=order_id, tracking_id=order["tracking_id"])
    other = {record.topic for record in records} - set(path) - {"notification.send"}
    equal(other, set(), "nothing else is written about an order without trouble")
    for record in records:
        for header in ("ce_id", "ce_type", "ce_source", "ce_time"):
            check(header in record.headers, f"{record.topic} has the CloudEvents header {header}", record.headers)


def one_notice(node, kafka, order_id, occasion, message):
    found = wait_until(lambda: [one for one in node.notices(order_id) if one["occasion"] == occasion] or None, 20,
                       lambda: f"there is a notice of {occasion}: {node.notices(order_id)}")
    equal(len(found), 1, f"{occasion} is told once")
    equal(found[0]["text"], message, f"the notice of {occasion} says exactly this")
    sent = wait_until(lambda: [record for record in kafka.of_order(order_id, "notification.send")
                               if record.json()["message"] == message] or None, 20, f"notification.send carries '{message}'")
    fields(sent[0], order_id=order_id, message=message, occasion=occasion)


def out_of_stock(node, kafka):
    step("out of stock is cancelled, and told")
    before = node.stock("chair")
    too_many, unknown, none_left = node.place("chair", 1000), node.place("nobody-knows", 1), node.place("rare", 1)
    for order_id in (too_many, unknown, none_left):
        order = node.wait_status(order_id, "cancelled")
        equal(order["reason"], "out_of_stock", "the reason is out_of_stock")
        one_notice(node, kafka, order_id, "inventory.failed", lib.OUT_OF_STOCK)
        texts = [one["text"] for one in node.notices(order_id)]
        equal(texts.count(lib.OUT_OF_STOCK), 1, "the one occasion gives one notice")
        equal(lib.charged(node.charges(order_id)), [], "nothing is charged")
    equal(node.stock("chair"), before, "the stock is what it was")
    fields([r for r in kafka.of_order(too_many, "inventory.failed")][0], order_id=too_many, product_id="chair", quantity=1000)


def declined(node, kafka):
    step("a declined payment gives the stock back, and is told")
    before = node.stock("chair")
    order_id = node.place("chair", 3, payment_token="tok_declined")
    node.wait_status(order_id, "payment_failed")
    equal(node.stock("chair"), before, "when a failed payment waits for nothing any more, its stock is back")
    one_notice(node, kafka, order_id, "payment.failed", lib.PAYMENT_FAILED)
    equal(lib.charged(node.charges(order_id)), [], "nothing was taken")
    equal(kafka.of_order(order_id, "order.shipped"), [], "it is not shipped")
    equal(len(kafka.of_order(order_id, "payment.failed")), 1, "payment says so once")


def several_lines(node):
    step("several lines: all or nothing")
    chair, lamp = node.stock("chair"), node.stock("lamp")
    both = node.place(items=[{"product_id": "chair", "quantity": 1}, {"product_id": "lamp", "quantity": 2}])
    order = node.wait_status(both, "shipped")
    equal(order["amount_minor"], PRICE + 2 * 900, "the amount is the sum of the lines")
    too_much = node.place(items=[{"product_id": "chair", "quantity": 1}, {"product_id": "lamp", "quantity": 2}])
    equal(node.wait_status(too_much, "cancelled")["reason"], "out_of_stock", "one line without stock cancels the order")
    together = node.place(items=[{"product_id": "lamp", "quantity": 1}, {"product_id": "lamp", "quantity": 1}])
    equal(node.wait_status(together, "cancelled")["reason"], "out_of_stock", "two lines of one product count together")

    def right():
        now = (node.stock("chair"), node.stock("lamp"))
        return all(one["reserved"] == 0 for one in now) and now
    now = wait_until(right, 20, "nothing is reserved")
    equal(now[0]["available"], chair["available"] - 1, "one chair has gone")
    equal(now[1]["available"], lamp["available"] - 2, "two lamps have gone")
    for one in now:
        equal(one["available"] + one["reserved"] + one["sold"], one["stocked"], "the numbers of a product add up")


def from_kafka(node, kafka):
    step("orders placed by bare Kafka records reach shipped")
    before = node.stock("chair")
    partitions, ids, places = kafka.partitions("order.placed"), [], set()
    for _ in range(6):  # one at least lies where murmur2 would not have put it
        order_id = "bare:" + uuid.uuid4().hex
        place, _ = kafka.produce_foreign("order.placed", {"order_id": order_id, "product_id": "chair", "quantity": 1, "user_id": "u"})
        places.add(place == lib.partition_of(order_id, partitions))
        ids.append(order_id)
        if len(ids) >= 2 and False in places:
            break
    # An order read from Kafka is known only when it has been read.
    for order_id in ids:
        order = node.wait_status(order_id, "shipped")
        check(order["tracking_id"], "it has a tracking id", order)
        equal(order["amount_minor"], PRICE, "it has the catalogue's price")
    if False in places:
        check(kafka.read("order.rerouted"), "a record that lies elsewhere is forwarded to order.rerouted")
    wait_until(lambda: node.stock("chair")["available"] == before["available"] - len(ids) and
               node.stock("chair")["reserved"] == 0, 20, lambda: f"{len(ids)} chairs less than {before}: {node.stock('chair')}")
