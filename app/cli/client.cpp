// Beast reads and writes the messages; the sockets are plain ones with time limits of the kernel's, which Asio's
// blocking calls do not have, and which cost the load generator the least.
#include "app/cli/client.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <cstring>

#include "app/options/text.hpp"

namespace cartwright::cli {
namespace {

namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds connect_timeout_max{5000};
constexpr std::uint64_t body_bytes_max = 64u << 20;  // of an answer

error_code last_error() {
  return {errno == EAGAIN || errno == EWOULDBLOCK ? ETIMEDOUT : errno, boost::system::system_category()};
}

/// A connected socket as Beast's synchronous streams are. Closed by its end.
class Socket {
 public:
  explicit Socket(int handle = -1) : handle_(handle) {}
  Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Socket() {
    if (handle_ >= 0) close(handle_);
  }
  [[nodiscard]] int handle() const { return handle_; }

  void limit(milliseconds longest) const {
    timeval limit{longest.count() / 1000, (longest.count() % 1000) * 1000};
    setsockopt(handle_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(handle_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& error) {
    boost::asio::mutable_buffer first;
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != boost::asio::buffer_sequence_end(buffers); ++at)
      if (first = *at; first.size() > 0) break;
    for (;;) {
      auto count = recv(handle_, first.data(), first.size(), 0);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0)
        error = last_error();
      else if (count == 0 && first.size() > 0)
        error = beast_http::error::end_of_stream;
      else
        error = {};
      return count > 0 ? static_cast<std::size_t>(count) : 0;
    }
  }
  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    error_code error;
    auto count = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return count;
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& error) {
    std::array<iovec, 16> parts{};
    std::size_t count = 0;
    for (auto at = boost::asio::buffer_sequence_begin(buffers);
         at != boost::asio::buffer_sequence_end(buffers) && count < parts.size(); ++at) {
      boost::asio::const_buffer one = *at;
      parts[count++] = {const_cast<void*>(one.data()), one.size()};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    for (;;) {
      auto sent = sendmsg(handle_, &message, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      error = sent < 0 ? last_error() : error_code();
      return sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }
  }
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    error_code error;
    auto count = write_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return count;
  }

 private:
  int handle_;
};

std::string text_of(int error) { return std::generic_category().message(error); }

std::string connect_one(const addrinfo& address, milliseconds timeout, Socket& out) {
  Socket made(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
  if (made.handle() < 0) return text_of(errno);
  if (connect(made.handle(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return text_of(errno);
    pollfd wait{made.handle(), POLLOUT, 0};
    int ready = poll(&wait, 1, static_cast<int>(timeout.count()));
    if (ready <= 0) return "no connection within " + std::to_string(timeout.count()) + " ms";
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(made.handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return text_of(error);
  }
  fcntl(made.handle(), F_SETFL, fcntl(made.handle(), F_GETFL) & ~O_NONBLOCK);
  const int one = 1;
  setsockopt(made.handle(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  out = std::move(made);
  return {};
}

std::string connect_any(const std::string& host, const std::string& port, milliseconds timeout, Socket& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &raw); code != 0) return gai_strerror(code);
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, freeaddrinfo);
  std::string why = "no address";
  for (const addrinfo* one = raw; one != nullptr; one = one->ai_next)
    if (why = connect_one(*one, timeout, out); why.empty()) return {};
  return why;
}

/// Cuts a stream of bytes into the data of server-sent events.
class EventCutter {
 public:
  /// False when `on_event` does not want to go on.
  bool take(std::string_view bytes, const std::function<bool(std::string_view)>& on_event) {
    rest_ += bytes;
    for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
      std::string line = rest_.substr(0, end);
      rest_.erase(0, end + 1);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.starts_with("data:")) {
        auto text = std::string_view(line).substr(line.starts_with("data: ") ? 6 : 5);
        data_ += data_.empty() ? std::string(text) : '\n' + std::string(text);
      } else if (line.empty() && !data_.empty()) {
        std::string data = std::move(data_);
        data_.clear();
        if (!on_event(data)) return false;
      }
    }
    return true;
  }

 private:
  std::string rest_, data_;
};

}  // namespace

struct HttpClient::Connection {
  Socket socket;
  beast::flat_buffer buffer;
};

std::optional<Endpoint> endpoint_of(std::string_view url) {
  if (url.starts_with("http://"))
    url.remove_prefix(7);
  else if (url.find("://") != std::string_view::npos)
    return {};
  url = url.substr(0, url.find('/'));
  std::string text(url);
  if (!text.empty() && text.find(':') == std::string::npos) text += ":80";
  auto read = options::host_port(text);
  if (!read || read->port == 0) return {};
  return Endpoint{read->host, std::to_string(read->port)};
}

HttpClient::HttpClient(Endpoint endpoint, std::string token, milliseconds timeout)
    : endpoint_(std::move(endpoint)), token_(std::move(token)), timeout_(timeout) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;

std::string HttpClient::shown() const {
  bool bracketed = endpoint_.host.find(':') != std::string::npos;
  return "http://" + (bracketed ? '[' + endpoint_.host + ']' : endpoint_.host) + ':' + endpoint_.port;
}

std::string HttpClient::open() {
  auto made = std::make_unique<Connection>();
  if (auto why = connect_any(endpoint_.host, endpoint_.port, std::min(timeout_, connect_timeout_max), made->socket);
      !why.empty())
    return why;
  made->socket.limit(timeout_);
  connection_ = std::move(made);
  return {};
}

namespace {

beast_http::request<beast_http::string_body> message_of(const HttpRequest& request, const std::string& host,
                                                        const std::string& token) {
  beast_http::request<beast_http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.target);
  message.set(beast_http::field::host, host);
  message.set(beast_http::field::user_agent, "cartwright");
  if (!token.empty()) message.set(beast_http::field::authorization, "Bearer " + token);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    if (!request.body.empty()) message.set(beast_http::field::content_type, request.media);
    message.body() = request.body;
    message.prepare_payload();
  }
  return message;
}

std::string why(const error_code& error) {
  if (error == beast_http::error::end_of_stream || error == beast_http::error::partial_message)
    return "the connection was closed";
  return error.message();
}

}  // namespace

