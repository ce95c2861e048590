#include "bridges/http/connection.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <utility>

namespace cartwright::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// A read takes this much at most while a header is read, so the input buffer is the header's bound and this.
constexpr std::size_t read_bytes_max = 4 * 1024;
// A body grows by pieces as it arrives: a client that only announces 8 MiB must not make us hold them.
constexpr std::size_t body_piece_bytes_min = 4 * 1024;
constexpr std::size_t body_piece_bytes_max = 256 * 1024;
// After a refusal the rest of what the client sends is read and thrown away for a while: closing at once would reset
// the connection, and the client might never see why.
constexpr std::chrono::milliseconds linger_timeout{2000};
constexpr std::size_t linger_bytes_max = 32 * 1024 * 1024;

constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

Connection::Connection(Socket socket, std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)),
      socket_(std::move(socket)),
      strand_(socket_.get_executor()),
      input_size_(shared_->options.header_bytes_max + read_bytes_max),
      input_(std::make_unique_for_overwrite<char[]>(input_size_)) {
  clear_deadline();
}

// -- calls from any thread ----

template <class Work>
void Connection::on_strand(Work work) {
  // The weak pointer keeps a queue of the io_context from owning the connection, and so from never ending.
  asio::dispatch(strand_, [weak = weak_from_this(), work = std::move(work)]() mutable {
    if (const auto self = weak.lock()) work(*self);
  });
}

void Connection::start() {
  on_strand([](Connection& self) {
    // A client that connects and stays silent gets no longer than one that sends half a header.
    self.next_request();
    if (self.phase_ == Phase::Idle) self.set_deadline(self.shared_->options.header_timeout);
  });
}

void Connection::refuse() {
  refused_ = true;
  on_strand([](Connection& self) { self.refuse_request(503, "Too many connections are open; try again shortly."); });
}

void Connection::stop() {
  on_strand([](Connection& self) {
    self.keep_alive_ = false;
    if (self.phase_ == Phase::Handling || self.phase_ == Phase::Writing || self.phase_ == Phase::Closed) return;
    if (self.phase_ == Phase::Streaming) return self.stream_->close();
    self.close();
  });
}

bool Connection::is_due(Clock::time_point now) const { return deadline_ <= now.time_since_epoch().count(); }

void Connection::expire() {
  on_strand([](Connection& self) {
    // It may have moved on since the sweep looked.
    if (self.is_due(Clock::now())) self.on_deadline();
  });
}

void Connection::answer(Response response) {
  on_strand([response = std::move(response)](Connection& self) mutable { self.write_response(std::move(response)); });
}

void Connection::begin_stream(std::shared_ptr<StreamState> stream) {
  on_strand([stream = std::move(stream)](Connection& self) mutable { self.open_stream(std::move(stream)); });
}

void Connection::pump() {
  on_strand([](Connection& self) { self.pump_stream(); });
}

void Connection::drop() {
  on_strand([](Connection& self) { self.close(); });
}

// -- reading ----

std::string_view Connection::buffered() const { return {input_.get() + input_begin_, input_end_ - input_begin_}; }

template <class Done>
void Connection::read_more(Done done) {
  if (input_begin_ > 0) {
    std::memmove(input_.get(), input_.get() + input_begin_, input_end_ - input_begin_);
    input_end_ -= std::exchange(input_begin_, 0);
  }
  const auto room = asio::buffer(input_.get() + input_end_, std::min(read_bytes_max, input_size_ - input_end_));
  socket_.async_read_some(room,
                          [self = shared_from_this(), number = read_number_, done](error_code error, std::size_t size) {
                            if (self->phase_ == Phase::Closed || number != self->read_number_) return;
                            if (error) return self->close();
                            self->input_end_ += size;
                            done(*self);
                          });
}

void Connection::next_request() {
  if (phase_ == Phase::Closed) return;
  if (shared_->stopping) return close();
  scanner_ = HeadScanner();
  request_ = Request();
  is_head_ = false;
  keep_alive_ = true;
  phase_ = Phase::Idle;
  set_deadline(shared_->options.idle_timeout);
  if (!buffered().empty()) return scan_head();
  read_more([](Connection& self) { self.scan_head(); });
}

