#include "bridges/http/exchange.hpp"

#include <exception>
#include <utility>

#include "bridges/http/problem.hpp"

namespace cartwright::http {

// -- exchange ----

Exchange::~Exchange() {
  if (take()) deliver(problem(500, "", "The request was dropped without an answer."));
}

void Exchange::deliver(Response response) noexcept {
  try {
    if (sink) return sink(std::move(response));
    if (const auto connection = peer.lock()) connection->answer(std::move(response));
  } catch (const std::exception&) {
    // Only memory can be short here; the answer timeout then ends the request.
    return;
  }
}

// -- stream state ----

bool StreamState::write(std::string_view block) {
  if (!open_) return false;
  bool ask = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + in_flight_bytes_ + block.size() > limit_) {
      open_ = false;
    } else {
      waiting_ += block;
      ask = !std::exchange(pump_asked_, true);
    }
  }
  if (const auto connection = peer_.lock()) {
    if (!open_) connection->drop();
    if (ask) connection->pump();
    return open_;
  }
  open_ = false;
  return false;
}

void StreamState::close() {
  if (!open_.exchange(false)) return;
  if (const auto connection = peer_.lock()) connection->pump();
}

bool StreamState::take(std::string& batch) {
  batch.clear();
  const std::lock_guard lock(mutex_);
  batch.swap(waiting_);
  in_flight_bytes_ = batch.size();
  pump_asked_ = false;
  return open_ || !batch.empty();
}

// -- stream ----

bool Stream::write(std::string_view event_block) const { return state_ && state_->write(event_block); }

void Stream::close() const {
  if (state_) state_->close();
}

bool Stream::open() const { return state_ && state_->open(); }

// -- responder ----

Responder::Responder(std::function<void(Response)> answer) : exchange_(std::make_shared<Exchange>()) {
  exchange_->sink = std::move(answer);
}

void Responder::send(Response response) const {
  if (exchange_->take()) exchange_->deliver(std::move(response));
}

Stream Responder::start_stream() const {
  if (!exchange_->take()) return {};
  const auto connection = exchange_->peer.lock();
  if (!connection) return {};
  const auto state = std::make_shared<StreamState>(exchange_->peer, connection->stream_backlog_bytes());
  connection->begin_stream(state);
  // The connection holds `state` too; this handle's end is what tells that no writer is left.
  return Stream(std::shared_ptr<StreamState>(state.get(), [state](StreamState*) { state->close(); }));
}

}  // namespace cartwright::http
