#include "actors/topics.hpp"

#include "actors/check.hpp"

namespace cartwright {
namespace {

constexpr RoleSet o = bit(RoleId::order), i = bit(RoleId::inventory), p = bit(RoleId::payment), s = bit(RoleId::shipping),
                  n = bit(RoleId::notification);

// The order role also reads what it writes itself where foreign programs may write it too, or where it has to know that
// the log has taken it (order.placed: rule 3).
constexpr std::array<TopicInfo, topic_count> table{{
    {Topic::order_placed, "order.placed", o, o | i | n, lines | user},
    {Topic::inventory_reserved, "inventory.reserved", i, o | n, lines},
    {Topic::inventory_failed, "inventory.failed", i, o | n, lines},
    {Topic::payment_initiated, "payment.initiated", o, p, amount | user},
    {Topic::payment_success, "payment.success", p, o | n, txn | amount},
    {Topic::payment_failed, "payment.failed", p, o | i | n, 0},
    {Topic::order_shipped, "order.shipped", o, s | i | n, user},
    {Topic::order_tracking_updated, "order.tracking.updated", s, o | n, tracking},
    {Topic::notification_send, "notification.send", o | p, n, message},
    {Topic::order_cancel_requested, "order.cancel.requested", 0, o, 0},
    {Topic::order_cancelled, "order.cancelled", o, n, reason},
    {Topic::order_delivered, "order.delivered", s, o | n, 0},
    {Topic::order_rerouted, "order.rerouted", o, o, 0},
    {Topic::inventory_release_requested, "inventory.release.requested", o, i, 0},
    {Topic::inventory_released, "inventory.released", i, o, 0},
    {Topic::order_status_requested, "order.status.requested", i, o, 0},
    {Topic::payment_refund_requested, "payment.refund.requested", o, p, 0},
    {Topic::payment_refunded, "payment.refunded", p, o | n, txn | amount},
    {Topic::payment_refund_failed, "payment.refund.failed", p, o | n, txn | amount},
}};

constexpr bool in_order() {
  for (std::size_t k = 0; k < table.size(); ++k)
    if (static_cast<std::size_t>(table[k].topic) != k) return false;
  return true;
}
static_assert(in_order(), "info() indexes the table by the enumerator");

constexpr std::array<std::string_view, 5> role_names{"order", "inventory", "payment", "shipping", "notification"};

}  // namespace

std::string_view to_string(RoleId role) { return role_names[static_cast<std::size_t>(role)]; }

std::optional<RoleId> role_named(std::string_view name) {
  for (RoleId role : roles)
    if (to_string(role) == name) return role;
  return {};
}

std::span<const TopicInfo, topic_count> topics() { return table; }
const TopicInfo& info(Topic topic) { return table[static_cast<std::size_t>(topic)]; }
std::string_view to_string(Topic topic) { return info(topic).name; }

std::optional<Topic> topic_named(std::string_view default_name) {
  for (const TopicInfo& row : table)
    if (row.name == default_name) return row.topic;
  return {};
}

std::vector<Topic> topics_read_by(RoleId role) {
  std::vector<Topic> read;
  for (const TopicInfo& row : table)
    if (contains(row.read_by, role)) read.push_back(row.topic);
  return read;
}

std::string dead_letters_of(std::string_view name) { return std::string(name) + ".dlq"; }

TopicNames::TopicNames() {
  for (const TopicInfo& row : table) rename(row.topic, std::string(row.name));
}

std::optional<Topic> TopicNames::find(std::string_view name) const {
  for (const TopicInfo& row : table)
    if ((*this)[row.topic] == name) return row.topic;
  return {};
}

}  // namespace cartwright