void Connection::scan_head() {
  const auto& options = shared_->options;
  if (phase_ == Phase::Idle) {
    phase_ = Phase::Head;
    set_deadline(options.header_timeout);
  }
  const auto found = scanner_.scan(buffered());
  if (found == HeadScanner::Found::Malformed) return refuse_request(400, "The header is malformed.");
  const bool is_complete = found == HeadScanner::Found::End;
  if (is_complete ? scanner_.end() > options.header_bytes_max : buffered().size() >= options.header_bytes_max) {
    return refuse_request(431, "The header is larger than " + std::to_string(options.header_bytes_max) + " bytes.");
  }
  if (!is_complete) return read_more([](Connection& self) { self.scan_head(); });
  const auto end = scanner_.end();
  accept_head(buffered().substr(scanner_.begin(), end - scanner_.begin()));
  if (phase_ != Phase::Body) return;
  consume(end);
  accept_body();
}

void Connection::accept_head(std::string_view bytes) {
  auto parsed = parse_head(bytes);
  if (const auto* refusal = std::get_if<Refusal>(&parsed)) return refuse_request(refusal->status, refusal->detail);
  auto& head = std::get<Head>(parsed);
  request_ = std::move(head.request);
  is_head_ = request_.method == "HEAD";
  keep_alive_ = head.keep_alive;
  expects_continue_ = head.expects_continue;
  body_bytes_ = head.content_length;
  const auto& options = shared_->options;
  const auto limit =
      options.body_limit_for ? options.body_limit_for(request_.method, request_.path) : options.body_bytes_max;
  if (body_bytes_ > limit) {
    return refuse_request(413, "The body is larger than " + std::to_string(limit) + " bytes.");
  }
  phase_ = Phase::Body;
}

void Connection::accept_body() {
  const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(body_bytes_, buffered().size()));
  request_.body.assign(buffered().substr(0, here));
  consume(here);
  if (here == body_bytes_) return hand_over();
  set_deadline(shared_->options.body_timeout);
  // A client that already sends does not wait for our consent.
  if (expects_continue_ && here == 0) return send_continue();
  read_body();
}

void Connection::send_continue() {
  asio::async_write(socket_, asio::buffer(continue_line), [self = shared_from_this()](error_code error, std::size_t) {
    if (self->phase_ != Phase::Body) return;
    if (error) return self->close();
    self->read_body();
  });
}

void Connection::read_body() {
  auto& body = request_.body;
  const auto have = body.size();
  const auto piece = std::clamp(have, body_piece_bytes_min, body_piece_bytes_max);
  body.resize(have + static_cast<std::size_t>(std::min<std::uint64_t>(body_bytes_ - have, piece)));
  socket_.async_read_some(asio::buffer(body.data() + have, body.size() - have),
                          [self = shared_from_this(), have](error_code error, std::size_t size) {
                            if (self->phase_ != Phase::Body) return;
                            if (error) return self->close();
                            self->request_.body.resize(have + size);
                            if (self->request_.body.size() == self->body_bytes_) return self->hand_over();
                            self->read_body();
                          });
}

// -- ending ----

void Connection::set_deadline(std::chrono::milliseconds after) {
  deadline_ = (Clock::now() + after).time_since_epoch().count();
}

void Connection::on_deadline() {
  clear_deadline();
  switch (phase_) {
    case Phase::Head: return refuse_request(408, "The header did not arrive in time.");
    case Phase::Body: return refuse_request(408, "The body did not arrive in time.");
    case Phase::Handling:
      if (const auto exchange = exchange_.lock(); exchange && exchange->take()) {
        refuse_request(503, "The answer took too long; the request may still take effect.");
      }
      return;
    case Phase::Streaming:
      if (!stream_writing_) return write_heartbeat();
      return close();
    case Phase::Idle:
    case Phase::Writing:
    case Phase::Lingering: return close();
    case Phase::Closed: return;
  }
}

void Connection::linger() {
  if (stream_) stream_->mark_gone();
  ++read_number_;
  error_code ignored;
  socket_.cancel(ignored);
  socket_.shutdown(Socket::shutdown_send, ignored);
  if (shared_->stopping) return close();
  phase_ = Phase::Lingering;
  set_deadline(linger_timeout);
  discard_input();
}

void Connection::watch_client() {
  // Nothing that comes now is a request we will answer; the read is there to notice the end.
  consume(buffered().size());
  read_more([](Connection& self) {
    if (self.phase_ == Phase::Streaming) self.watch_client();
  });
}

void Connection::discard_input() {
  discarded_bytes_ += buffered().size();
  consume(buffered().size());
  if (discarded_bytes_ > linger_bytes_max) return close();
  read_more([](Connection& self) { self.discard_input(); });
}

void Connection::close() {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  clear_deadline();
  if (stream_) stream_->mark_gone();
  error_code ignored;
  socket_.close(ignored);
  shared_->forget(shared_from_this());
}

}  // namespace cartwright::http
