#pragma once

// An asynchronous HTTP/1.1 server that turns sockets into plain structs and back. The program's routes use it; it knows
// nothing of orders. It owns every bound of the outside (sizes, times, connections) and answers each breach itself, so
// a handler only ever sees a complete, well-formed request. No socket or parser type leaves this folder.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cartwright::http {

struct Exchange;
class StreamState;

/// One header field. Names compare without regard to case; values carry no line ends.
struct Header {
  std::string name;
  std::string value;
};

/// A complete request whose framing, sizes and percent-encoding have been checked.
struct Request {
  /// As sent, for example "GET". Any token is possible, also one that no route knows.
  std::string method;
  /// The request target as sent.
  std::string target;
  /// The decoded path without the query. For messages and logs; a router splits by `segments`.
  std::string path;
  /// The raw path split on '/', each part decoded: "/v1/a%2Fb" is {"v1", "a/b"}, "/" is {}, "/v1/" is {"v1", ""}.
  std::vector<std::string> segments;
  /// Decoded names and values in their order, '+' meaning a space. A name without '=' has an empty value.
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<Header> headers;
  std::string body;

  /// The first value of header `name` (case-insensitive), empty if absent.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  /// Whether header `name` (case-insensitive) is there at least once.
  [[nodiscard]] bool has_header(std::string_view name) const;
};

/// An answer. The server adds Server, Connection and Content-Length; the same names in `headers` are left out, and
/// control characters in a value become spaces.
struct Response {
  int status = 200;
  /// The Content-Type; no such header when empty.
  std::string content_type{};
  std::vector<Header> headers{};
  /// Not sent for HEAD, 204 and 304.
  std::string body{};
};

/// A stream of server-sent events to one client. Copyable, any thread. It ends when the last copy is gone.
/// While nothing is written the server sends a comment now and then, so a vanished client is found without help.
class Stream {
 public:
  /// A stream that is closed.
  Stream() = default;

  /// Queues `event_block`: one or more whole blocks in the text/event-stream format, each with its final empty line.
  /// Returns false once the client is gone, or when more than Options::stream_backlog_bytes would wait for it; the
  /// connection is then closed. Never blocks.
  bool write(std::string_view event_block) const;

  /// Sends what is waiting, then closes the connection. Later calls do nothing.
  void close() const;

  /// Whether write() can still succeed.
  [[nodiscard]] bool open() const;

 private:
  friend class Responder;
  explicit Stream(std::shared_ptr<StreamState> state) : state_(std::move(state)) {}

  std::shared_ptr<StreamState> state_;
};

/// The right to answer one request, once. Copyable, any thread; later answers are ignored, also when the client or the
/// server has gone. When the last copy goes without an answer, the client gets a 500 problem.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  /// A responder without a socket: the answer goes to `answer`, on the thread that answers. For tests of handlers;
  /// start_stream() then gives a closed stream.
  explicit Responder(std::function<void(Response)> answer);

  /// Answers. Does not block or throw.
  void send(Response response) const;

  /// Answers 200 with a text/event-stream body that stays open. A closed stream if it was answered already or the
  /// client has gone.
  [[nodiscard]] Stream start_stream() const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

/// Where to listen, and the bounds. See README.md for where the numbers come from.
struct Options {
  /// A name or an address; empty means every interface.
  std::string host = "127.0.0.1";
  /// 0 takes a free one; Server::port() tells which.
  std::uint16_t port = 0;
  /// Connections served at once; one more gets a 503 problem. The process needs as many descriptors (RLIMIT_NOFILE):
  /// raising that is the program's task.
  std::size_t max_connections = 2000;

  /// From a request's first byte, or from the connection's start for the first request, to its complete header.
  std::chrono::milliseconds header_timeout{5000};
  /// From the complete header to the complete body.
  std::chrono::milliseconds body_timeout{10000};
  /// From a response to the next request's first byte.
  std::chrono::milliseconds idle_timeout{60000};
  /// For one whole response, or one batch of stream events, to leave.
  std::chrono::milliseconds write_timeout{10000};
  /// From the handler's call to its answer; then the client gets a 503 problem and the late answer is dropped.
  std::chrono::milliseconds answer_timeout{30000};
  /// Silence on a stream after which a comment is sent.
  std::chrono::milliseconds stream_heartbeat{15000};
  /// How long stop() lets running requests finish.
  std::chrono::milliseconds stop_grace{2000};

  /// Request line and header fields with all line ends.
  std::size_t header_bytes_max = 8 * 1024;
  /// A request's body, by its Content-Length.
  std::size_t body_bytes_max = 64 * 1024;
  /// Another bound for particular targets; `path` is decoded. Called on a server thread; must not throw.
  std::function<std::size_t(std::string_view method, std::string_view path)> body_limit_for{};
  /// Events that may wait for a slow client of one stream.
  std::size_t stream_backlog_bytes = 256 * 1024;

  /// Threads that serve all connections. A small request costs one about 10 us.
  int threads = 1;
};

/// Called on a server thread for each request; must not block, as it holds up every other connection of that thread.
/// An exception answers 500. One request of a connection is handled at a time.
using Handler = std::function<void(Request, Responder)>;

/// The server. Its functions may be called from any thread but those of the server itself (a handler must not stop it).
class Server {
 public:
  Server(Options options, Handler handler);
  /// Stops.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds, listens and starts the threads. Throws std::system_error that names the address and the cause, for example
  /// a port that is taken. Call it once.
  void start();

  /// The port listened on; 0 before start().
  [[nodiscard]] std::uint16_t port() const;
  /// "host:port" as bound, an IPv6 address in brackets; empty before start().
  [[nodiscard]] std::string address() const;
  /// Connections being served now, streams included, refused ones not.
  [[nodiscard]] std::size_t connections() const;

  /// Closes the listening socket; returns when that is done. Open connections are still served, each until its next
  /// response, which says `Connection: close`; streams go on.
  void stop_accepting();

  /// Closes the listening socket and idle connections, lets running requests finish for `stop_grace`, ends the streams,
  /// closes the rest and joins the threads. Later calls do nothing.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cartwright::http
