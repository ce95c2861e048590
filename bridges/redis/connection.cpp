#include "bridges/redis/connection.hpp"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

namespace cartwright::redis {

namespace {

timeval timeval_of(std::chrono::milliseconds time) {
  timeval result{};
  result.tv_sec = time.count() / 1000;
  result.tv_usec = (time.count() % 1000) * 1000;
  return result;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    unsigned value = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    result += static_cast<char>(value);
    i += 2;
  }
  return result;
}

}  // namespace

// -- address ----------------------------------------------------------------------------------------------------------

std::string Address::shown() const {
  if (!path.empty()) return "unix://" + path;
  const auto name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return "redis://" + name + ":" + std::to_string(port) + (database ? "/" + std::to_string(database) : "");
}

std::optional<Address> address_of(std::string_view url) {
  constexpr std::string_view tcp = "redis://", socket = "unix://";
  Address address;
  if (url.starts_with(socket)) {
    address.path = url.substr(socket.size());
    return address.path.starts_with('/') && address.path.size() > 1 ? std::optional(address) : std::nullopt;
  }
  if (!url.starts_with(tcp)) return std::nullopt;
  url.remove_prefix(tcp.size());
  if (const auto at = url.rfind('@'); at != std::string_view::npos) {
    const auto who = url.substr(0, at);
    const auto colon = who.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto user = percent_decoded(who.substr(0, colon)), password = percent_decoded(who.substr(colon + 1));
    if (!user || !password) return std::nullopt;
    address.user = *user;
    address.password = *password;
    url.remove_prefix(at + 1);
  }
  if (const auto slash = url.find('/'); slash != std::string_view::npos) {
    const auto database = url.substr(slash + 1);
    if (!database.empty() && (!read_number(database, address.database) || address.database < 0)) return std::nullopt;
    url = url.substr(0, slash);
  }
  if (url.starts_with('[')) {
    const auto close = url.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    address.host = url.substr(1, close - 1);
    url.remove_prefix(close + 1);
  } else {
    address.host = url.substr(0, url.find(':'));
    url.remove_prefix(address.host.size());
  }
  if (url.starts_with(':')) {
    if (!read_number(url.substr(1), address.port) || address.port < 1 || address.port > 65535) return std::nullopt;
  } else if (!url.empty()) {
    return std::nullopt;
  }
  return address.host.empty() ? std::nullopt : std::optional(address);
}

// -- replies ----------------------------------------------------------------------------------------------------------

bool View::nil() const { return !reply_ || reply_->type == REDIS_REPLY_NIL; }

std::string_view View::text() const {
  if (!reply_ || (reply_->type != REDIS_REPLY_STRING && reply_->type != REDIS_REPLY_STATUS)) return {};
  return {reply_->str, static_cast<std::size_t>(reply_->len)};
}

std::optional<std::int64_t> View::number() const {
  if (reply_ && reply_->type == REDIS_REPLY_INTEGER) return reply_->integer;
  std::int64_t number = 0;
  return read_number(text(), number) ? std::optional(number) : std::nullopt;
}

bool View::list() const { return reply_ && reply_->type == REDIS_REPLY_ARRAY; }

std::size_t View::size() const { return list() ? reply_->elements : 0; }

View View::operator[](std::size_t index) const { return View(index < size() ? reply_->element[index] : nullptr); }

void Reply::Free::operator()(redisReply* reply) const { freeReplyObject(reply); }

Reply::Reply(redisReply* reply) : reply_(reply) {}
Reply::Reply(Failure failure) : failure_(std::move(failure)) {}
Reply::Reply(Reply&&) noexcept = default;
Reply& Reply::operator=(Reply&&) noexcept = default;
Reply::~Reply() = default;

bool Reply::ok() const { return reply_ && reply_->type != REDIS_REPLY_ERROR; }

bool Reply::refused_as(std::string_view kind) const {
  return reply_ && reply_->type == REDIS_REPLY_ERROR &&
         std::string_view(reply_->str, static_cast<std::size_t>(reply_->len)).starts_with(kind);
}

Failure Reply::failure() const {
  if (!reply_) return failure_;
  return ok() ? Failure{} : Failure{"redis: " + std::string(reply_->str, static_cast<std::size_t>(reply_->len)), false};
}

View Reply::value() const { return View(ok() ? reply_.get() : nullptr); }

// -- words ------------------------------------------------------------------------------------------------------------

Words& Words::add(std::string_view word) {
  bytes_ += word;
  ends_.push_back(bytes_.size());
  return *this;
}

Words& Words::add(std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return add(std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

Words& Words::add(std::string_view first, std::string_view second) {
  bytes_ += first;
  return add(second);
}

std::string_view Words::operator[](std::size_t index) const {
  const auto begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(bytes_).substr(begin, ends_[index] - begin);
}

// -- connection -------------------------------------------------------------------------------------------------------

void Connection::Free::operator()(redisContext* context) const { redisFree(context); }

Connection::Connection(redisContext* context, std::string shown) : context_(context), shown_(std::move(shown)) {}

std::variant<Connection, Failure> Connection::open(const Address& address, Timeouts timeouts) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  const auto failed = [&](const std::string& what) {
    return Failure{"redis: connect to " + address.shown() + ": " + what};
  };
  const auto connect_time = timeval_of(timeouts.connect);
  Connection connection(address.path.empty() ? redisConnectWithTimeout(address.host.c_str(), address.port, connect_time)
                                             : redisConnectUnixWithTimeout(address.path.c_str(), connect_time),
                        address.shown());
  if (!connection.context_) return failed("no memory");
  if (connection.context_->err != 0) return failed(connection.context_->errstr);
  redisSetTimeout(connection.context_.get(), connect_time);
  if (address.path.empty()) redisEnableKeepAlive(connection.context_.get());
  if (!address.password.empty()) {
    const auto said = address.user.empty() ? connection.run({"AUTH", address.password})
                                           : connection.run({"AUTH", address.user, address.password});
    if (!said.ok()) return failed(said.failure().what);
  }
  if (address.database != 0) {
    const auto said = connection.run({"SELECT", std::to_string(address.database)});
    if (!said.ok()) return failed(said.failure().what);
  }
  redisSetTimeout(connection.context_.get(), timeval_of(timeouts.command));
  return connection;
}

void Connection::append(std::span<const std::string_view> words) {
  if (!context_) return;
  pointers_.clear();
  lengths_.clear();
  for (const auto word : words) {
    pointers_.push_back(word.data());
    lengths_.push_back(word.size());
  }
  const auto count = static_cast<int>(words.size());
  if (redisAppendCommandArgv(context_.get(), count, pointers_.data(), lengths_.data()) != REDIS_OK)
    static_cast<void>(lose(context_->errstr));
}

Reply Connection::next() {
  if (!context_) return Reply(Failure{lost_why_, true});
  void* reply = nullptr;
  errno = 0;
  if (redisGetReply(context_.get(), &reply) == REDIS_OK && reply) return Reply(static_cast<redisReply*>(reply));
  // hiredis reports a receive timeout as EAGAIN, which nobody would understand.
  return lose(context_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK) ? "no answer in time"
                                                                                      : context_->errstr);
}

Reply Connection::lose(const char* why) {
  lost_why_ = "redis: " + shown_ + ": " + why;
  context_.reset();
  return Reply(Failure{lost_why_, true});
}

}  // namespace cartwright::redis
