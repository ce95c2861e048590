#include "app/node/record_log.hpp"

#include "app/node/log.hpp"

namespace cartwright::node {
namespace {

class LoggingCodec final : public Codec {
 public:
  explicit LoggingCodec(std::shared_ptr<const Codec> inner) : inner_(std::move(inner)) {}

  void read(Record& record, const std::vector<Header>& headers) const override {
    inner_->read(record, headers);
    log(Level::info, "record-in", record.poison,
        {{"order_id", record.poison.empty() ? record.event.order.value : record.key.value_or("")},
         {"topic", std::string(to_string(record.topic))},
         {"partition", std::to_string(record.partition)},
         {"offset", std::to_string(record.offset)},
         {"ce_id", record.event.ce_id}});
  }
  Outgoing write(const Event& event) const override { return inner_->write(event); }
  Outgoing reroute(const Record& record) const override { return inner_->reroute(record); }
  Outgoing dead_letter(const DeadLetter& letter, RoleId reader) const override { return inner_->dead_letter(letter, reader); }
  std::string write(const order::Order& order) const override { return inner_->write(order); }
  order::Order read_order(const Row& row) const override { return inner_->read_order(row); }
  std::string write(const inventory::Reservation& reservation) const override { return inner_->write(reservation); }
  inventory::Reservation read_reservation(const Row& row) const override { return inner_->read_reservation(row); }
  std::string write(const payment::Charge& charge) const override { return inner_->write(charge); }
  payment::Charge read_charge(const Row& row) const override { return inner_->read_charge(row); }
  std::string write(const shipping::Shipment& shipment) const override { return inner_->write(shipment); }
  shipping::Shipment read_shipment(const Row& row) const override { return inner_->read_shipment(row); }
  std::string write(const notification::Notice& notice) const override { return inner_->write(notice); }
  notification::Notice read_notice(const Row& row) const override { return inner_->read_notice(row); }

 private:
  std::shared_ptr<const Codec> inner_;
};

}  // namespace

std::shared_ptr<const Codec> logging_codec(std::shared_ptr<const Codec> inner) {
  return std::make_shared<const LoggingCodec>(std::move(inner));
}

void log_record_out(std::string_view topic, std::int32_t partition, std::int64_t offset, std::string_view key) {
  log(Level::info, "record-out", "",
      {{"order_id", std::string(key)}, {"topic", std::string(topic)}, {"partition", std::to_string(partition)}, {"offset", std::to_string(offset)}});
}

}  // namespace cartwright::node
