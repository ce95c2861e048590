"""What was seen from outside in one run, read from the files that collect, sample and the clients wrote.

    meta.json        what the run was: topics by their contract names, group prefix, products, limits
    history.jsonl    what clients did: one line when an operation is begun, one when it has ended (see history.py)
    topics.jsonl     every record of every topic and dead-letter topic; bytes as latin-1 text
    offsets.json     committed offsets of the groups, and where the topics end
    store/ROLE.TABLE.jsonl    the tables of each role's database
    gateway.jsonl    the gateway's own ledger
    redis.jsonl      every key of the group's prefix
    samples.jsonl    all products of Redis, about 20 times a second, each line one atomic read
    shards.jsonl     each role's rows of its shards, some times a second
    deaths/*.json    offsets of the groups and of the stores while no node lived
    faults.jsonl     what was done to the system, and when
    logs/*           what the nodes logged
"""
import collections
import json
import pathlib

ENDS = {"shipped", "delivered", "cancelled", "payment_failed", "refunded"}


def lines(path):
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class Operation:
    """One thing that a client did. best: ok, fail (definitely not done), or info (nobody knows)."""

    def __init__(self, begun):
        self.begun, self.ended = begun, None
        self.function, self.name = begun["f"], begun.get("name")

    @property
    def best(self):
        return self.ended["type"] if self.ended else "info"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        for line in (self.ended, self.begun):
            if line is not None and name in line:
                return line[name]
        return None


class Evidence:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        at = self.directory
        self.meta = json.loads((at / "meta.json").read_text())
        self.history = lines(at / "history.jsonl")
        self.records = lines(at / "topics.jsonl")
        self.offsets = json.loads((at / "offsets.json").read_text())
        self.store = {path.stem: lines(path) for path in sorted((at / "store").glob("*.jsonl"))}
        self.gateway = lines(at / "gateway.jsonl")
        self.redis = {line["key"]: line["value"] for line in lines(at / "redis.jsonl")}
        self.samples = lines(at / "samples.jsonl")
        self.shards = lines(at / "shards.jsonl")
        self.deaths = [json.loads(path.read_text()) for path in sorted((at / "deaths").glob("*.json"))]
        self.faults = lines(at / "faults.jsonl")
        self.logs = {path.name: path.read_text(errors="replace") for path in sorted((at / "logs").glob("*"))}
        self.fold()

    def fold(self):
        """What the checks look things up in; again after a change of what was read."""
        self.operations = []
        open_operations = {}
        for line in self.history:
            if line["type"] == "invoke":
                open_operations[line["op"]] = Operation(line)
                self.operations.append(open_operations[line["op"]])
            else:
                open_operations[line["op"]].ended = line
        self.by = collections.defaultdict(list)
        for operation in self.operations:
            self.by[operation.function].append(operation)
        # What a client wanted as one order has one name, whatever was sent for it and however often.
        self.wanted = collections.defaultdict(list)
        for operation in self.by["place"] + self.by["bare"]:
            self.wanted[operation.name].append(operation)
        self.orders = {row["key"]: row for row in self.table("order", "orders") if row["state"] != "unknown"}
        self.of_owner = collections.defaultdict(list)
        for row in self.orders.values():
            self.of_owner[row["owner"]].append(row)
        self.transitions = self.grouped(self.table("order", "transitions"), "order_id")
        self.ledger = self.grouped(self.gateway, "order_id")
        self.reservations = {row["key"]: row for row in self.table("inventory", "reservations")}
        self.products = {row["product_id"]: row for row in self.table("inventory", "products")}
        self.reads = self.grouped([one for one in self.by["read"] if one.best == "ok"], "order_id")
        self.final = {}
        for one in self.by["final"]:
            for order in one.orders or []:
                self.final.setdefault(order["order_id"], []).append(order)
        self.records_of = collections.defaultdict(list)
        for record in self.records:
            try:
                self.records_of[json.loads(record["value"].encode("latin-1"))["order_id"]].append(record)
            except (ValueError, KeyError, TypeError, AttributeError):
                pass

    def table(self, role, name):
        return self.store.get(f"{role}.{name}", [])

    @staticmethod
    def grouped(rows, by):
        groups = collections.defaultdict(list)
        for row in rows:
            groups[getattr(row, by) if isinstance(row, Operation) else row[by]].append(row)
        return groups

    def operation_of(self, order_id):
        """The operation that wanted this order, or None."""
        row = self.orders.get(order_id)
        wanted = self.wanted.get(row["owner"]) if row else None
        return wanted[0] if wanted else None

    def items_of(self, order_id):
        """{product: quantity} as the client wanted it, or None."""
        operation = self.operation_of(order_id)
        return operation and self.items(operation)

    @staticmethod
    def items(operation):
        sums = collections.Counter()
        body = operation.begun["body"]
        for line in body.get("items") or [body]:
            sums[line["product_id"]] += line["quantity"]
        return sums

    def end_of(self, order_id):
        """What a client is told in the end: the last final read of the order."""
        return (self.final.get(order_id) or [None])[-1]

    def timeline(self, order_id):
        """Everything that is known of one order from all ledgers, by the wall clock; faults between."""
        row, rows = self.orders.get(order_id), []
        names = {row["owner"]} if row else set()
        for line in self.history:
            if line.get("order_id") == order_id or (line.get("name") and line["name"] in names):
                shown = {key: value for key, value in line.items() if key not in ("t", "wall", "orders")}
                rows.append((line["wall"], "client  " + json.dumps(shown)))
        for one in self.transitions.get(order_id, []):
            rows.append((one["at"], f"store   version {one['version']} {one['status']} by {one['event']}"))
        for record in self.records_of.get(order_id, []):
            rows.append((record["at"], f"record  {record['topic']}[{record['partition']}]@{record['offset']} {record['value']} "
                                       f"{record['headers'].get('ce_id', '')}"))
        for fault in self.faults:
            rows.append((fault["wall"], f"FAULT   {fault['what']}"))
        rows.sort(key=lambda one: one[0])
        begin = min((at for at, text in rows if not text.startswith("FAULT")), default=0)
        text = [f"    {(at - begin) / 1000:+9.3f} s  {what}" for at, what in rows if at >= begin - 5000]
        text += [f"    gateway   {json.dumps(one)}" for one in self.ledger.get(order_id, [])]
        if row:
            text.append(f"    order     {json.dumps({key: row[key] for key in ('state', 'version', 'open', 'partition', 'owner')})}")
        if order_id in self.reservations:
            text.append(f"    stock     {self.reservations[order_id]['doc']}")
        return "\n".join(text)
