// What an outside client may rely on from the HTTP bridge, asked through raw sockets: framing, bounds, refusals, order
// of answers, streams and stopping. Timeouts are shortened; the tests look at outcomes, never at how long one took.

#define BOOST_TEST_MODULE http
#ifndef BOOST_TEST_DYN_LINK
#define BOOST_TEST_DYN_LINK
#endif
#include "bridges/http/server.hpp"

#include <sys/resource.h>

#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <future>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "bridges/http/head.hpp"
#include "bridges/http/problem.hpp"

namespace {

using namespace cartwright::http;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

// -- a client ----

struct Reply {
  int status = 0;
  std::string head;
  std::string body;
  [[nodiscard]] bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

/// A blocking client that sends exactly what it is given.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(io_) {
    socket_.connect({asio::ip::address_v4::loopback(), port});
    // Only so that a broken server fails the test instead of hanging it.
    const timeval patience{20, 0};
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  void send(std::string_view bytes) { asio::write(socket_, asio::buffer(bytes.data(), bytes.size())); }
  /// Like send(), for a server that may have closed already. False if it has.
  bool try_send(std::string_view bytes) {
    boost::system::error_code error;
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), error);
    return !error;
  }

  /// Reads one answer; `with_body` is false for an answer to HEAD.
  Reply read(bool with_body = true) {
    Reply reply;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return reply;
    }
    reply.head = take(end + 4);
    reply.status = std::stoi(reply.head.substr(9, 3));
    const auto length = reply.head.find("Content-Length: ");
    if (!with_body || length == std::string::npos) return reply;
    const auto size = std::stoul(reply.head.substr(length + 16));
    while (buffer_.size() < size && fill()) continue;
    reply.body = take(std::min(size, buffer_.size()));
    return reply;
  }

  Reply ask(std::string_view bytes) {
    send(bytes);
    return read();
  }

  /// Reads until `text` has come; false if the server closes first.
  bool read_until(std::string_view text) {
    while (buffer_.find(text) == std::string::npos) {
      if (!fill()) return false;
    }
    return true;
  }

  /// Reads to the end; true if the server closes (in order or not).
  bool is_closed() {
    while (fill()) continue;
    return closed_;
  }

  [[nodiscard]] const std::string& unread() const { return buffer_; }
  void close() { socket_.close(); }

 private:
  bool fill() {
    char piece[16 * 1024];
    const auto size = ::recv(socket_.native_handle(), piece, sizeof piece, 0);
    if (size > 0) buffer_.append(piece, static_cast<std::size_t>(size));
    closed_ = closed_ || size == 0 || (size < 0 && errno == ECONNRESET);
    return size > 0;
  }

  std::string take(std::size_t size) {
    auto front = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return front;
  }

  asio::io_context io_;
  tcp::socket socket_;
  std::string buffer_;
  bool closed_ = false;
};

// -- a server ----

void echo(const Request& request, const Responder& responder) {
  responder.send({.content_type = "text/plain", .body = request.method + " " + request.path + " " + request.body});
}

Options options() { return {.host = "127.0.0.1", .port = 0}; }

/// A running server, stopped at the end of the test.
struct Running {
  explicit Running(Handler handler = echo, Options with = options()) : server(std::move(with), std::move(handler)) {
    server.start();
  }
  [[nodiscard]] Client client() const { return Client(server.port()); }
  Server server;
};

