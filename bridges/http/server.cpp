#include "bridges/http/server.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unordered_set>

#include "bridges/http/connection.hpp"

namespace cartwright::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

// Refused connections that may be told so at once; past that they are closed without a word.
constexpr std::size_t refused_connections_max = 256;
// When no descriptor is left, accepting again at once would only spin.
constexpr milliseconds accept_pause{100};
// Deadlines are looked at this often at most, and at least: a tenth of the shortest timeout, so none is much late.
constexpr milliseconds sweep_min{5};
constexpr milliseconds sweep_max{200};

milliseconds sweep_interval(const Options& options) {
  const auto shortest = std::min({options.header_timeout, options.body_timeout, options.idle_timeout,
                                  options.write_timeout, options.answer_timeout, options.stream_heartbeat});
  return std::clamp(shortest / 10, sweep_min, sweep_max);
}

std::string name_endpoint(std::string_view host, unsigned port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return (is_v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

}  // namespace

/// The listening socket, the threads, and the set of connections.
class Server::Impl {
 public:
  Impl(Options options, Handler handler)
      : shared_(std::make_shared<Shared>(std::move(options), std::move(handler))),
        strand_(asio::make_strand(shared_->io)),
        acceptor_(strand_),
        accept_timer_(strand_),
        sweep_timer_(strand_) {
    shared_->forget = [this](const std::shared_ptr<Connection>& connection) { forget(connection); };
    interval_ = sweep_interval(shared_->options);
  }

  void start();
  void stop_accepting();
  void stop();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::size_t connections() const;

 private:
  [[nodiscard]] tcp::endpoint resolve();
  void listen(const tcp::endpoint& endpoint);
  void run();
  void accept();
  void admit(Socket socket);
  void forget(const std::shared_ptr<Connection>& connection);
  void sweep();
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> all();
  bool wait_until_empty(milliseconds timeout);
  [[noreturn]] void fail(error_code error);

  const std::shared_ptr<Shared> shared_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  // What follows is used on the strand only, once the threads run.
  const Strand strand_;
  tcp::acceptor acceptor_;
  asio::steady_timer accept_timer_;
  asio::steady_timer sweep_timer_;
  bool sweeping_ = true;
  milliseconds interval_{};

  std::vector<std::thread> threads_;
  std::uint16_t port_ = 0;
  std::string address_;
  std::once_flag accepting_stopped_;
  std::once_flag stopped_;

  // Guards the set, which the server's threads change and any thread may count.
  mutable std::mutex mutex_;
  std::condition_variable emptied_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::size_t refused_ = 0;
};

void Server::Impl::fail(error_code error) {
  error_code ignored;
  acceptor_.close(ignored);
  const auto& options = shared_->options;
  throw std::system_error(std::error_code(error),
                          "http: cannot listen on " + name_endpoint(options.host, options.port));
}

tcp::endpoint Server::Impl::resolve() {
  const auto& options = shared_->options;
  if (options.host.empty()) return {tcp::v4(), options.port};
  error_code error;
  const auto literal = asio::ip::make_address(options.host, error);
  if (!error) return {literal, options.port};
  tcp::resolver resolver(shared_->io);
  const auto found = resolver.resolve(options.host, "", tcp::resolver::passive, error);
  if (error) fail(error);
  // A name such as localhost may mean both families; the older one is what most clients try.
  const auto is_v4 = [](const auto& entry) { return entry.endpoint().address().is_v4(); };
  const auto v4 = std::find_if(found.begin(), found.end(), is_v4);
  return {(v4 == found.end() ? *found.begin() : *v4).endpoint().address(), options.port};
}

void Server::Impl::listen(const tcp::endpoint& endpoint) {
  error_code error;
  const auto check = [&] {
    if (error) fail(error);
  };
  acceptor_.open(endpoint.protocol(), error);
  check();
  // A restart must not wait for the old connections' TIME_WAIT; a port somebody listens on is still refused.
  acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  check();
  acceptor_.bind(endpoint, error);
  check();
  acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  check();
  const auto bound = acceptor_.local_endpoint(error);
  check();
  port_ = bound.port();
  address_ = name_endpoint(bound.address().to_string(), bound.port());
}

void Server::Impl::start() {
  listen(resolve());
  work_.emplace(shared_->io.get_executor());
  asio::post(strand_, [this] {
    accept();
    sweep();
  });
  for (int i = 0; i < std::max(shared_->options.threads, 1); ++i) threads_.emplace_back([this] { run(); });
}

void Server::Impl::run() {
  for (;;) {
    try {
      shared_->io.run();
      return;
    } catch (const std::exception&) {
      // Handlers' exceptions end in Connection; what is left is a shortage of memory, which may pass. The connection
      // it hit runs into its deadline.
      continue;
    }
  }
}

// -- connections ----

void Server::Impl::accept() {
  acceptor_.async_accept(asio::make_strand(shared_->io), [this](error_code error, Socket socket) {
    if (shared_->draining || error == asio::error::operation_aborted) return;
    if (!error) {
      admit(std::move(socket));
      return accept();
    }
    if (error == asio::error::connection_aborted) return accept();
    accept_timer_.expires_after(accept_pause);
    accept_timer_.async_wait([this](error_code stopped) {
      if (!stopped && !shared_->draining) accept();
    });
  });
}

void Server::Impl::admit(Socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  auto connection = std::make_shared<Connection>(std::move(socket), shared_);
  bool serve = false;
  {
    const std::lock_guard lock(mutex_);
    serve = connections_.size() - refused_ < shared_->options.max_connections;
    if (!serve && refused_ >= refused_connections_max) return;
    if (!serve) ++refused_;
    connections_.insert(connection);
  }
  if (serve) return connection->start();
  connection->refuse();
}

void Server::Impl::forget(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  if (connections_.erase(connection) > 0 && connection->refused()) --refused_;
  if (connections_.empty()) emptied_.notify_all();
}

std::vector<std::shared_ptr<Connection>> Server::Impl::all() {
  const std::lock_guard lock(mutex_);
  return {connections_.begin(), connections_.end()};
}

std::size_t Server::Impl::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size() - refused_;
}

