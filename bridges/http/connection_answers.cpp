// The half of Connection that answers: the handler's call, a response, a stream. The reading half is connection.cpp.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

#include "bridges/http/connection.hpp"
#include "bridges/http/problem.hpp"
#include "bridges/http/text.hpp"

namespace cartwright::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// A buffer that one large answer made is not kept for the small ones.
constexpr std::size_t kept_output_bytes_max = 64 * 1024;
constexpr std::string_view heartbeat = ": still here\n\n";

bool has_no_body(int status) { return status == 204 || status == 304 || status / 100 == 1; }

bool is_ours(std::string_view name) {
  return same_ignoring_case(name, "content-length") || same_ignoring_case(name, "connection") ||
         same_ignoring_case(name, "transfer-encoding") || same_ignoring_case(name, "server");
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  // A line end inside a value would let its author write headers of their own.
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  out += "\r\n";
}

void append_status(std::string& out, int status) {
  out += "HTTP/1.1 ";
  out += std::to_string(status);
  out += ' ';
  out += reason_phrase(status);
  out += "\r\nServer: cartwright\r\n";
}

void compose_head(std::string& out, const Response& response, bool keep_alive) {
  out.clear();
  append_status(out, response.status);
  if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
  for (const auto& header : response.headers) {
    if (!is_ours(header.name)) append_header(out, header.name, header.value);
  }
  if (!has_no_body(response.status)) append_header(out, "Content-Length", std::to_string(response.body.size()));
  if (!keep_alive) append_header(out, "Connection", "close");
  out += "\r\n";
}

}  // namespace

// -- answering ----

void Connection::hand_over() {
  phase_ = Phase::Handling;
  set_deadline(shared_->options.answer_timeout);
  auto exchange = std::make_shared<Exchange>();
  exchange->peer = weak_from_this();
  exchange_ = exchange;
  const Responder responder(std::move(exchange));
  try {
    shared_->handler(std::move(request_), responder);
  } catch (const std::exception&) {
    // What it says is for a log, not for the client: it may hold names and values of others.
    responder.send(problem(500, "", "The request failed for a reason inside the server."));
  } catch (...) {
    responder.send(problem(500, "", "The request failed for a reason inside the server."));
  }
}

void Connection::refuse_request(int status, std::string_view detail) {
  if (phase_ == Phase::Closed) return;
  // A read may still be pending; what it brings belongs to a request that is over.
  ++read_number_;
  error_code ignored;
  socket_.cancel(ignored);
  keep_alive_ = false;
  phase_ = Phase::Handling;
  write_response(problem(status, "", detail));
}

void Connection::write_response(Response response) {
  if (phase_ != Phase::Handling) return;
  phase_ = Phase::Writing;
  keep_alive_ = keep_alive_ && !shared_->draining;
  compose_head(output_head_, response, keep_alive_);
  output_body_ = is_head_ || has_no_body(response.status) ? std::string() : std::move(response.body);
  set_deadline(shared_->options.write_timeout);
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(output_head_), asio::buffer(output_body_)};
  asio::async_write(socket_, buffers, [self = shared_from_this()](error_code error, std::size_t) {
    if (self->phase_ != Phase::Writing) return;
    if (error) return self->close();
    self->response_written();
  });
}

void Connection::response_written() {
  if (output_body_.capacity() > kept_output_bytes_max) std::string().swap(output_body_);
  // An answer that promised to stay open is kept to, even if the server has begun to drain since.
  if (keep_alive_) return next_request();
  linger();
}

// -- streaming ----

void Connection::open_stream(std::shared_ptr<StreamState> stream) {
  if (phase_ != Phase::Handling) return stream->mark_gone();
  phase_ = Phase::Streaming;
  stream_ = std::move(stream);
  output_head_.clear();
  append_status(output_head_, 200);
  append_header(output_head_, "Content-Type", "text/event-stream");
  append_header(output_head_, "Cache-Control", "no-store");
  append_header(output_head_, "Connection", "close");
  output_head_ += "\r\n";
  if (is_head_ || shared_->stopping) stream_->mark_gone();
  watch_client();
  write_stream(output_head_);
}

void Connection::pump_stream() {
  if (phase_ != Phase::Streaming || stream_writing_) return;
  const bool goes_on = stream_->take(output_body_);
  if (!goes_on || is_head_) return linger();
  if (!output_body_.empty()) return write_stream(output_body_);
  set_deadline(shared_->options.stream_heartbeat);
}

void Connection::write_heartbeat() { write_stream(heartbeat); }

void Connection::write_stream(std::string_view bytes) {
  stream_writing_ = true;
  set_deadline(shared_->options.write_timeout);
  asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (self->phase_ != Phase::Streaming) return;
                      if (error) return self->close();
                      self->stream_writing_ = false;
                      self->pump_stream();
                    });
}

}  // namespace cartwright::http
