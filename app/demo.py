"""The demo: broker, Redis and one node on loopback, a small catalogue, and orders that go all the way.

app/demo installs and builds, then runs this. Standard library only.
"""

import argparse
import ctypes
import fcntl
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
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

CATALOGUE = [  # product, name, price in minor units
    ("oak-chair", "Oak chair", 8900),
    ("oak-table", "Oak table", 34900),
    ("desk-lamp", "Desk lamp", 4500),
    ("wool-rug", "Wool rug", 12900),
    ("bookcase", "Bookcase", 19900),
    ("tea-set", "Tea set", 3900),
    ("wall-clock", "Wall clock", 2750),
]
SOLD_OUT = ("first-edition", "First edition, sold out", 99900)

ENDS = {"shipped", "delivered", "cancelled", "payment_failed", "refunded"}
BATCH_FROM = 51       # so many orders go in by the batch call
BATCH_LINES = 2000    # well below the call's limit of 10,000


class DemoError(Exception):
    """Ends the demo with a message for the person who runs it."""


class TooLong(DemoError):
    """The time given was not enough."""


# --- processes ---


def end_with_parent():
    """In a child: a demo that is killed leaves nothing running."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Processes:
    """The children, ended in the opposite order of their start."""

    def __init__(self, logs):
        self.logs = logs
        self.running = []

    def start(self, name, command, environment, directory):
        log = open(self.log(name), "ab")
        with log:
            # A session of its own: Ctrl-C is for the demo, which ends the node before what the node needs.
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                     cwd=directory, start_new_session=True, preexec_fn=end_with_parent)
        self.running.append((name, child))
        return child

    def log(self, name):
        return self.logs / f"{name}.log"

    def check(self):
        for name, child in self.running:
            if child.poll() is not None:
                raise DemoError(f"the {name} ended with code {child.returncode}; the end of {self.log(name)}:\n"
                                + tail(self.log(name)))

    def stop(self):
        for name, child in reversed(self.running):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(40 if name == "node" else 10)  # a node may drain for 30 s
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self.running = []


def tail(path, lines=20):
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def free_port(wanted):
    """`wanted`, or another one below the range that the kernel gives to outgoing connections."""
    for port in [wanted] + random.sample(range(10000, 32000), 200):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
                trial.listen(1)
                return port
            except OSError:
                continue
    raise DemoError("no free port on 127.0.0.1")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# --- the node over HTTP ---


class Api:
    """One kept connection; calls return (status, body)."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def call(self, method, path, body=None, media="application/json"):
        headers = {}
        if body is not None:
            headers["Content-Type"] = media
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        for fresh in (self.connection is None, True):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connection = None
                # A kept connection may have been closed meanwhile. Only what changes nothing twice is said again.
                if fresh or method == "POST":
                    raise
        raise AssertionError("unreachable")

    def json(self, method, path, body=None, expect=(200,), **more):
        try:
            status, text = self.call(method, path, body, **more)
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(f"{method} {path}: no answer from the node: {error}") from error
        if status not in expect:
            raise DemoError(f"{method} {path}: {status} {text.decode(errors='replace')[:500]}")
        return json.loads(text)


# --- orders ---


def order_number(index):
    """What the order with this number asks for, and where it has to end."""
    if index % 10 == 1:
        product, quantity, token, end = SOLD_OUT[0], 1, None, "cancelled"
    elif index % 10 == 2:
        product, quantity, token, end = CATALOGUE[index % len(CATALOGUE)][0], 1, "tok_declined", "payment_failed"
    else:
        product, quantity, token, end = CATALOGUE[index % len(CATALOGUE)][0], 1 + index % 3, None, "shipped"
    order = {"product_id": product, "quantity": quantity, "user_id": f"user-{index % 50}"}
    if token:
        order["payment_token"] = token
    return order, end


