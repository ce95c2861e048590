"""What the end-to-end tests share: nodes and servers as processes, HTTP, Kafka from outside, and waiting.

A test is `def main(test)` run by `run(main)`. Everything it starts is ended by pid when it ends, however it ends.
"""
import ctypes
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

import confluent_kafka
import confluent_kafka.admin

PROGRAM = os.environ.get("CARTWRIGHT_PROGRAM") or str(pathlib.Path(__file__).resolve().parents[2] / "build" / "cartwright")

THE_NINE = ["order.placed", "inventory.reserved", "inventory.failed", "payment.initiated", "payment.success",
            "payment.failed", "order.shipped", "order.tracking.updated", "notification.send"]
OURS = ["order.cancel.requested", "order.cancelled", "order.delivered", "order.rerouted", "inventory.release.requested",
        "inventory.released", "order.status.requested", "payment.refund.requested", "payment.refunded",
        "payment.refund.failed"]
TOPICS = THE_NINE + OURS
ROLES = ["order", "inventory", "payment", "shipping", "notification"]
ENDS = {"shipped", "delivered", "cancelled", "payment_failed", "refunded"}
OUT_OF_STOCK = "Order cancelled due to insufficient stock."
PAYMENT_FAILED = "Payment failed."


class Failed(Exception):
    pass


def check(right, sentence, seen=None):
    """`sentence` says what has to hold; `seen` is shown when it does not."""
    if not right:
        raise Failed(f"it does not hold that {sentence}" + ("" if seen is None else f"\n  seen: {seen}"))


def equal(seen, wanted, sentence):
    check(seen == wanted, sentence, f"{seen!r}, wanted {wanted!r}")