HttpAnswer HttpClient::exchange(const HttpRequest& request) {
  HttpAnswer answer;
  auto message = message_of(request, shown().substr(7), token_);
  error_code error;
  beast_http::write(connection_->socket, message, error);
  answer.sent = true;  // a write that failed may have got through in part
  if (error) {
    answer.fault = why(error);
    return answer;
  }
  beast_http::response_parser<beast_http::string_body> parser;
  parser.body_limit(body_bytes_max);
  beast_http::read(connection_->socket, connection_->buffer, parser, error);
  if (error) {
    answer.fault = why(error);
    return answer;
  }
  auto& got = parser.get();
  answer.status = static_cast<int>(got.result_int());
  answer.location = got[beast_http::field::location];
  answer.retry_after = got[beast_http::field::retry_after];
  answer.body = std::move(got.body());
  if (!parser.keep_alive()) connection_.reset();
  return answer;
}

HttpAnswer HttpClient::send(const HttpRequest& request) {
  bool repeatable = request.method != "POST";
  for (const auto& [name, value] : request.headers) repeatable = repeatable || name == "Idempotency-Key";
  for (bool fresh = connection_ == nullptr;; fresh = true) {
    if (!connection_)
      if (std::string fault = open(); !fault.empty()) return {0, {}, {}, {}, fault, false};
    HttpAnswer answer = exchange(request);
    if (answer.fault.empty()) return answer;
    connection_.reset();
    if (fresh || !repeatable) return answer;
  }
}

HttpAnswer HttpClient::follow(const std::string& target, const std::function<bool(std::string_view)>& on_event,
                              const std::function<bool()>& go_on) {
  HttpAnswer answer;
  connection_.reset();
  if (answer.fault = open(); !answer.fault.empty()) return answer;
  auto message = message_of({"GET", target, {}, {}, {{"Accept", "text/event-stream"}}}, shown().substr(7), token_);
  error_code error;
  beast_http::write(connection_->socket, message, error);
  beast_http::response_parser<beast_http::buffer_body> parser;
  parser.body_limit(boost::none);
  if (!error) beast_http::read_header(connection_->socket, connection_->buffer, parser, error);
  if (error) {
    answer.fault = why(error);
    connection_.reset();
    return answer;
  }
  answer.status = static_cast<int>(parser.get().result_int());
  connection_->socket.limit(milliseconds(1000));
  EventCutter cutter;
  std::array<char, 16 * 1024> bytes{};
  while (!parser.is_done()) {
    parser.get().body() = {bytes.data(), bytes.size(), true};
    beast_http::read_some(connection_->socket, connection_->buffer, parser, error);
    std::string_view part(bytes.data(), bytes.size() - parser.get().body().size);
    if (answer.status != 200)
      answer.body += part;
    else if (!part.empty() && !cutter.take(part, on_event))
      break;
    if (error == beast_http::error::need_buffer) error = {};
    if (error == error_code(ETIMEDOUT, boost::system::system_category()) && go_on()) error = {};
    if (error) break;
  }
  connection_.reset();
  return answer;
}

std::string url_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::strchr("-._~:", c) != nullptr;
    if (plain && c != '\0') {
      out += c;
    } else {
      auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

std::string probe_tcp(const std::string& host, const std::string& port, milliseconds timeout) {
  Socket socket;
  return connect_any(host, port, timeout, socket);
}

}  // namespace cartwright::cli