def place(api, first, count, deadline):
    """Places orders and returns {order id: where it has to end}."""
    expected = {}
    numbers = range(first, first + count)
    if count < BATCH_FROM:
        for index in numbers:
            deadline.check("placing orders")
            order, end = order_number(index)
            expected[api.json("POST", "/v1/orders", order, expect=(202,))["order_id"]] = end
        return expected
    for start in range(first, first + count, BATCH_LINES):
        deadline.check("placing orders")
        chunk = [order_number(index) for index in numbers[start - first:start - first + BATCH_LINES]]
        lines = "".join(json.dumps(order) + "\n" for order, _ in chunk)
        try:
            status, text = api.call("POST", "/v1/orders:batch", lines, media="application/x-ndjson")
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(f"POST /v1/orders:batch: no answer from the node: {error}") from error
        answers = [json.loads(line) for line in text.splitlines()] if status == 200 else []
        if len(answers) != len(chunk) or any(answer["status"] != 202 for answer in answers):
            refused = [answer for answer in answers if answer["status"] != 202]
            raise DemoError(f"POST /v1/orders:batch: {status}, {len(answers)} of {len(chunk)} lines answered; "
                            f"{refused[0] if refused else text[:300]}")
        for answer, (_, end) in zip(answers, chunk):
            expected[answer["order_id"]] = end
    return expected


def ended(order):
    return order["status"] in ENDS and order["waiting_for"] is None


def follow(api, processes, expected, deadline, on_end=None):
    """Waits until every order has reached an end; returns {id: order as last seen}."""
    seen, waiting = {}, list(expected)
    while waiting:
        still = []
        for position, order_id in enumerate(waiting):
            order = api.json("GET", f"/v1/orders/{order_id}")
            seen[order_id] = order
            if not ended(order):
                still.append(order_id)
            elif on_end:
                on_end(order)
            # They were placed in this order: behind many that still wait, others wait too. Asking for all of them
            # would cost the node more than the orders do.
            if len(still) >= 50:
                still += waiting[position + 1:]
                break
        waiting = still
        if waiting:
            processes.check()
            if deadline.over():
                for order_id in waiting:
                    seen.setdefault(order_id, {"order_id": order_id, "status": "never asked for"})
                break
            time.sleep(0.1)
    return seen


def wrong(expected, seen):
    """The orders that are not where they have to be."""
    found = []
    for order_id, end in expected.items():
        order = seen[order_id]
        right = order["status"] == end and ended(order) and (end != "shipped" or order.get("tracking_id"))
        if not right:
            found.append(f"{order_id}: expected {end}, is {order['status']}, reason {order.get('reason')}, waiting for "
                         f"{order.get('waiting_for')} until {order.get('waiting_until')}, "
                         f"tracking {order.get('tracking_id')}")
    return found


class Deadline:
    def __init__(self, seconds):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def over(self):
        return time.monotonic() >= self.end

    def check(self, doing):
        if self.over():
            raise TooLong(f"not done in {self.seconds:g} s: {doing}")


# --- the demo ---


def clean_environment():
    """Without settings of the engine: the demo shows the defaults, whatever the shell has set."""
    names = re.compile(r"CARTWRIGHT_|TOPIC_|"
                       r"(KAFKA_BROKER|REDIS_URL|DATABASE_URL|HTTP_LISTEN|ROLES|GROUP_PREFIX|FOREIGN_ROLES)$")
    return {name: value for name, value in os.environ.items() if not names.match(name)}


def wait_until(what, ready, processes, deadline):
    while not ready():
        processes.check()
        deadline.check(what)
        time.sleep(0.05)


