#pragma once
// A small HTTP/1.1 client for the commands and the load generator: one kept connection, one request at a time, every
// wait bounded. Blocks its thread. Plain http only: TLS is a proxy's work.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cartwright::cli {

/// Where an API is.
struct Endpoint {
  std::string host, port;
};

/// Reads http://host:port or host:port; a path is left out. Nothing when it is neither.
[[nodiscard]] std::optional<Endpoint> endpoint_of(std::string_view url);

/// What came back. `fault` is empty when an answer came, whatever its status.
struct HttpAnswer {
  int status = 0;
  std::string body, location, retry_after;
  std::string fault;
  bool sent = false;  // the server may have seen the request (counts with a fault only)
};

/// One request.
struct HttpRequest {
  std::string_view method = "GET";
  std::string target{};
  std::string_view body{};
  std::string_view media = "application/json";  // of the body, if there is one
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// One connection to one server. One thread at a time; movable.
class HttpClient {
 public:
  explicit HttpClient(Endpoint endpoint, std::string token = {},
                      std::chrono::milliseconds timeout = std::chrono::seconds(30));
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) = delete;

  /// Sends and waits for the whole answer. A kept connection that the server has closed meanwhile is opened again, when
  /// the request changes nothing or has an Idempotency-Key.
  [[nodiscard]] HttpAnswer send(const HttpRequest& request);
  [[nodiscard]] HttpAnswer get(const std::string& target) { return send({"GET", target}); }

  /// Follows a stream of server-sent events. `on_event` gets the data of each and says whether to go on; so does
  /// `go_on` whenever nothing came for a second. Ends with the stream; the answer's body is then empty.
  [[nodiscard]] HttpAnswer follow(const std::string& target, const std::function<bool(std::string_view data)>& on_event,
                                  const std::function<bool()>& go_on);

  /// http://host:port, for messages.
  [[nodiscard]] std::string shown() const;

 private:
  struct Connection;
  [[nodiscard]] std::string open();
  [[nodiscard]] HttpAnswer exchange(const HttpRequest& request);

  Endpoint endpoint_;
  std::string token_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<Connection> connection_;
};

/// `text` fit for a segment or a query value of a URL.
[[nodiscard]] std::string url_encoded(std::string_view text);

/// Opens a TCP connection and closes it again; "" or why it failed.
[[nodiscard]] std::string probe_tcp(const std::string& host, const std::string& port,
                                    std::chrono::milliseconds timeout);

}  // namespace cartwright::cli
