#pragma once
// Other people's programs that play a role: the nine payloads, no headers, any partition, one answer or two, sometimes
// before the question. They remember what they have decided, and read the log from where they were.

#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/loop/world.hpp"

namespace cartwright::loop {

class Foreign {
 public:
  Foreign(World& world, RoleId role);
  /// Reads one record and does what it asks for. False: there was none.
  bool step();
  [[nodiscard]] bool lags() const;

 private:
  void on(const Record& record);
  void inventory(const Event& e);
  void payment(const Event& e);
  void shipping(const Event& e);
  void write(Event e);
  [[nodiscard]] Event answer(Topic topic, const OrderId& order) const;

  World& world_;
  RoleId role_;
  std::vector<Topic> reads_;
  std::map<std::pair<Topic, int>, std::int64_t> at_;
  std::map<std::string, std::string> decided_;
};

}  // namespace cartwright::loop
