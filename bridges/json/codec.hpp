#pragma once
// JSON at the boundary: records of the topics and rows of the store. The actors know cartwright::Codec only.
//
// event_reader.cpp reads payloads, event_writer.cpp writes them, codec.cpp knows headers, reroutes and dead letters,
// documents.cpp the stored rows.

#include <string>
#include <string_view>
#include <vector>

#include "actors/codec.hpp"
#include "actors/topics.hpp"

namespace cartwright::json {

/// The codec for JSON payloads with CloudEvents headers. Immutable after construction: any thread, any number of them.
class JsonCodec final : public Codec {
 public:
  /// `names`: the topics' names in force. `group_prefix`: of the consumer groups, which dead letters name.
  JsonCodec(TopicNames names, std::string group_prefix);

  void read(Record& record, const std::vector<Header>& headers) const override;
  [[nodiscard]] Outgoing write(const Event& event) const override;
  [[nodiscard]] Outgoing reroute(const Record& record) const override;
  [[nodiscard]] Outgoing dead_letter(const DeadLetter& letter, RoleId reader) const override;

  [[nodiscard]] std::string write(const order::Order& order) const override;
  [[nodiscard]] order::Order read_order(const Row& row) const override;
  [[nodiscard]] std::string write(const inventory::Reservation& reservation) const override;
  [[nodiscard]] inventory::Reservation read_reservation(const Row& row) const override;
  [[nodiscard]] std::string write(const payment::Charge& charge) const override;
  [[nodiscard]] payment::Charge read_charge(const Row& row) const override;
  [[nodiscard]] std::string write(const shipping::Shipment& shipment) const override;
  [[nodiscard]] shipping::Shipment read_shipment(const Row& row) const override;
  [[nodiscard]] std::string write(const notification::Notice& notice) const override;
  [[nodiscard]] notification::Notice read_notice(const Row& row) const override;

 private:
  TopicNames names_;
  std::string group_prefix_;
};

}  // namespace cartwright::json
