#pragma once
// Exchanges by HTTP and SMTP with servers of the outside, many at once and none waited for: one thread of its own, one
// pool of connections (libcurl's multi interface). Each server has a lane with bounds of its own, so that one that does
// not answer holds up nobody but itself. No type of libcurl leaves this folder.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bridges/curl/answers.hpp"

namespace cartwright::curl {

/// A letter to be handed to a mail server. Addresses without angle brackets.
struct Mail {
  std::string from, to;
  std::vector<std::string> headers;  // `Name: value`, ASCII
  std::string text;                  // UTF-8; goes out as quoted-printable
  std::string user, password;        // "": no login
  bool must_encrypt = false;         // smtp://: give up when STARTTLS is not offered
};

/// One exchange.
struct Request {
  std::string method = "POST";       // HTTP
  std::string url;                   // http://, https://, smtp:// or smtps://
  std::vector<std::string> headers;  // HTTP: `Name: value`
  std::string body;                  // HTTP
  std::chrono::milliseconds timeout{10'000};  // for all of it, from the moment it leaves the queue
  std::optional<Mail> mail;          // SMTP
};

struct LaneOptions {
  std::string name;                  // of the server, for people and figures
  std::size_t connections = 16;      // exchanges at once
  std::size_t waiting = 1000;        // ... and so many behind them; then `submit` says no
  double per_second = 0;             // exchanges begun a second, on the average; 0: without a limit
};

/// What a lane does just now.
struct LaneView {
  std::string name;
  std::size_t under_way = 0, waiting = 0;
  std::uint64_t done = 0, refused = 0, unknown = 0, turned_away = 0;  // since the start
  std::string trouble;               // why the server is of no use just now; "": nothing is known against it
};

/// The way to one server. Any thread.
class Lane {
 public:
  virtual ~Lane() = default;
  /// Begins an exchange, or lets it wait for its turn. `heard` is called once, on the client's thread, and must be quick.
  /// False: too many wait already, or the client is closed; `heard` is not called.
  [[nodiscard]] virtual bool submit(Request request, std::function<void(Response)> heard) = 0;
  [[nodiscard]] virtual LaneView view() const = 0;
};

struct ClientOptions {
  std::string agent = "cartwright";  // User-Agent
  std::string ca_file;               // PEM: whom TLS trusts; "": whom the system trusts
  /// A server came to be of no use (`trouble`: three exchanges one after another have failed), or is well again (""). On the
  /// client's thread.
  std::function<void(const std::string& lane, const std::string& trouble)> state;
};

/// Why `path` cannot be a ClientOptions::ca_file; "" when it can, or is "".
[[nodiscard]] std::string fault_of_ca_file(const std::string& path);

/// Owns the thread and the pool. Lanes of a closed client turn everything away.
class Client {
 public:
  static constexpr std::size_t body_bytes_max = 64 * 1024;  // of an answer; a longer one counts as none

  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] std::shared_ptr<Lane> lane(LaneOptions options);
  [[nodiscard]] std::vector<LaneView> views() const;
  /// Gives up what is under way, without telling anybody, and ends the thread. Later calls do nothing.
  void close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace cartwright::curl
