#pragma once
// The port through which the actors read and write bytes. bridges/json implements it; nothing in actors/ knows JSON.

#include <string>
#include <string_view>
#include <vector>

#include "actors/inventory/rules.hpp"
#include "actors/messages.hpp"
#include "actors/notification/rules.hpp"
#include "actors/order/rules.hpp"
#include "actors/payment/rules.hpp"
#include "actors/shipping/rules.hpp"

namespace cartwright {

/// Reads and writes records and stored rows. Thread-safe: const members only touch their arguments.
class Codec {
 public:
  virtual ~Codec() = default;

  /// Reads `record.value` (and key and `headers`) into record.event, or says in record.poison why it cannot be read, by
  /// contract.md section 4. The topic of an order.rerouted comes from its header `topic`. Never throws on bad input.
  virtual void read(Record& record, const std::vector<Header>& headers) const = 0;

  /// Encodes an event for its topic, with CloudEvents headers (binary mode) and traceparent.
  [[nodiscard]] virtual Outgoing write(const Event& event) const = 0;
  /// The record unchanged, for order.rerouted, with the header `topic`.
  [[nodiscard]] virtual Outgoing reroute(const Record& record) const = 0;
  /// The dead letter of a record: bytes as they were (cut above limits::dead_value_bytes_max), and the dlq_ headers.
  [[nodiscard]] virtual Outgoing dead_letter(const DeadLetter& letter, RoleId reader) const = 0;

  /// Stored rows. Written is `Row::doc`: what the row's columns (key, state, owner, created_at, updated_at) do not say.
  /// Reading throws BrokenInvariant on anything that was not written here.
  [[nodiscard]] virtual std::string write(const order::Order& order) const = 0;
  [[nodiscard]] virtual order::Order read_order(const Row& row) const = 0;
  [[nodiscard]] virtual std::string write(const inventory::Reservation& reservation) const = 0;
  [[nodiscard]] virtual inventory::Reservation read_reservation(const Row& row) const = 0;
  [[nodiscard]] virtual std::string write(const payment::Charge& charge) const = 0;
  [[nodiscard]] virtual payment::Charge read_charge(const Row& row) const = 0;
  [[nodiscard]] virtual std::string write(const shipping::Shipment& shipment) const = 0;
  [[nodiscard]] virtual shipping::Shipment read_shipment(const Row& row) const = 0;
  [[nodiscard]] virtual std::string write(const notification::Notice& notice) const = 0;
  [[nodiscard]] virtual notification::Notice read_notice(const Row& row) const = 0;
};

}  // namespace cartwright
