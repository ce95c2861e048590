#pragma once
// How often a server may be asked: a bucket of tokens that fills with time. Pure: the time is handed in.

#include <algorithm>
#include <chrono>
#include <cmath>

namespace cartwright::curl {

/// At most so many a second on the average, and a second's worth (at least one) at once. Used by one thread at a time.
class Rate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// 0 or less: without a limit.
  explicit Rate(double per_second) : per_second_(per_second), most_(std::max(1.0, per_second)), tokens_(most_) {}

  /// Takes one if there is one.
  [[nodiscard]] bool take(Time now) {
    if (per_second_ <= 0) return true;
    fill(now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

  /// How long until `take` succeeds; 0: now.
  [[nodiscard]] std::chrono::milliseconds wait(Time now) {
    using std::chrono::milliseconds;
    if (per_second_ <= 0) return milliseconds(0);
    fill(now);
    return tokens_ >= 1 ? milliseconds(0) : milliseconds(static_cast<long>(std::ceil((1 - tokens_) * 1000 / per_second_)));
  }

 private:
  void fill(Time now) {
    if (last_ != Time{} && now > last_)
      tokens_ = std::min(most_, tokens_ + per_second_ * std::chrono::duration<double>(now - last_).count());
    if (now > last_) last_ = now;
  }

  double per_second_, most_, tokens_;
  Time last_{};
};

}  // namespace cartwright::curl
