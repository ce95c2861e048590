// What is told of a violation: the faults' window and the order's merged timeline from all ledgers.

#include "tests/loop/world.hpp"

namespace cartwright::loop {

std::string World::fault_window() const {
  if (first_fault_ < 0) return "no faults";
  return "faults from step " + std::to_string(first_fault_) + " to " + std::to_string(last_fault_) + ", now at " + std::to_string(step_);
}

std::string World::timeline(const std::string& text) const {
  std::string out;
  for (const Plan& plan : plans_) {
    const std::string& id = plan.id.value;
    auto at = text.find(id);
    if (at == std::string::npos) continue;
    auto after = at + id.size();
    if (after < text.size() && text[after] >= '0' && text[after] <= '9') continue;  // 7-1 in 7-10
    std::multimap<Millis, std::string> lines;
    for (const Written& record : log.ever())
      if (record.order == plan.id)
        lines.emplace(record.at, record.topic + "/" + std::to_string(record.partition) + "@" + std::to_string(record.offset) + " " + record.value);
    for (const auto& [role, store] : stores) {
      if (auto it = store.history.find(id); it != store.history.end())
        for (const Transition& step : it->second) lines.emplace(step.at, "  -> " + step.status + " by " + step.event);
      if (auto it = store.rows.find(id); it != store.rows.end())
        lines.emplace(it->second.row.updated_at, std::string("  row of ") + std::string(to_string(role)) + ", version " +
                                                     std::to_string(it->second.row.version) + ", shard " + std::to_string(it->second.partition) + ": " + it->second.row.doc);
      for (const DeadLetter& letter : store.dead)
        if (letter.record->event.order == plan.id) lines.emplace(0, "  dead letter, " + letter.cause + ": " + letter.record->value.value_or("null"));
    }
    for (const auto& [when, line] : lines) out += std::to_string(when) + " " + line + "\n";
    if (auto it = gateway.net.find(id); it != gateway.net.end()) out += "  gateway: " + std::to_string(it->second) + "\n";
    if (auto it = redis.orders.find(id); it != redis.orders.end()) out += "  Redis: " + it->second.state + "\n";
  }
  return out;
}

}  // namespace cartwright::loop