void Server::Impl::sweep() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<Connection>> due;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_) {
      if (connection->is_due(now)) due.push_back(connection);
    }
  }
  for (const auto& connection : due) connection->expire();
  sweep_timer_.expires_after(interval_);
  sweep_timer_.async_wait([this](error_code) {
    if (sweeping_) sweep();
  });
}

// -- stopping ----

void Server::Impl::stop_accepting() {
  std::call_once(accepting_stopped_, [this] {
    shared_->draining = true;
    if (threads_.empty()) return;
    std::promise<void> closed;
    asio::post(strand_, [&] {
      error_code ignored;
      acceptor_.close(ignored);
      accept_timer_.cancel();
      closed.set_value();
    });
    closed.get_future().wait();
  });
}

bool Server::Impl::wait_until_empty(milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return emptied_.wait_for(lock, timeout, [this] { return connections_.empty(); });
}

void Server::Impl::stop() {
  std::call_once(stopped_, [this] {
    stop_accepting();
    shared_->stopping = true;
    if (threads_.empty()) return;
    for (const auto& connection : all()) connection->stop();
    if (!wait_until_empty(shared_->options.stop_grace)) {
      for (const auto& connection : all()) connection->drop();
    }
    asio::post(strand_, [this] {
      sweeping_ = false;
      sweep_timer_.cancel();
    });
    work_.reset();
    for (auto& thread : threads_) thread.join();
    // A late responder may keep `shared_` a little longer, but nothing that the handler captured.
    shared_->handler = nullptr;
    shared_->forget = nullptr;
  });
}

// -- server ----

Server::Server(Options options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

Server::~Server() { stop(); }

void Server::start() { impl_->start(); }

std::uint16_t Server::port() const { return impl_->port(); }

std::string Server::address() const { return impl_->address(); }

std::size_t Server::connections() const { return impl_->connections(); }

void Server::stop_accepting() { impl_->stop_accepting(); }

void Server::stop() { impl_->stop(); }

}  // namespace cartwright::http
