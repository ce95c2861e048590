"""The outside of real ports as small servers that misbehave: a payment gateway, a carrier, a mail server, a webhook.

Each keeps a ledger of its own, which the test compares with what the engine says. What a question meets with is told by
the order itself: its payment_token, its metadata, its customer's address.
"""
import base64
import collections
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import socket
import socketserver
import threading
import time
import urllib.parse

SECRET = "whsec_e2e_0123456789abcdef"


def signature(body, secret=SECRET, at=None):
    t = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), t.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={t},v1={mac}"


class Server:
    """A threading HTTP server on a port that it keeps over `stop` and `start`. `tls`: an ssl.SSLContext, for https."""

    def __init__(self, tls=None):
        self.tls = tls
        self.lock = threading.Lock()
        self.port, self.server, self.open = 0, None, set()
        self.requests = []  # (method, path, headers, body as an object), in the order they came
        self.start()

    def start(self):
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with outside.lock:
                    outside.open.add(self.connection)

            def finish(self):
                with outside.lock:
                    outside.open.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def do_POST(self):
                self.take()

            def do_GET(self):
                self.take()

            def take(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    read = json.loads(body) if body else None
                except ValueError:
                    read = None
                with outside.lock:
                    outside.requests.append((self.command, self.path, dict(self.headers), read))
                outside.handle(self, read, body)

            def say(self, status, body=b"", **headers):
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def hang_up(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_):
                pass

        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

            def handle_error(self, *_):  # clients that have hung up
                pass

        self.server = Threads(("127.0.0.1", self.port), Handler)
        if self.tls:  # the handshake is the connection's own business, in its thread
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for one in self.open:  # those that are kept alive
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


class Keyed(Server):
    """What gateway and carrier share: one effect for each Idempotency-Key, however often it is asked for."""

    def __init__(self, tls=None):
        self.effects = {}                      # key -> what was done
        self.asked = collections.Counter()     # key -> how often
        self.posted = collections.defaultdict(list)  # key -> when
        self.busy, self.overlaps = set(), []
        super().__init__(tls)

    def take_key(self, handler, body):
        """The key, and how often it has been asked for; None after an answer to a question that is wrong."""
        key = handler.headers.get("Idempotency-Key")
        if not key or body is None or body.get("key") != key or handler.headers.get("Authorization") != "Bearer sk_test":
            handler.say(400, {"reason": "no key, or no token"})
            return None, 0
        with self.lock:
            if key in self.busy:
                self.overlaps.append(key)
            self.busy.add(key)
            self.asked[key] += 1
            self.posted[key].append(time.monotonic())
            return key, self.asked[key]

    def done(self, key):
        with self.lock:
            self.busy.discard(key)


class Gateway(Keyed):
    """Manners by payment_token; all but `declined`, `blank` and `later` take the money the first time they are asked."""

    def __init__(self, tls=None):
        self.silent = True  # tok_mute: takes the money and hangs up, until this is False
        super().__init__(tls)

    def charges(self, order):
        with self.lock:
            return [one for one in self.effects.values() if one["order_id"] == order and one["kind"] == "charge"]

    def refunds(self, order):
        with self.lock:
            return [one for one in self.effects.values() if one["order_id"] == order and one["kind"] == "refund"]

    def describe(self, one):
        return {"status": "succeeded", "txn_id": one["txn_id"], "amount": one["amount"], "order_id": one["order_id"]}

    def book(self, key, body, kind):
        with self.lock:
            return self.effects.setdefault(key, {
                "key": key, "kind": kind, "order_id": body["order_id"], "amount": body["amount"],
                "txn_id": body.get("txn_id") or "pay_" + hashlib.sha256(key.encode()).hexdigest()[:20]})

    def handle(self, handler, body, _):
        if handler.command == "GET":
            key = urllib.parse.unquote(handler.path.rsplit("/", 1)[1])
            with self.lock:
                one = self.effects.get(key)
            return handler.say(200, self.describe(one)) if one else handler.say(404, {"reason": "no such key"})
        key, times = self.take_key(handler, body)
        if key is None:
            return None
        try:
            kind = "charge" if handler.path == "/charges" else "refund"
            manner = (body.get("payment_token") or "ok") if kind == "charge" else "ok"
            return getattr(self, manner)(handler, key, body, kind, times)
        finally:
            self.done(key)

    def ok(self, handler, key, body, kind, times):
        handler.say(200, self.describe(self.book(key, body, kind)))

    def declined(self, handler, key, body, kind, times):
        handler.say(402, {"reason": "insufficient_funds"})

    def soft_declined(self, handler, key, body, kind, times):
        handler.say(200, {"status": "declined", "reason": "stolen_card"})

    def slow(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        if times == 1:
            time.sleep(1.5)  # longer than payment.timeout: the charge is made, its answer is lost
        handler.say(200, self.describe(one))

    def closing(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        handler.hang_up() if times <= 2 else handler.say(200, self.describe(one))

    def garbage(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        answers = [b"<html>wait</html>", b'{"status":"succeeded"}', b'{"status":', b"x" * 200_000]
        handler.say(200, answers[times - 1] if times <= len(answers) else self.describe(one))

    def half(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        if times > 1:
            return handler.say(200, self.describe(one))
        handler.send_response(200)
        handler.send_header("Content-Length", "500")
        handler.end_headers()
        handler.wfile.write(b'{"status":"succ')
        handler.wfile.flush()
        return handler.hang_up()

    def fails_once(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        handler.say(500, {"reason": "oops"}) if times == 1 else handler.say(200, self.describe(one))

    def busy_once(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        handler.say(409, {"reason": "in progress"}) if times == 1 else handler.say(200, self.describe(one))

    def limited(self, handler, key, body, kind, times):
        if times == 1:
            return handler.say(429, {"reason": "slow down"}, Retry_After="1")
        return handler.say(200, self.describe(self.book(key, body, kind)))

    def locked_out(self, handler, key, body, kind, times):
        handler.say(401) if times <= 2 else handler.say(200, self.describe(self.book(key, body, kind)))

    def later(self, handler, key, body, kind, times):
        handler.say(202, {"status": "pending"})

    def mute(self, handler, key, body, kind, times):
        one = self.book(key, body, kind)
        handler.hang_up() if self.silent else handler.say(200, self.describe(one))

    def blank(self, handler, key, body, kind, times):
        handler.hang_up()


class Carrier(Keyed):
    """Manners by metadata.carrier."""

    def parcels(self, order):
        with self.lock:
            return [one for one in self.effects.values() if one["order_id"] == order]

    def handle(self, handler, body, _):
        key, times = self.take_key(handler, body)
        if key is None:
            return None
        try:
            manner = (body.get("metadata") or {}).get("carrier")
            if manner == "later":
                return handler.say(202, {})
            if manner == "refuses" and key.endswith("/1"):
                return handler.say(422, {"reason": "no such street"})
            with self.lock:
                one = self.effects.setdefault(key, {
                    "key": key, "order_id": body["order_id"], "ship_to": body.get("ship_to"),
                    "tracking_id": "TRK" + hashlib.sha256(key.encode()).hexdigest()[:12]})
            if manner == "closing" and times == 1:
                return handler.hang_up()
            if manner == "slow" and times == 1:
                time.sleep(1.5)
            return handler.say(201, {"tracking_id": one["tracking_id"]})
        finally:
            self.done(key)


class Webhook(Server):
    """Takes notices for sms and push; a phone number that ends in 500 fails the first time, one in 400 always."""

    def __init__(self, tls=None):
        self.times = collections.Counter()
        self.messages = []
        super().__init__(tls)

    def handle(self, handler, body, raw):
        key = handler.headers.get("Idempotency-Key")
        given = handler.headers.get("Cartwright-Signature") or ""
        t = given.partition(",")[0].removeprefix("t=")
        if not t or signature(raw, at=int(t)) != given or body.get("key") != key:
            return handler.say(401)
        with self.lock:
            self.times[key] += 1
            times = self.times[key]
        if body["to"].endswith("400"):
            return handler.say(422, {"reason": "no such number"})
        if body["to"].endswith("500") and times == 1:
            return handler.say(503)
        with self.lock:
            self.messages.append(body)
        return handler.say(202)


class MailServer:
    """SMTP without extensions but, with `tls`, STARTTLS, and behind it AUTH PLAIN. What a letter meets with is told by the recipient's name: `later` 451 the first time,
    `refused` 550, `drops` takes the letter and hangs up before it says so, the first time."""

    def __init__(self, tls=None):
        self.lock = threading.Lock()
        self.letters = []  # (recipient, message)
        self.logins = set()  # (encrypted, what AUTH PLAIN said)
        self.times = collections.Counter()
        outside = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line):
                self.wfile.write(line.encode() + b"\r\n")
                self.wfile.flush()

            def handle(self):
                try:
                    self.serve()
                except OSError:
                    pass

            def serve(self):
                self.say("220 mail.test")
                recipient, encrypted = "", False
                while line := self.rfile.readline().decode().strip():
                    verb = line.upper()
                    if verb.startswith("EHLO") and tls:
                        self.say("250-mail.test\r\n250 " + ("AUTH PLAIN" if encrypted else "STARTTLS"))
                    elif verb.startswith("EHLO"):
                        self.say("250 mail.test")
                    elif verb == "STARTTLS" and tls and not encrypted:
                        self.say("220 go on")
                        self.connection = tls.wrap_socket(self.connection, server_side=True)
                        self.rfile, self.wfile, encrypted = self.connection.makefile("rb"), self.connection.makefile("wb"), True
                    elif verb == "AUTH PLAIN":
                        self.say("334 ")
                        said = base64.b64decode(self.rfile.readline())
                        with outside.lock:
                            outside.logins.add((encrypted, said))
                        self.say("235 welcome")
                    elif verb.startswith("RCPT"):
                        recipient = line[line.index("<") + 1:line.index(">")]
                        name = recipient.split("@")[0]
                        with outside.lock:
                            outside.times[recipient] += 1
                            times = outside.times[recipient]
                        if name == "refused":
                            self.say("550 no such user")
                        elif name == "later" and times == 1:
                            self.say("451 try again")
                        else:
                            self.say("250 ok")
                    elif verb == "DATA":
                        self.say("354 go on")
                        text = b""
                        while (more := self.rfile.readline()) not in (b".\r\n", b""):
                            text += more[1:] if more.startswith(b".") else more
                        message = email.message_from_bytes(text, policy=email.policy.default)
                        with outside.lock:
                            outside.letters.append((recipient, message))
                            first = sum(1 for to, one in outside.letters
                                        if to == recipient and one["Message-ID"] == message["Message-ID"]) == 1
                        if recipient.startswith("drops@") and first:
                            return
                        self.say("250 taken")
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

        class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Threads(("127.0.0.1", 0), Session)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, recipient):
        with self.lock:
            return [message for to, message in self.letters if to == recipient]
