#pragma once
// The Prometheus text of a node: figures that others count, put together when somebody asks.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "app/api/stock_check.hpp"
#include "app/node/health.hpp"
#include "bridges/curl/client.hpp"
#include "bridges/kafka/consumer.hpp"
#include "bridges/kafka/producer.hpp"

namespace cartwright::node {

struct MetricsSources {
  std::shared_ptr<Board> board;
  std::shared_ptr<kafka::ProducerClient> producer;
  std::map<RoleId, std::shared_ptr<kafka::RoleConsumer>> consumers;
  std::shared_ptr<curl::Client> outside;  // may be null
  std::function<api::StockCheck()> stock;  // empty: no inventory role here
  std::string version;
};

/// Prometheus text format 0.0.4. Any thread.
[[nodiscard]] std::string render_metrics(const MetricsSources& sources);

}  // namespace cartwright::node