std::string get(std::string_view target) { return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n"; }

std::string post(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

/// Whether `bytes` are answered with a `status` problem, and the connection is closed after it.
void check_refused(const std::string& bytes, int status, const Options& with = options()) {
  const Running running(echo, with);
  auto client = running.client();
  const auto reply = client.ask(bytes);
  BOOST_TEST_CONTEXT("request " << bytes.substr(0, 120)) {
    BOOST_TEST(reply.status == status);
    BOOST_TEST(reply.has("Content-Type: application/problem+json\r\n"));
    BOOST_TEST(reply.has("Connection: close\r\n"));
    BOOST_TEST(reply.body.find("\"status\":" + std::to_string(status)) != std::string::npos);
    BOOST_TEST(client.is_closed());
  }
}

}  // namespace

// -- requests and answers ----

BOOST_AUTO_TEST_CASE(a_good_request_is_answered) {
  const Running running;
  auto client = running.client();
  const auto reply = client.ask(post("/v1/orders?x=1", "hello"));
  BOOST_TEST(reply.status == 200);
  BOOST_TEST(reply.has("HTTP/1.1 200 OK\r\nServer: cartwright\r\n"));
  BOOST_TEST(reply.body == "POST /v1/orders hello");
}

BOOST_AUTO_TEST_CASE(the_handler_sees_the_decoded_parts_of_a_request) {
  std::promise<Request> seen;
  const Running running([&](Request request, const Responder& responder) {
    seen.set_value(std::move(request));
    responder.send({});
  });
  auto client = running.client();
  client.ask("GET /v1/a%2Fb/%C3%BC/?name=x%20y+z&empty HTTP/1.1\r\nHost: test\r\nX-Thing: one\r\n\r\n");
  const auto request = seen.get_future().get();
  BOOST_TEST(request.method == "GET");
  BOOST_TEST(request.path == "/v1/a/b/\xC3\xBC/");
  const std::vector<std::string> segments = {"v1", "a/b", "\xC3\xBC", ""};
  BOOST_TEST(request.segments == segments, boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(request.query.size() == 2U);
  BOOST_TEST(request.query[0].first == "name");
  BOOST_TEST(request.query[0].second == "x y z");
  BOOST_TEST(request.query[1].second == "");
  BOOST_TEST(request.header("x-thing") == "one");
  BOOST_TEST(!request.has_header("x-other"));
}

BOOST_AUTO_TEST_CASE(a_connection_serves_one_request_after_another) {
  const Running running;
  auto client = running.client();
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(client.ask(post("/", std::to_string(i))).body == "POST / " + std::to_string(i));
  BOOST_TEST(running.server.connections() == 1U);
}

BOOST_AUTO_TEST_CASE(pipelined_requests_are_answered_in_order) {
  std::vector<std::thread> threads;
  {
    // The first is answered late and from elsewhere; the others must wait for it.
    const Running running([&](Request request, const Responder& responder) {
      if (request.path != "/0") return echo(request, responder);
      threads.emplace_back([request, responder] { echo(request, responder); });
    });
    auto client = running.client();
    std::string all;
    for (int i = 0; i < 50; ++i) all += post("/" + std::to_string(i), std::string(500, 'x'));
    client.send(all);
    for (int i = 0; i < 50; ++i) {
      const auto reply = client.read();
      BOOST_TEST(reply.body.starts_with("POST /" + std::to_string(i) + " x"));
    }
  }
  for (auto& thread : threads) thread.join();
}

BOOST_AUTO_TEST_CASE(a_request_that_comes_in_pieces_is_put_together) {
  const Running running;
  auto client = running.client();
  for (const char c : post("/piece", "body")) client.send(std::string(1, c));
  BOOST_TEST(client.read().body == "POST /piece body");
}

BOOST_AUTO_TEST_CASE(the_answer_to_head_has_no_body) {
  const Running running;
  auto client = running.client();
  client.send("HEAD /x HTTP/1.1\r\nHost: test\r\n\r\n");
  const auto reply = client.read(false);
  BOOST_TEST(reply.status == 200);
  BOOST_TEST(reply.has("Content-Length: 8\r\n"));
  BOOST_TEST(client.ask(get("/next")).body == "GET /next ");
}

BOOST_AUTO_TEST_CASE(no_content_is_sent_without_a_length) {
  const Running running([](const Request&, const Responder& responder) { responder.send({.status = 204}); });
  auto client = running.client();
  const auto reply = client.ask(get("/"));
  BOOST_TEST(reply.status == 204);
  BOOST_TEST(!reply.has("Content-Length"));
  BOOST_TEST(client.ask(get("/")).status == 204);
}

BOOST_AUTO_TEST_CASE(a_handlers_own_4xx_keeps_the_connection) {
  const Running running([](const Request&, const Responder& responder) { responder.send(problem(404, "", "no")); });
  auto client = running.client();
  const auto reply = client.ask(get("/"));
  BOOST_TEST(reply.status == 404);
  BOOST_TEST(!reply.has("Connection: close"));
  BOOST_TEST(client.ask(get("/")).status == 404);
}

BOOST_AUTO_TEST_CASE(a_header_value_cannot_add_a_line) {
  const Running running([](const Request&, const Responder& responder) {
    responder.send({.headers = {{"Location", "/a\r\nSet-Cookie: evil"}, {"Content-Length", "999"}}});
  });
  auto client = running.client();
  const auto reply = client.ask(get("/"));
  BOOST_TEST(reply.has("Location: /a  Set-Cookie: evil\r\n"));
  BOOST_TEST(reply.has("Content-Length: 0\r\n"));
}

BOOST_AUTO_TEST_CASE(an_answer_from_another_thread_arrives) {
  std::thread thread;
  {
    const Running running([&](Request request, const Responder& responder) {
      thread = std::thread([request = std::move(request), responder] { echo(request, responder); });
    });
    auto client = running.client();
    BOOST_TEST(client.ask(get("/far")).body == "GET /far ");
  }
  thread.join();
}

BOOST_AUTO_TEST_CASE(only_the_first_answer_counts) {
  std::atomic<int> streams = 0;
  const Running running([&](const Request&, const Responder& responder) {
    responder.send({.body = "first"});
    responder.send({.body = "second"});
    if (responder.start_stream().open()) ++streams;
  });
  auto client = running.client();
  BOOST_TEST(client.ask(get("/")).body == "first");
  BOOST_TEST(client.ask(get("/")).body == "first");
  BOOST_TEST(streams == 0);
}

BOOST_AUTO_TEST_CASE(an_exception_in_the_handler_answers_500) {
  const Running running([](const Request&, const Responder&) { throw std::runtime_error("secret"); });
  auto client = running.client();
  const auto reply = client.ask(get("/"));
  BOOST_TEST(reply.status == 500);
  BOOST_TEST(reply.body.find("secret") == std::string::npos);
  BOOST_TEST(client.ask(get("/")).status == 500);
}

BOOST_AUTO_TEST_CASE(a_dropped_responder_answers_500) {
  const Running running([](const Request&, const Responder&) {});
  auto client = running.client();
  BOOST_TEST(client.ask(get("/")).status == 500);
}

BOOST_AUTO_TEST_CASE(a_handler_that_never_answers_gets_a_503_sent_for_it) {
  auto with = options();
  with.answer_timeout = 50ms;
  std::promise<Responder> kept;
  const Running running([&](const Request&, const Responder& responder) { kept.set_value(responder); }, with);
  auto client = running.client();
  const auto reply = client.ask(get("/"));
  BOOST_TEST(reply.status == 503);
  BOOST_TEST(reply.has("Retry-After: 1\r\n"));
  kept.get_future().get().send({.body = "late"});
  BOOST_TEST(client.is_closed());
  BOOST_TEST(client.unread() == "");
}

BOOST_AUTO_TEST_CASE(a_responder_may_outlive_its_server) {
  std::promise<Responder> first;
  std::promise<Responder> second;
  auto with = options();
  with.stop_grace = 10ms;
  std::optional<Responder> sends;
  std::optional<Responder> streams;
  {
    const Running running(
        [&](const Request& request, const Responder& responder) {
          (request.path == "/first" ? first : second).set_value(responder);
        },
        with);
    auto one = running.client();
    auto other = running.client();
    one.send(get("/first"));
    other.send(get("/second"));
    sends = first.get_future().get();
    streams = second.get_future().get();
  }
  sends->send({.body = "late"});
  BOOST_TEST(!streams->start_stream().open());
}

BOOST_AUTO_TEST_CASE(a_responder_without_a_socket_gives_the_answer_to_a_function) {
  int status = 0;
  echo({}, Responder([&](const Response& response) { status = response.status; }));
  BOOST_TEST(status == 200);
}

BOOST_AUTO_TEST_CASE(http_1_0_is_answered_and_closed) {
  const Running running;
  auto client = running.client();
  BOOST_TEST(client.ask("GET /old HTTP/1.0\r\n\r\n").body == "GET /old ");
  BOOST_TEST(client.is_closed());
}

BOOST_AUTO_TEST_CASE(a_client_may_ask_to_close) {
  const Running running;
  auto client = running.client();
  const auto reply = client.ask("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  BOOST_TEST(reply.has("Connection: close\r\n"));
  BOOST_TEST(client.is_closed());
}

BOOST_AUTO_TEST_CASE(an_absolute_target_is_read_as_its_path) {
  const Running running;
  auto client = running.client();
  BOOST_TEST(client.ask("GET http://test:80/a?b=c HTTP/1.1\r\nHost: test\r\n\r\n").body == "GET /a ");
}

// -- refusals ----

BOOST_AUTO_TEST_CASE(a_large_header_is_refused) {
  check_refused("GET / HTTP/1.1\r\nHost: test\r\nX: " + std::string(9000, 'x') + "\r\n\r\n", 431);
  check_refused("GET /" + std::string(8192, 'x'), 431);
}

BOOST_AUTO_TEST_CASE(a_header_of_exactly_the_bound_is_served) {
  const Running running;
  auto client = running.client();
  const std::string start = "GET / HTTP/1.1\r\nHost: test\r\nX: ";
  BOOST_TEST(client.ask(start + std::string(8192 - 4 - start.size(), 'x') + "\r\n\r\n").status == 200);
  BOOST_TEST(client.ask(start + std::string(8193 - 4 - start.size(), 'x') + "\r\n\r\n").status == 431);
}

BOOST_AUTO_TEST_CASE(a_large_body_is_refused_before_it_is_read) {
  check_refused("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 65537\r\n\r\n", 413);
  check_refused(post("/", std::string(3'000'000, 'x')), 413);
}

BOOST_AUTO_TEST_CASE(a_body_of_exactly_the_bound_is_served) {
  const Running running;
  auto client = running.client();
  BOOST_TEST(client.ask(post("/", std::string(65536, 'x'))).body.size() == 65536U + 7U);
}

BOOST_AUTO_TEST_CASE(a_target_may_have_its_own_body_bound) {
  auto with = options();
  with.body_limit_for = [](std::string_view method, std::string_view path) {
    return std::size_t{method == "POST" && path == "/batch" ? 2'000'000U : 10U};
  };
  const Running running(echo, with);
  auto client = running.client();
  BOOST_TEST(client.ask(post("/batch", std::string(2'000'000, 'x'))).body.size() == 2'000'012U);
  BOOST_TEST(client.ask(post("/other", std::string(11, 'x'))).status == 413);
}

BOOST_AUTO_TEST_CASE(every_transfer_encoding_is_refused) {
  const std::string start = "POST / HTTP/1.1\r\nHost: test\r\n";
  for (const std::string line : {"Transfer-Encoding: chunked", "Transfer-Encoding: xchunked\r\nContent-Length: 3",
                                 "Content-Length: 3\r\nTransfer-Encoding: chunked", "transfer-encoding: identity",
                                 "Transfer-Encoding: chunked, gzip", "Transfer-Encoding:"}) {
    check_refused(start + line + "\r\n\r\n0\r\n\r\n", 400);
  }
  check_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
}

BOOST_AUTO_TEST_CASE(a_content_length_that_is_not_one_number_is_refused) {
  const std::string start = "POST / HTTP/1.1\r\nHost: test\r\n";
  for (const std::string line : {"Content-Length: 1\r\nContent-Length: 2", "Content-Length: 1\r\nContent-Length: 1",
                                 "Content-Length: 1, 1", "Content-Length: -1", "Content-Length: +1",
                                 "Content-Length: 1x", "Content-Length:", "Content-Length: 99999999999999999999999"}) {
    check_refused(start + line + "\r\n\r\na", 400);
  }
}

BOOST_AUTO_TEST_CASE(a_request_needs_exactly_one_host) {
  check_refused("GET / HTTP/1.1\r\n\r\n", 400);
  check_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
  check_refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
}

BOOST_AUTO_TEST_CASE(malformed_headers_are_refused) {
  using namespace std::string_literals;
  const std::string start = "GET / HTTP/1.1\r\nHost: test\r\n";
  for (const auto& bytes : {
           start + "X: a\r\n folded: b\r\n\r\n",
           start + "X: a\r\n\tb\r\n\r\n",
           start + "X : a\r\n\r\n",
           start + "X: a\0b\r\n\r\n"s,
           start + "X: a\rb\r\n\r\n",
           start + "X: a\nY: b\r\n\r\n",
           start + "no colon\r\n\r\n",
           start + ": no name\r\n\r\n",
           "GET  / HTTP/1.1\r\nHost: test\r\n\r\n"s,
           "GET /\r\nHost: test\r\n\r\n"s,
           "GET / HTTP/1.1 \r\nHost: test\r\n\r\n"s,
           "G(T / HTTP/1.1\r\nHost: test\r\n\r\n"s,
           "GET / HTTP/1.1\nHost: test\n\n"s,
           "GET nowhere HTTP/1.1\r\nHost: test\r\n\r\n"s,
           "GET /a#b HTTP/1.1\r\nHost: test\r\n\r\n"s,
           "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"s,
           " GET / HTTP/1.1\r\nHost: test\r\n\r\n"s,
           "\x16\x03\x01\x02\x00\x01\x00"s,
       }) {
    check_refused(bytes, 400);
  }
}

BOOST_AUTO_TEST_CASE(other_versions_are_refused) {
  check_refused("GET / HTTP/1.2\r\nHost: test\r\n\r\n", 505);
  check_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
  check_refused("GET / HTP/1.1\r\nHost: test\r\n\r\n", 400);
}

BOOST_AUTO_TEST_CASE(bad_percent_encoding_is_refused) {
  for (const auto* target : {"/%", "/%4", "/%zz", "/%00", "/%FF", "/%C3/%BC", "/?a=%4", "/?%g0"}) {
    check_refused(get(target), 400);
  }
}

BOOST_AUTO_TEST_CASE(empty_lines_before_a_request_are_skipped) {
  const Running running;
  auto client = running.client();
  BOOST_TEST(client.ask("\r\n\r\n" + get("/a")).body == "GET /a ");
  BOOST_TEST(client.ask("\r\n" + get("/b")).body == "GET /b ");
}

// -- 100-continue ----

BOOST_AUTO_TEST_CASE(a_client_that_waits_is_told_to_continue) {
  const Running running;
  auto client = running.client();
  client.send("POST /c HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\n");
  BOOST_TEST(client.read().status == 100);
  BOOST_TEST(client.ask("body").body == "POST /c body");
}

BOOST_AUTO_TEST_CASE(a_client_that_waits_with_too_large_a_body_is_not_told_to_continue) {
  check_refused("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 70000\r\nExpect: 100-continue\r\n\r\n", 413);
  check_refused("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 7\r\nExpect: a-miracle\r\n\r\n", 417);
}

// -- slow and vanishing clients ----

BOOST_AUTO_TEST_CASE(a_slow_header_is_cut) {
  auto with = options();
  with.header_timeout = 100ms;
  const Running running(echo, with);
  auto client = running.client();
  client.send("GET / HTTP/1.1\r\nX: ");
  // A byte now and then must not buy more time.
  std::atomic<bool> answered = false;
  std::thread dribble([&] {
    while (!answered && client.try_send("x")) std::this_thread::sleep_for(20ms);
  });
  const auto reply = client.read();
  BOOST_TEST(reply.status == 408);
  BOOST_TEST(reply.has("Connection: close\r\n"));
  BOOST_TEST(client.is_closed());
  answered = true;
  dribble.join();
}

BOOST_AUTO_TEST_CASE(a_slow_body_is_cut) {
  auto with = options();
  with.body_timeout = 100ms;
  const Running running(echo, with);
  auto client = running.client();
  client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
  std::atomic<bool> answered = false;
  std::thread dribble([&] {
    while (!answered && client.try_send("x")) std::this_thread::sleep_for(20ms);
  });
  const auto reply = client.read();
  BOOST_TEST(reply.status == 408);
  BOOST_TEST(client.is_closed());
  answered = true;
  dribble.join();
}

BOOST_AUTO_TEST_CASE(a_silent_client_is_cut) {
  auto with = options();
  with.header_timeout = 50ms;
  with.idle_timeout = 50ms;
  const Running running(echo, with);
  auto fresh = running.client();
  auto used = running.client();
  BOOST_TEST(used.ask(get("/")).status == 200);
  BOOST_TEST(fresh.is_closed());
  BOOST_TEST(fresh.unread() == "");
  BOOST_TEST(used.is_closed());
  BOOST_TEST(used.unread() == "");
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_read_is_cut) {
  auto with = options();
  with.write_timeout = 100ms;
  const Running running(
      [](const Request&, const Responder& responder) { responder.send({.body = std::string(50'000'000, 'x')}); }, with);
  auto client = running.client();
  client.send(get("/"));
  while (running.server.connections() == 0) std::this_thread::yield();
  while (running.server.connections() > 0) std::this_thread::yield();
  BOOST_TEST(client.is_closed());
  BOOST_TEST(client.unread().size() < 50'000'000U);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_half_way_is_forgotten) {
  const Running running;
  for (const std::string start : {"GET / HT", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nab"}) {
    auto client = running.client();
    client.send(start);
    while (running.server.connections() == 0) std::this_thread::yield();
    client.close();
    while (running.server.connections() > 0) std::this_thread::yield();
  }
}

// -- streams ----

BOOST_AUTO_TEST_CASE(a_stream_delivers_its_events_and_ends) {
  std::promise<Stream> started;
  const Running running(
      [&](const Request&, const Responder& responder) { started.set_value(responder.start_stream()); });
  auto client = running.client();
  client.send(get("/events"));
  {
    const auto stream = started.get_future().get();
    BOOST_TEST(stream.write("data: one\n\n"));
    BOOST_TEST(client.read_until("data: one\n\n"));
    BOOST_TEST(stream.write("data: two\n\n"));
    BOOST_TEST(stream.write("data: three\n\n"));
    stream.close();
    BOOST_TEST(!stream.write("data: four\n\n"));
  }
  BOOST_TEST(client.is_closed());
  BOOST_TEST(client.unread().find("Content-Type: text/event-stream\r\n") != std::string::npos);
  BOOST_TEST(client.unread().ends_with("\r\n\r\ndata: one\n\ndata: two\n\ndata: three\n\n"));
}

BOOST_AUTO_TEST_CASE(a_stream_ends_with_its_last_handle) {
  const Running running(
      [&](const Request&, const Responder& responder) { responder.start_stream().write("data: only\n\n"); });
  auto client = running.client();
  client.send(get("/events"));
  BOOST_TEST(client.is_closed());
  BOOST_TEST(client.unread().ends_with("data: only\n\n"));
}

BOOST_AUTO_TEST_CASE(a_stream_tells_that_its_client_has_gone) {
  std::promise<Stream> started;
  const Running running(
      [&](const Request&, const Responder& responder) { started.set_value(responder.start_stream()); });
  auto client = running.client();
  client.send(get("/events"));
  const auto stream = started.get_future().get();
  BOOST_TEST(stream.write("data: one\n\n"));
  BOOST_TEST(client.read_until("data: one\n\n"));
  client.close();
  while (stream.open()) std::this_thread::yield();
  BOOST_TEST(!stream.write("data: two\n\n"));
  while (running.server.connections() > 0) std::this_thread::yield();
}

BOOST_AUTO_TEST_CASE(a_stream_whose_client_does_not_read_is_cut) {
  std::promise<Stream> started;
  const Running running(
      [&](const Request&, const Responder& responder) { started.set_value(responder.start_stream()); });
  auto client = running.client();
  client.send(get("/events"));
  const auto stream = started.get_future().get();
  const auto event = "data: " + std::string(10'000, 'x') + "\n\n";
  // A socket takes some megabytes before the backlog starts to count.
  while (stream.write(event)) continue;
  BOOST_TEST(!stream.open());
  while (running.server.connections() > 0) std::this_thread::yield();
}

BOOST_AUTO_TEST_CASE(a_silent_stream_sends_comments) {
  auto with = options();
  with.stream_heartbeat = 30ms;
  std::promise<Stream> started;
  const Running running(
      [&](const Request&, const Responder& responder) { started.set_value(responder.start_stream()); }, with);
  auto client = running.client();
  client.send(get("/events"));
  const auto stream = started.get_future().get();
  BOOST_TEST(client.read_until(": still here\n\n: still here\n\n"));
  BOOST_TEST(stream.open());
}

// -- many connections ----

BOOST_AUTO_TEST_CASE(a_thousand_connections_at_once_are_all_answered) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  setrlimit(RLIMIT_NOFILE, &limit);
  BOOST_TEST_REQUIRE(limit.rlim_cur >= 5000U);
  const Running running;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(std::make_unique<Client>(running.server.port()));
  for (int round = 0; round < 2; ++round) {
    for (auto& client : clients) client->send(get("/many"));
    int answered = 0;
    for (auto& client : clients) answered += client->read().status == 200 ? 1 : 0;
    BOOST_TEST(answered == 1000);
    BOOST_TEST(running.server.connections() == 1000U);
  }
}

BOOST_AUTO_TEST_CASE(a_connection_too_many_gets_a_503) {
  auto with = options();
  with.max_connections = 2;
  const Running running(echo, with);
  auto first = running.client();
  auto second = running.client();
  BOOST_TEST(first.ask(get("/")).status == 200);
  BOOST_TEST(second.ask(get("/")).status == 200);
  {
    auto third = running.client();
    const auto reply = third.ask(get("/"));
    BOOST_TEST(reply.status == 503);
    BOOST_TEST(reply.has("Retry-After: 1\r\n"));
    BOOST_TEST(third.is_closed());
  }
  BOOST_TEST(running.server.connections() == 2U);
  first.close();
  while (running.server.connections() > 1) std::this_thread::yield();
  auto fourth = running.client();
  BOOST_TEST(fourth.ask(get("/")).status == 200);
}

BOOST_AUTO_TEST_CASE(several_threads_serve_together) {
  auto with = options();
  with.threads = 3;
  const Running running(echo, with);
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto client = running.client();
        for (int j = 0; j < 10; ++j) answered += client.ask(post("/", "x")).status == 200 ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  BOOST_TEST(answered == 800);
}

// -- starting and stopping ----

BOOST_AUTO_TEST_CASE(a_port_that_is_taken_is_named) {
  const Running running;
  auto with = options();
  with.port = running.server.port();
  Server second(with, echo);
  const auto names_it = [&](const std::system_error& error) {
    return std::string(error.what()).find("127.0.0.1:" + std::to_string(with.port)) != std::string::npos &&
           error.code() == std::errc::address_in_use;
  };
  BOOST_CHECK_EXCEPTION(second.start(), std::system_error, names_it);
}

BOOST_AUTO_TEST_CASE(the_address_is_the_one_bound) {
  auto with = options();
  with.host = "localhost";
  const Running running(echo, with);
  BOOST_TEST(running.server.address() == "127.0.0.1:" + std::to_string(running.server.port()));
}

BOOST_AUTO_TEST_CASE(a_server_that_accepts_no_more_still_serves_who_is_there) {
  Running running;
  auto client = running.client();
  BOOST_TEST(client.ask(get("/")).status == 200);
  running.server.stop_accepting();
  BOOST_CHECK_THROW(running.client(), std::exception);
  const auto reply = client.ask(get("/last"));
  BOOST_TEST(reply.body == "GET /last ");
  BOOST_TEST(reply.has("Connection: close\r\n"));
}

BOOST_AUTO_TEST_CASE(stopping_lets_a_running_request_finish_and_ends_the_rest) {
  std::promise<Responder> late;
  std::promise<Stream> started;
  Running running([&](const Request& request, const Responder& responder) {
    if (request.path == "/late") return late.set_value(responder);
    if (request.path == "/events") return started.set_value(responder.start_stream());
    responder.send({});
  });
  auto idle = running.client();
  BOOST_TEST(idle.ask(get("/")).status == 200);
  auto busy = running.client();
  busy.send(get("/late"));
  auto streaming = running.client();
  streaming.send(get("/events"));
  const auto responder = late.get_future().get();
  const auto stream = started.get_future().get();
  BOOST_TEST(stream.write("data: last\n\n"));
  std::thread stopper([&] { running.server.stop(); });
  BOOST_TEST(idle.is_closed());
  BOOST_TEST(streaming.is_closed());
  BOOST_TEST(streaming.unread().ends_with("data: last\n\n"));
  responder.send({.body = "finished"});
  BOOST_TEST(busy.read().body == "finished");
  BOOST_TEST(busy.is_closed());
  stopper.join();
  BOOST_TEST(running.server.connections() == 0U);
  BOOST_TEST(!stream.write("data: more\n\n"));
}

BOOST_AUTO_TEST_CASE(stopping_does_not_wait_for_ever) {
  auto with = options();
  with.stop_grace = 20ms;
  std::promise<Responder> kept;
  Running running([&](const Request&, const Responder& responder) { kept.set_value(responder); }, with);
  auto client = running.client();
  client.send(get("/"));
  const auto responder = kept.get_future().get();
  running.server.stop();
  BOOST_TEST(client.is_closed());
}

// -- problems ----

BOOST_AUTO_TEST_CASE(a_problem_is_written_as_the_standard_says) {
  const auto response = problem(409, "", "say \"hi\"\n\\ \x01 \xFF \xC3\xBC",
                                {{"retryable", true}, {"at", 7}, {"reasons", std::vector<std::string>{"a", "b"}}});
  BOOST_TEST(response.status == 409);
  BOOST_TEST(response.content_type == "application/problem+json");
  BOOST_TEST(response.body ==
             "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,"
             "\"detail\":\"say \\\"hi\\\"\\u000a\\\\ \\u0001 \xEF\xBF\xBD \xC3\xBC\","
             "\"retryable\":true,\"at\":7,\"reasons\":[\"a\",\"b\"]}\n");
  BOOST_TEST(problem(503, "Away", "").headers.size() == 1U);
  BOOST_TEST(problem(503, "Away", "").headers.at(0).name == "Retry-After");
}

// -- garbage ----

BOOST_AUTO_TEST_CASE(changed_bytes_never_break_the_parser) {
  // A fixed generator: the same bytes in every run.
  std::uint32_t random = 20240601;
  const auto next = [&] { return random = random * 1664525U + 1013904223U; };
  const std::string good =
      "POST /a%20b?c=d HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
  int served = 0;
  for (int i = 0; i < 20000; ++i) {
    auto bytes = good;
    for (auto changes = next() >> 30; changes > 0; --changes) {
      bytes[(next() >> 8) % bytes.size()] = static_cast<char>(next() >> 24);
    }
    HeadScanner scanner;
    if (scanner.scan(bytes) != HeadScanner::Found::End) continue;
    const auto parsed = parse_head(std::string_view(bytes).substr(scanner.begin(), scanner.end() - scanner.begin()));
    if (std::holds_alternative<Head>(parsed)) ++served;
  }
  BOOST_TEST(served > 5000);
}