def start(processes, program, data, ports, deadline):
    environment = clean_environment()
    (data / "redis").mkdir(exist_ok=True)
    (data / "store").mkdir(exist_ok=True)
    processes.start("broker", [program, "broker", "--port", str(ports["kafka"])], environment, data)
    processes.start("redis", ["redis-server", "--bind", "127.0.0.1", "--port", str(ports["redis"]), "--dir",
                              str(data / "redis"), "--appendonly", "yes", "--save", ""], environment, data)
    wait_until("starting the broker", lambda: accepts(ports["kafka"]), processes, deadline)
    wait_until("starting Redis", lambda: accepts(ports["redis"]), processes, deadline)

    environment.update(KAFKA_BROKER=f"127.0.0.1:{ports['kafka']}", REDIS_URL=f"redis://127.0.0.1:{ports['redis']}",
                       DATABASE_URL=f"sqlite:{data / 'store'}", HTTP_LISTEN=f"127.0.0.1:{ports['http']}")
    # Its working directory is not the user's, where an .env may lie.
    processes.start("node", [program, "node"], environment, data)
    api, reasons = Api(ports["http"]), "it does not answer yet"

    def ready():
        nonlocal reasons
        try:
            status, text = api.call("GET", "/readyz")
        except (OSError, http.client.HTTPException):
            return False
        reasons = text.decode(errors="replace")[:500]
        return status == 200

    try:
        wait_until("waiting for the node to be ready", ready, processes, deadline)
    except TooLong as error:
        raise DemoError(f"{error}\n/readyz last said: {reasons}\nthe end of {processes.log('node')}:\n"
                        + tail(processes.log("node"))) from error
    return api


def seed(api, quantity):
    for product, name, price in CATALOGUE:
        api.json("PUT", f"/v1/stock/{product}", expect=(200, 201),
                 body={"quantity": quantity, "price_minor": price, "currency": "EUR", "name": name})
    product, name, price = SOLD_OUT
    api.json("PUT", f"/v1/stock/{product}", expect=(200, 201),
             body={"quantity": 0, "price_minor": price, "currency": "EUR", "name": name})


def show(order):
    item = order["items"][0]
    minor, currency = order["amount_minor"], order["currency"] or ""
    amount = "" if minor is None else f"{minor / 100:.2f} {currency}"
    told = order.get("tracking_id") or order.get("reason") or ""
    print(f"  {order['order_id']}  {item['quantity']} x {item['product_id']:14} {amount:>11}  "
          f"{order['status']:15} {told}", flush=True)


def where_to_look(ports, data, logs, order_id):
    base = f"http://127.0.0.1:{ports['http']}"
    post = f"curl -s {base}/v1/orders -H 'Content-Type: application/json' -d"
    print(f"""
Where to look next
  curl -s {base}/v1/actors | jq                  every shard, and how many order actors it has
  curl -s {base}/v1/orders/{order_id} | jq
  curl -s {base}/v1/orders/{order_id}/history | jq
  curl -s {base}/v1/orders/{order_id}/notifications | jq
  curl -s '{base}/v1/orders?status=cancelled&page_size=5' | jq
  curl -s {base}/v1/stock | jq
  curl -s {base}/metrics
Place one yourself, or one whose payment is declined
  {post} '{{"product_id":"oak-chair","quantity":2,"user_id":"me"}}'
  {post} '{{"product_id":"tea-set","quantity":1,"user_id":"me","payment_token":"tok_declined"}}'
Kafka is on 127.0.0.1:{ports['kafka']}, Redis on 127.0.0.1:{ports['redis']}, the data in {data}, the logs in {logs}.
""", flush=True)


def once(options, processes, data, ports):
    deadline = Deadline(options.timeout)
    api = start(processes, options.program, data, ports, deadline)
    seed(api, 1000 + 3 * options.orders)
    print(f"placing {options.orders} orders at http://127.0.0.1:{ports['http']}", flush=True)
    began = time.monotonic()
    expected = place(api, 0, options.orders, deadline)
    seen = follow(api, processes, expected, deadline, show if options.orders < BATCH_FROM else None)
    seconds = time.monotonic() - began
    problems = wrong(expected, seen)
    for problem in problems[:20]:
        print("not as expected: " + problem)
    if len(problems) > 20:
        print(f"... and {len(problems) - 20} more")
    counts = {status: sum(order["status"] == status for order in seen.values())
              for status in ("shipped", "cancelled", "payment_failed")}
    summary = json.dumps({"orders": options.orders, **counts, "seconds": round(seconds, 3)})
    return (1 if problems else 0), summary


