#pragma once

// One client's connection: reads a request, hands it to the handler, writes the answer, and again. Internal to the
// folder. Everything of a connection runs on its strand, so its members need no lock; other threads reach it through
// Peer only. It holds one deadline at a time, which the server's sweep looks at: a timer each would cost more.

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "bridges/http/exchange.hpp"
#include "bridges/http/head.hpp"
#include "bridges/http/server.hpp"

namespace cartwright::http {

using Strand = boost::asio::strand<boost::asio::io_context::executor_type>;
using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Strand>;

class Connection;

/// What all connections share. Each holds it, so it outlives the last of them: an answer may come from another thread
/// while the server is being destroyed.
struct Shared {
  explicit Shared(Options with, Handler on_request)
      : options(std::move(with)), handler(std::move(on_request)), io(std::max(options.threads, 1)) {}

  Options options;
  Handler handler;
  boost::asio::io_context io;
  /// Set once the server takes no new connections: answers then close theirs.
  std::atomic<bool> draining = false;
  /// Set once the server stops: nothing new is begun.
  std::atomic<bool> stopping = false;
  /// Tells the server that a connection is done with. Any thread of the server.
  std::function<void(const std::shared_ptr<Connection>&)> forget;
};

/// See the top of the file. Made by the server, which keeps it until `forget`.
class Connection final : public Peer, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, std::shared_ptr<Shared> shared);

  /// Begins to serve. Any thread, once, instead of refuse().
  void start();
  /// Answers a 503 problem without reading a request, and closes.
  void refuse();
  /// Whether refuse() was called.
  [[nodiscard]] bool refused() const { return refused_; }
  /// Ends what can end now, and the rest after its answer. Any thread.
  void stop();
  /// Whether the deadline lies before `now`; the caller then calls expire(). Any thread.
  [[nodiscard]] bool is_due(std::chrono::steady_clock::time_point now) const;
  /// Acts on a deadline that has passed. Any thread.
  void expire();

  void answer(Response response) override;
  void begin_stream(std::shared_ptr<StreamState> stream) override;
  void pump() override;
  void drop() override;
  [[nodiscard]] std::size_t stream_backlog_bytes() const override { return shared_->options.stream_backlog_bytes; }

 private:
  using Clock = std::chrono::steady_clock;

  /// What the connection waits for. Idle: a first byte. Lingering: the client's end, our answer being its last.
  enum class Phase { Idle, Head, Body, Handling, Writing, Streaming, Lingering, Closed };

  template <class Work>
  void on_strand(Work work);
  template <class Done>
  void read_more(Done done);

  void next_request();
  void scan_head();
  void accept_head(std::string_view bytes);
  void accept_body();
  void send_continue();
  void read_body();
  void hand_over();
  void refuse_request(int status, std::string_view detail);
  void write_response(Response response);
  void response_written();
  void open_stream(std::shared_ptr<StreamState> stream);
  void watch_client();
  void pump_stream();
  void write_stream(std::string_view bytes);
  void write_heartbeat();
  void on_deadline();
  void linger();
  void discard_input();
  void close();

  void set_deadline(std::chrono::milliseconds after);
  void clear_deadline() { deadline_ = Clock::time_point::max().time_since_epoch().count(); }
  [[nodiscard]] std::string_view buffered() const;
  void consume(std::size_t size) { input_begin_ += size; }

  const std::shared_ptr<Shared> shared_;
  Socket socket_;
  const Strand strand_;
  std::atomic<Clock::rep> deadline_;
  Phase phase_ = Phase::Idle;
  bool refused_ = false;

  // Bytes read and not yet used: [input_begin_, input_end_) of input_.
  const std::size_t input_size_;
  const std::unique_ptr<char[]> input_;
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  // Rises with each change of mind about a pending read, whose bytes are then no longer wanted.
  std::uint64_t read_number_ = 0;

  // The request being read or answered.
  HeadScanner scanner_;
  Request request_;
  std::uint64_t body_bytes_ = 0;
  bool expects_continue_ = false;
  bool keep_alive_ = true;
  bool is_head_ = false;
  std::weak_ptr<Exchange> exchange_;

  // The answer being written.
  std::string output_head_;
  std::string output_body_;
  std::shared_ptr<StreamState> stream_;
  bool stream_writing_ = false;
  std::size_t discarded_bytes_ = 0;
};

}  // namespace cartwright::http
