#pragma once

// What stands between a handler on any thread and a connection on its own: the right to one answer, and the queue of an
// event stream. Internal to the folder. Neither keeps a connection alive; both work when it has gone.

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "bridges/http/server.hpp"

namespace cartwright::http {

/// The side of a connection that answers reach. All functions: any thread, never block.
class Peer {
 public:
  virtual ~Peer() = default;
  /// Sends `response` to the request now handled.
  virtual void answer(Response response) = 0;
  /// Turns the request now handled into a stream fed by `stream`.
  virtual void begin_stream(std::shared_ptr<StreamState> stream) = 0;
  /// Tells that the stream has bytes to send or has been closed.
  virtual void pump() = 0;
  /// Closes at once.
  virtual void drop() = 0;
  /// How much may wait in a stream to this client.
  [[nodiscard]] virtual std::size_t stream_backlog_bytes() const = 0;
};

/// The right to answer one request.
struct Exchange {
  std::weak_ptr<Peer> peer;
  /// Takes the answer instead of a peer, in tests of handlers.
  std::function<void(Response)> sink;
  std::atomic<bool> answered = false;

  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  /// An exchange nobody answered is answered with a 500, as the client waits for it.
  ~Exchange();

  /// Takes the right; false if it was taken already.
  [[nodiscard]] bool take() { return !answered.exchange(true); }
  /// Passes `response` on. Only for the one who took the right.
  void deliver(Response response) noexcept;
};

/// The bytes of a stream on their way from any thread to its connection. At most `limit` bytes at once.
class StreamState {
 public:
  StreamState(std::weak_ptr<Peer> peer, std::size_t limit) : peer_(std::move(peer)), limit_(limit) {}

  /// Any thread; see Stream.
  bool write(std::string_view block);
  void close();
  [[nodiscard]] bool open() const { return open_.load(); }

  /// For the connection: moves what waits into `batch` (cleared before) and counts it as still waiting until the next
  /// call. Returns false when nothing waits and no more will come.
  [[nodiscard]] bool take(std::string& batch);
  /// For the connection: the client has gone.
  void mark_gone() { open_ = false; }

 private:
  const std::weak_ptr<Peer> peer_;
  const std::size_t limit_;
  std::atomic<bool> open_ = true;
  // Guards what follows. The writers are actors and handlers, the reader is the connection; each holds it briefly.
  std::mutex mutex_;
  std::string waiting_;
  std::size_t in_flight_bytes_ = 0;
  bool pump_asked_ = false;
};

}  // namespace cartwright::http