def stay(options, processes, data, ports, stopped):
    deadline = Deadline(options.timeout)
    api = start(processes, options.program, data, ports, deadline)
    seed(api, 1_000_000)
    print("the first orders:", flush=True)
    expected = place(api, 0, options.orders, deadline)
    seen = follow(api, processes, expected, deadline, show)
    problems = wrong(expected, seen)
    if problems:
        raise DemoError("not as expected: " + "\n".join(problems))
    shipped = [order_id for order_id, order in seen.items() if order["status"] == "shipped"]
    where_to_look(ports, data, processes.logs, (shipped or list(seen))[0])
    print(f"now {options.rate:g} orders a second until Ctrl-C", flush=True)
    index = options.orders
    while not stopped.wait(1 / options.rate):
        processes.check()
        try:
            order_id, = place(api, index, 1, Deadline(60))
        except DemoError as error:  # a node under a person's experiments may refuse for a while
            print(f"  {error}", flush=True)
            if stopped.wait(2):
                break
            api.connection = None
            continue
        index += 1
        if index % 50 == 0:
            show(api.json("GET", f"/v1/orders/{order_id}"))
            print(f"  {index} orders so far", flush=True)


def arguments():
    def positive(kind):
        def read(text):
            value = kind(text)
            if not 0 < value <= 1_000_000:
                raise ValueError(text)
            return value
        read.__name__ = "positive number"
        return read

    parser = argparse.ArgumentParser(
        prog="app/demo", description="Starts the engine on its embedded defaults (all on 127.0.0.1), seeds a catalogue and "
        "places orders. Data is in .cartwright/demo, and in a fresh directory with --once.")
    parser.add_argument("--once", action="store_true", help="end when every order has reached its end; the last line is "
                        "JSON, the exit code 0 only if each ended as expected of it")
    parser.add_argument("--orders", type=positive(int), default=20, help="how many to place (default 20)")
    parser.add_argument("--rate", type=positive(float), default=3, help="orders a second afterwards, without --once (3)")
    parser.add_argument("--timeout", type=positive(float), default=300, help="seconds for it all, after the build (300)")
    parser.add_argument("--program", type=lambda path: str(pathlib.Path(path).resolve()),
                        default=str(ROOT / "build" / "cartwright"), help=argparse.SUPPRESS)
    parser.add_argument("--only-check-options", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = arguments()
    if options.only_check_options:
        return 0
    stopped = threading.Event()

    def interrupted(*_):
        stopped.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    signal.signal(signal.SIGINT, interrupted)

    if options.once:
        data = pathlib.Path(tempfile.mkdtemp(prefix="cartwright-demo."))
    else:
        data = ROOT / ".cartwright" / "demo"
        data.mkdir(parents=True, exist_ok=True)
        lock = open(data / "lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"app/demo: another demo is running on {data}", file=sys.stderr)
            return 1
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    ports = {"http": free_port(8080), "kafka": free_port(9092), "redis": free_port(6379)}
    processes, code, summary, began = Processes(logs), 1, None, time.monotonic()
    try:
        if options.once:
            code, summary = once(options, processes, data, ports)
        else:
            stay(options, processes, data, ports, stopped)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
        code = 1 if options.once else 0
    except DemoError as error:
        print(f"app/demo: {error}", file=sys.stderr)
    finally:
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.SIG_IGN)
        processes.stop()
    if options.once:
        if code == 0:
            shutil.rmtree(data, ignore_errors=True)
        else:
            print(f"data and logs are kept in {data}")
        print(summary or json.dumps({"orders": options.orders, "shipped": 0, "cancelled": 0, "payment_failed": 0,
                                     "seconds": round(time.monotonic() - began, 3)}))
    return code


if __name__ == "__main__":
    sys.exit(main())