def wait_until(condition, seconds, what, every=0.1):
    """Returns the first true value of `condition`; fails after `seconds`. `what` may be a function that tells more."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)


def step(text):
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


STARTED = time.monotonic()


def free_port():
    """Below the range of outgoing connections, so that it stays free while its server is down."""
    for _ in range(200):
        port = random.randrange(10000, 32000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise Failed("no free port found")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def clean_environment():
    names = re.compile(r"(CARTWRIGHT_(?!TEST_RUN)|TOPIC_)|"
                       r"(KAFKA_BROKER|REDIS_URL|DATABASE_URL|HTTP_LISTEN|ROLES|GROUP_PREFIX|FOREIGN_ROLES)$")
    return {name: value for name, value in os.environ.items() if not names.match(name)}


# --- processes ---


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """One child with a log of its own, which restarts append to."""

    def __init__(self, test, name, command, environment=None, directory=None):
        self.test, self.name, self.command = test, name, command
        self.environment = clean_environment() if environment is None else environment
        self.directory = directory or test.directory
        self.log = test.directory / f"{name}.log"
        self.child = None
        test.processes.append(self)

    def spawn(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=self.environment, cwd=self.directory, start_new_session=True,
                                          preexec_fn=die_with_parent)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def send(self, number):
        self.child.send_signal(number)

    def kill(self):
        """kill -9, and it is gone."""
        if self.child is not None:
            if self.child.poll() is None:
                self.child.kill()
            self.child.wait(30)

    def terminate(self, seconds=45):
        """SIGTERM; returns the exit code."""
        self.child.terminate()
        return self.wait(seconds)

    def wait(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} has not ended within {seconds} s\n{self.tail()}") from None

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=25):
        return f"the end of {self.name}'s log:\n" + "\n".join("  " + line[:300] for line in self.text().splitlines()[-lines:])


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return self.headers.get(name.lower())

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failed(f"an answer is no JSON: {self.status} {self.body[:300]!r}") from None

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Node(Process):
    """`cartwright node`, set by environment variables alone."""

    def __init__(self, test, name="node", broker=None, redis=None, database=None, prefix=None, topics=None, **settings):
        environment = clean_environment()
        self.prefix = prefix or test.prefix
        self.topic_names = test.topic_names if topics is None else topics
        self.data = test.directory / "data"
        self.data.mkdir(exist_ok=True)
        environment.update({variable_of(topic): self.topic_names[topic] for topic in TOPICS
                            if self.topic_names[topic] != topic})
        environment.update(KAFKA_BROKER=broker or test.broker, REDIS_URL=redis or test.redis_url,
                           DATABASE_URL=database or f"sqlite:{self.data}", HTTP_LISTEN="127.0.0.1:0",
                           GROUP_PREFIX=self.prefix)
        environment.update({key: str(value) for key, value in settings.items()})
        super().__init__(test, name, [PROGRAM, "node"], environment)
        self.port = None

    def start(self, ready=90):
        """Starts it and waits for the address, and until it is ready unless `ready` is None."""
        before = len(self.text())
        self.spawn()

        def listening():
            found = re.search(r"^listening on http://[^\s:]+:(\d+)\s*$", self.text()[before:], re.M)
            if not found and not self.alive():
                raise Failed(f"{self.name} ended at its start with {self.child.returncode}\n{self.tail()}")
            return found

        self.port = int(wait_until(listening, 30, lambda: f"{self.name} prints its address\n{self.tail()}", 0.02).group(1))
        if ready is not None:
            self.wait_ready(ready)
        return self

    def wait_ready(self, seconds=90):
        said = [None]

        def ready():
            if not self.alive():
                raise Failed(f"{self.name} ended with {self.child.returncode}\n{self.tail()}")
            said[0] = self.try_call("GET", "/readyz", limit=5)
            return said[0] is not None and said[0].status == 200

        wait_until(ready, seconds, lambda: f"{self.name} is ready; it says {said[0]}\n{self.tail()}", 0.1)

    def restart(self, ready=90):
        return self.start(ready)

    # -- HTTP

    def call(self, method, path, body=None, headers=None, media="application/json", limit=40):
        """One request on a connection of its own. A dict or a list is sent as JSON, bytes and text as they are."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        if body is not None and media is not None:
            headers.setdefault("Content-Type", media)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit)
        try:
            connection.request(method, path, body, headers)
            got = connection.getresponse()
            return Answer(got.status, {key.lower(): value for key, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def try_call(self, *arguments, **more):
        try:
            return self.call(*arguments, **more)
        except (OSError, http.client.HTTPException):
            return None

    def get(self, path, expect=200):
        answer = self.call("GET", path)
        check(answer.status == expect, f"GET {path} answers {expect}", answer)
        return answer.json()

    def place(self, product=None, quantity=1, user="u-1", items=None, **more):
        """Places an order; returns its id."""
        body = {"user_id": user, **more}
        body.update({"items": items} if items else {"product_id": product, "quantity": quantity})
        answer = self.call("POST", "/v1/orders", body)
        check(answer.status == 202, "an order that is right is answered 202", answer)
        return answer.json()["order_id"]

    def place_many(self, orders):
        """A batch; returns the ids in order."""
        lines = "".join(json.dumps(order) + "\n" for order in orders)
        answer = self.call("POST", "/v1/orders:batch", lines, media="application/x-ndjson")
        check(answer.status == 200, "a batch is answered 200", answer)
        said = [json.loads(line) for line in answer.body.splitlines()]
        check(len(said) == len(orders) and all(one["status"] == 202 for one in said), "each line of a batch is answered 202",
              [one for one in said if one["status"] != 202][:3])
        return [one["order_id"] for one in said]

    def stock_up(self, product, quantity, price=None, currency=None):
        body = {"quantity": quantity}
        if price is not None:
            body.update(price_minor=price, currency=currency or "EUR")
        answer = self.call("PUT", f"/v1/stock/{product}", body)
        check(answer.status in (200, 201), "stock can be set", answer)
        return answer.json()

    def order(self, order_id):
        return self.get(f"/v1/orders/{order_id}")

    def stock(self, product):
        return self.get(f"/v1/stock/{product}")

    def history(self, order_id):
        return self.get(f"/v1/orders/{order_id}/history")["items"]

    def notices(self, order_id):
        return self.get(f"/v1/orders/{order_id}/notifications")["items"]

    def charges(self, order_id):
        return self.get(f"/v1/orders/{order_id}/charges")["items"]

    def wait_status(self, order_id, status, seconds=40, settled=True):
        """Until the order has this status and, unless told otherwise, waits for nothing; returns the order."""
        last = [None]

        def there():
            answer = self.try_call("GET", f"/v1/orders/{order_id}")
            last[0] = answer
            if answer is None or answer.status != 200:
                return None
            order = answer.json()
            return order if order["status"] == status and (not settled or order["waiting_for"] is None) else None

        return wait_until(there, seconds, lambda: f"order {order_id} is {status}{' and settled' if settled else ''}; "
                                                  f"last answer {last[0]}\n{self.tail(12)}")

    def wait_ends(self, order_ids, seconds):
        """Until each of them has reached an end and waits for nothing; returns {id: order}."""
        seen, end = {}, time.monotonic() + seconds
        waiting = list(order_ids)
        while waiting:
            still = []
            for position, order_id in enumerate(waiting):
                answer = self.try_call("GET", f"/v1/orders/{order_id}")
                if answer is not None and answer.status == 200:
                    seen[order_id] = answer.json()
                    if seen[order_id]["status"] in ENDS and seen[order_id]["waiting_for"] is None:
                        continue
                still.append(order_id)
                if len(still) >= 20:
                    still += waiting[position + 1:]
                    break
            waiting = still
            if waiting and time.monotonic() > end:
                shown = [{key: seen.get(one, {}).get(key) for key in ("order_id", "status", "reason", "waiting_for", "waiting_until")}
                         | {"id": one} for one in waiting[:5]]
                raise Failed(f"{len(waiting)} of {len(order_ids)} orders have not ended within {seconds} s, the first: {shown}\n"
                             + self.tail())
            if waiting:
                time.sleep(0.1)
        return seen


def variable_of(topic):
    return "TOPIC_" + topic.upper().replace(".", "_")


class EmbeddedBroker(Process):
    def __init__(self, test, port=None, name="broker", partitions=4):
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        super().__init__(test, name, [PROGRAM, "broker", "--port", str(self.port)])

    def start(self):
        self.spawn()

        def up():
            check(self.alive(), "the embedded broker runs", self.tail())
            return accepts(self.port)

        wait_until(up, 30, lambda: f"the embedded broker listens\n{self.tail()}")
        return self


class RealKafka:
    """A real Kafka of its own, of any version that config/kafka knows; `login` is USER:PASSWORD that its clients need."""

    def __init__(self, test, version="4.1", name="own-kafka", login=None):
        self.name, self.version, self.login, self.port = name, version, login, free_port()
        self.address, self.data = f"127.0.0.1:{self.port}", test.directory / name
        self.script = str(pathlib.Path(__file__).resolve().parents[2] / "config" / "kafka" / "broker")
        test.processes.append(self)

    def call(self, *words, seconds=400):
        environment = dict(os.environ) | ({"KAFKA_SASL": self.login} if self.login else {})
        said = subprocess.run([self.script, *words], capture_output=True, text=True, timeout=seconds, env=environment)
        check(said.returncode == 0, f"config/kafka/broker {words[0]} works", said.stdout + said.stderr)
        return said.stdout.strip()

    def start(self):
        self.call("start", self.call("jars", self.version), str(self.data), str(self.port))
        return self

    def kill(self):
        self.call("kill", str(self.data))

    def tail(self, lines=25):
        log = self.data / "broker.log"
        return f"the end of {self.name}'s log:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else [])


class Redis(Process):
    def __init__(self, test, name="redis", port=None):
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.files = test.directory / name
        self.files.mkdir(exist_ok=True)
        super().__init__(test, name, ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                                      str(self.files), "--appendonly", "yes", "--save", ""])

    def start(self):
        self.spawn()
        wait_until(lambda: self.ask("PING") == b"+PONG\r\n", 20, lambda: f"Redis answers\n{self.tail()}", 0.05)
        return self

    def ask(self, *words):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as one:
                one.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
                return one.recv(4096)
        except OSError:
            return None

    def empty(self):
        """Stops it hard and removes what it had on disk."""
        self.kill()
        shutil.rmtree(self.files)
        self.files.mkdir()


# --- Kafka, from outside ---


def murmur2(data):
    """As the Java client has it."""
    mask, m, length = 0xFFFFFFFF, 0x5BD1E995, len(data)
    h = 0x9747B28C ^ length
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    rest = data[length - length % 4:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(order_id, partitions):
    return (murmur2(order_id.encode()) & 0x7FFFFFFF) % partitions


class Record:
    def __init__(self, topic, message):
        self.topic, self.partition, self.offset = topic, message.partition(), message.offset()
        self.key, self.value = message.key(), message.value()
        self.headers = {name: value for name, value in (message.headers() or [])}
        self.at = message.timestamp()[1]

    def json(self):
        return json.loads(self.value)

    def __repr__(self):
        return f"{self.topic}[{self.partition}]@{self.offset} {self.key!r} {self.value!r} {self.headers}"


class Kafka:
    """Topics by their names in the contract, whatever they are called on the broker."""

    def __init__(self, broker, names=None, **client):
        """client: what librdkafka needs besides, with _ for . (security_protocol=...)"""
        self.broker = broker
        self.client = {"bootstrap.servers": broker} | {name.replace("_", "."): value for name, value in client.items()}
        self.names = names or {topic: topic for topic in TOPICS}
        self.producers = {}

    def name_of(self, topic):
        return self.names[topic[:-4]] + ".dlq" if topic.endswith(".dlq") else self.names[topic]

    def make_topics(self, partitions=4):
        """As somebody else would who was there first."""
        admin = confluent_kafka.admin.AdminClient(self.client)
        new = [confluent_kafka.admin.NewTopic(self.names[topic], partitions, 1) for topic in TOPICS]
        for future in admin.create_topics(new).values():
            future.result(30)

    def partitions(self, topic):
        admin = confluent_kafka.admin.AdminClient(self.client)
        found = admin.list_topics(self.name_of(topic), timeout=15).topics[self.name_of(topic)]
        return len(found.partitions)

    def produce(self, topic, value, key="", headers=None, partitioner="murmur2_random", partition=None, at=0):
        """value: a dict, bytes or None. key "" takes the order_id of a dict; None sends no key. at: its time in ms; 0: now."""
        if key == "":
            key = value["order_id"] if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = json.dumps(value).encode()
        if partitioner not in self.producers:
            self.producers[partitioner] = confluent_kafka.Producer(
                self.client | {"partitioner": partitioner, "linger.ms": 1, "message.timeout.ms": 60000})
        producer, result = self.producers[partitioner], []
        more = {} if partition is None else {"partition": partition}
        producer.produce(self.name_of(topic), value, key, headers=headers, timestamp=at, on_delivery=lambda e, m: result.append((e, m)), **more)
        check(producer.flush(60) == 0, f"a record can be written to {topic}")
        check(result[0][0] is None, f"a record is accepted by {topic}", result[0][0])
        return result[0][1].partition(), result[0][1].offset()

    def produce_foreign(self, topic, value, **more):
        """As a librdkafka client does that nobody has configured: CRC32."""
        return self.produce(topic, value, partitioner="consistent_random", **more)

    def read(self, topics=None, seconds=30):
        """All records that are in the topics now."""
        topics = [topics] if isinstance(topics, str) else topics or TOPICS
        back = {self.name_of(topic): topic for topic in topics}
        consumer = confluent_kafka.Consumer({
            **self.client, "group.id": "e2e-reader-" + uuid.uuid4().hex, "enable.auto.commit": False,
            # The broker says that a partition has ended after waiting this long for more.
            "fetch.wait.max.ms": 10, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
        try:
            there = consumer.list_topics(timeout=15).topics
            places = [confluent_kafka.TopicPartition(name, partition, 0) for name in back if name in there
                      for partition in there[name].partitions]
            if not places:
                return []
            consumer.assign(places)
            ended, records, end = set(), [], time.monotonic() + seconds
            while len(ended) < len(places):
                check(time.monotonic() < end, f"all of {topics} can be read within {seconds} s")
                message = consumer.poll(0.5)
                if message is None:
                    continue
                if message.error():
                    if message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        ended.add((message.topic(), message.partition()))
                    continue
                records.append(Record(back[message.topic()], message))
            return records
        finally:
            consumer.close()

    def of_order(self, order_id, topics=None):
        """The records whose payload names this order, by their time."""
        found = []
        for record in self.read(topics):
            try:
                if record.json()["order_id"] == order_id:
                    found.append(record)
            except (ValueError, KeyError, TypeError):
                pass
        return sorted(found, key=lambda record: record.at)


# --- what holds at the end of everything ---


def check_histories(node, orders):
    for order_id, order in orders.items():
        versions = [one["version"] for one in node.history(order_id)]
        equal(versions, list(range(1, order["version"] + 1)), f"the history of {order_id} counts from 1 to its version without a gap")


def charged(items):
    return [one for one in items if one["kind"] == "charge" and one["txn_id"]]


def refunded(items):
    return [one for one in items if one["kind"] == "refund" and one["txn_id"]]


def check_money(node, orders):
    """Who has been shipped something has paid once; who has not has not, or has it back."""
    for order_id, order in orders.items():
        items = node.charges(order_id)
        taken, back = charged(items), refunded(items)
        if order["status"] in ("shipped", "delivered"):
            check(len(taken) == 1 and not back, f"the shipped order {order_id} was charged once and not refunded", items)
            equal(taken[0]["amount_minor"], order["amount_minor"], f"the charge of {order_id} is its amount")
            equal(taken[0]["txn_id"], order["txn_id"], f"the charge of {order_id} is the one that the order names")
            check(taken[0]["asked"] >= 1 and taken[0]["answered"] >= 1, f"the charge of {order_id} was asked for and answered", items)
        else:
            equal(len(taken), len(back), f"what was taken for {order_id} ({order['status']}) was given back")
            if order["status"] == "payment_failed":
                equal(len(taken), 0, f"nothing was taken for {order_id}, whose payment failed")


def quantities(orders, statuses):
    sums = {}
    for order in orders:
        if order["status"] in statuses:
            for line in order["items"]:
                sums[line["product_id"]] = sums.get(line["product_id"], 0) + line["quantity"]
    return sums


def check_stock(node, stocked, orders, seconds=40):
    """`stocked` is what was put in; what left is what was shipped, and nothing is reserved any more."""
    sold, last = quantities(orders, {"shipped", "delivered"}), {}

    def settled():
        for product in stocked:
            answer = node.try_call("GET", f"/v1/stock/{product}")
            last[product] = answer.json() if answer is not None and answer.status == 200 else answer
            if not isinstance(last[product], dict):
                return False
            one = last[product]
            check(one["available"] + one["reserved"] + one["sold"] == one["stocked"],
                  "available + reserved + sold = stocked at every instant", one)
        return all(one["reserved"] == 0 and one["sold"] == sold.get(product, 0) and
                   one["stocked"] == stocked[product] for product, one in last.items())

    wait_until(settled, seconds, lambda: f"the stock is what {sold} shipped of {stocked} leave; it is {last}")


# --- a test ---


class Test:
    def __init__(self, name):
        self.name = name
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"cartwright-{name}."))
        self.prefix = f"e2e-{name.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
        self.topic_names = {topic: f"{self.prefix}.{topic}" for topic in TOPICS}
        self.processes = []
        self._redis = None

    @property
    def broker(self):
        """The real Kafka of the run."""
        return os.environ.get("CARTWRIGHT_TEST_KAFKA") or self.missing("CARTWRIGHT_TEST_KAFKA")

    @property
    def redis_url(self):
        """The Redis of the run."""
        return f"redis://127.0.0.1:{os.environ.get('CARTWRIGHT_TEST_REDIS') or self.missing('CARTWRIGHT_TEST_REDIS')}"

    @property
    def postgres_url(self):
        return os.environ.get("CARTWRIGHT_TEST_POSTGRES") or self.missing("CARTWRIGHT_TEST_POSTGRES")

    @property
    def kafka(self):
        return Kafka(self.broker, self.topic_names)

    @staticmethod
    def missing(name):
        raise Failed(f"{name} is not set; tests/run starts the servers and sets it")

    def end(self):
        for process in reversed(self.processes):
            try:
                process.kill()
            except Exception as error:
                print(f"{process.name} could not be ended: {error}")


def run(main):
    name = pathlib.Path(sys.argv[0]).name
    test = Test(name)

    def stopped(number, _):
        raise Failed(f"the test was ended by signal {number}")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stopped)
    code = 1
    try:
        main(test)
        code = 0
    except Failed as failed:
        where = [frame for frame in traceback.extract_tb(failed.__traceback__) if frame.name != "check"][-1]
        ours = [frame for frame in traceback.extract_tb(failed.__traceback__) if frame.filename == sys.argv[0] or
                frame.filename.endswith("/" + name)]
        where = ours[-1] if ours else where
        print(f"FAILED at {pathlib.Path(where.filename).name}:{where.lineno}: {failed}")
    except Exception:
        traceback.print_exc()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if code:
            for process in test.processes:
                print(process.tail(15))
        test.end()
        if code == 0 or not os.environ.get("CARTWRIGHT_TEST_KEEP"):
            shutil.rmtree(test.directory, ignore_errors=True)
        else:
            print(f"kept: {test.directory}")
    step("passed" if code == 0 else "failed")
    sys.stdout.flush()
    os._exit(code)


def each(*parts):
    """Runs all the parts of a test, (function, arguments...), and fails at the end with what failed in any of them."""
    failed = []
    for function, *arguments in parts:
        step(function.__name__.replace("_", " "))
        try:
            function(*arguments)
        except Failed as error:
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.endswith("lib.py")]
            print(f"  FAILED {function.__name__}, line {frames[-1].lineno}: {error}", flush=True)
            failed.append(function.__name__)
    check(not failed, "every part of the test passes", failed)
