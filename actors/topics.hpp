#pragma once
// The one table of topics: name, who writes it, who reads it, which fields it needs. Everything else asks this table.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cartwright {

enum class RoleId : std::uint8_t { order, inventory, payment, shipping, notification };
inline constexpr std::array roles = {RoleId::order, RoleId::inventory, RoleId::payment, RoleId::shipping,
                                     RoleId::notification};

/// A set of roles, one bit each.
using RoleSet = std::uint8_t;
[[nodiscard]] constexpr RoleSet bit(RoleId role) { return static_cast<RoleSet>(1u << static_cast<unsigned>(role)); }
[[nodiscard]] constexpr bool contains(RoleSet set, RoleId role) { return (set & bit(role)) != 0; }
inline constexpr RoleSet all_roles = 0b11111;

[[nodiscard]] std::string_view to_string(RoleId role);
[[nodiscard]] std::optional<RoleId> role_named(std::string_view name);

enum class Topic : std::uint8_t {
  order_placed, inventory_reserved, inventory_failed, payment_initiated, payment_success, payment_failed, order_shipped,
  order_tracking_updated, notification_send,
  order_cancel_requested, order_cancelled, order_delivered, order_rerouted, inventory_release_requested, inventory_released,
  order_status_requested, payment_refund_requested, payment_refunded, payment_refund_failed
};
inline constexpr std::size_t topic_count = 19;

/// A field that a payload must have; bits of TopicInfo::needs. `order_id` is needed everywhere.
enum Field : std::uint16_t {
  lines = 1,          // product_id and quantity, or items
  user = 2,           // user_id
  amount = 4,
  txn = 8,            // txn_id
  tracking = 16,      // tracking_id
  message = 32,
  reason = 64,
};

struct TopicInfo {
  Topic topic;
  std::string_view name;       // the default; TOPIC_... settings may rename it
  RoleSet written_by;          // roles; others may write too where contract.md says "anyone"
  RoleSet read_by;
  std::uint16_t needs;         // Field bits
};

/// The table, in the order of contract.md section 1.
[[nodiscard]] std::span<const TopicInfo, topic_count> topics();
[[nodiscard]] const TopicInfo& info(Topic topic);
[[nodiscard]] std::string_view to_string(Topic topic);
[[nodiscard]] std::optional<Topic> topic_named(std::string_view default_name);

/// The topics that a role reads, in the table's order.
[[nodiscard]] std::vector<Topic> topics_read_by(RoleId role);

/// The dead-letter topic of a topic's name.
[[nodiscard]] std::string dead_letters_of(std::string_view name);

/// The names in force: the table's, or what TOPIC_... settings made of them.
class TopicNames {
 public:
  TopicNames();
  void rename(Topic topic, std::string name) { names_[static_cast<std::size_t>(topic)] = std::move(name); }
  [[nodiscard]] const std::string& operator[](Topic topic) const { return names_[static_cast<std::size_t>(topic)]; }
  [[nodiscard]] std::optional<Topic> find(std::string_view name) const;

 private:
  std::array<std::string, topic_count> names_;
};

}  // namespace cartwright
