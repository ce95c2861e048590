#include "app/node/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cartwright::node {
namespace {

/// A registry for one answer: the figures are counted elsewhere.
class Page {
 public:
  void counter(const std::string& name, const std::string& help, const std::map<std::string, std::string>& labels, double value) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels).Increment(value);
  }
  void gauge(const std::string& name, const std::string& help, const std::map<std::string, std::string>& labels, double value) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels).Set(value);
  }
  [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

 private:
  prometheus::Registry registry_{prometheus::Registry::InsertBehavior::Merge};
};

double of(std::uint64_t n) { return static_cast<double>(n); }

void process(Page& page) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  page.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", {}, seconds(usage.ru_utime) + seconds(usage.ru_stime));
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {}, static_cast<double>(resident * sysconf(_SC_PAGESIZE)));
  std::error_code ignored;
  std::filesystem::directory_iterator fds("/proc/self/fd", ignored);
  page.gauge("process_open_fds", "Number of open file descriptors.", {}, static_cast<double>(std::distance(fds, {})));
}

}  // namespace

std::string render_metrics(const MetricsSources& sources) {
  Page page;
  page.gauge("cartwright_build_info", "Always 1; the version is a label.", {{"version", sources.version}}, 1);
  for (const auto& [check, why] : sources.board->checks())
    page.gauge("cartwright_ready", "1 when a check of /readyz is well.", {{"check", check}}, why.empty() ? 1 : 0);
  page.gauge("cartwright_backlog_orders", "Unread records where a role here is furthest behind, which is in a topic one an order; beyond order.backlog-max more orders are refused.", {},
             static_cast<double>(sources.board->backlog()));
  for (const ShardView& shard : sources.board->shards()) {
    std::map<std::string, std::string> labels{{"role", std::string(to_string(shard.shard.role))}, {"partition", std::to_string(shard.shard.partition)}};
    page.counter("cartwright_turns_total", "Turns a shard has finished.", labels, of(shard.turns));
    page.counter("cartwright_shard_records_total", "Records a shard has taken in.", labels, of(shard.records));
    page.counter("cartwright_actor_restarts_total", "Order actors that died and were set aside.", labels, of(shard.restarts));
    page.counter("cartwright_dead_letters_total", "Records that could not be used and went to the dead letters.", labels, of(shard.dead_letters));
    page.gauge("cartwright_rows", "Rows a shard works on.", labels, of(shard.rows));
    page.gauge("cartwright_order_actors", "Live order actors.", labels, of(shard.actors));
    page.gauge("cartwright_inputs_waiting", "Inputs that wait for the next turn.", labels, of(shard.waiting));
    page.gauge("cartwright_records_unpublished", "Records that are durable and not known to be in the log yet.", labels, of(shard.unpublished));
    page.gauge("cartwright_orders_quarantined", "Rows that are set aside.", labels, of(shard.quarantined));
  }
  for (const auto& [role, consumer] : sources.consumers) {
    std::map<std::string, std::string> labels{{"role", std::string(to_string(role))}};
    const auto& counters = consumer->counters();
    page.counter("cartwright_kafka_records_in_total", "Records read.", labels, of(counters.records));
    page.counter("cartwright_kafka_bytes_in_total", "Bytes of keys and values read.", labels, of(counters.bytes));
    page.counter("cartwright_kafka_rebalances_total", "Assignments received.", labels, of(counters.rebalances));
    page.counter("cartwright_kafka_pauses_total", "Shards paused because their turns did not keep up.", labels, of(counters.pauses));
    page.counter("cartwright_kafka_logs_lost_total", "Topics whose log ended before what had been read.", labels, of(counters.logs_lost));
    for (const auto& [topic, lag] : consumer->lag()) {
      auto with_topic = labels;
      with_topic["topic"] = std::string(to_string(topic));
      page.gauge("cartwright_kafka_lag_records", "Records between what was read and the end of the log.", with_topic, static_cast<double>(lag));
    }
  }
  if (sources.outside)
    for (const curl::LaneView& lane : sources.outside->views()) {
      const std::map<std::string, std::string> labels{{"server", lane.name}};
      page.gauge("cartwright_outside_well", "1 unless the server is known to be of no use just now.", labels, lane.trouble.empty() ? 1 : 0);
      page.gauge("cartwright_outside_under_way", "Exchanges that wait for their answer.", labels, of(lane.under_way));
      page.gauge("cartwright_outside_waiting", "Exchanges that wait for their turn.", labels, of(lane.waiting));
      for (const auto& [answer, count] : {std::pair("done", lane.done), std::pair("refused", lane.refused), std::pair("unknown", lane.unknown), std::pair("turned_away", lane.turned_away)}) {
        auto with_answer = labels;
        with_answer["answer"] = answer;
        page.counter("cartwright_outside_exchanges_total", "Exchanges that have ended, by what they came to.", with_answer, of(count));
      }
    }
  if (sources.stock) {
    const api::StockReport last = sources.stock().last;
    std::map<std::string, std::int64_t> differences;
    for (std::string_view kind : inventory::difference_kinds)
      if (kind != to_string(inventory::DifferenceKind::topics)) differences[std::string(kind)] = 0;
    for (const auto& one : last.differences) ++differences[std::string(to_string(one.kind))];
    for (const auto& [kind, count] : differences)
      page.gauge("cartwright_stock_differences", "What ledger, Redis and orders contradict each other in, as of the last comparison.",
                 {{"kind", kind}}, static_cast<double>(count));
    page.gauge("cartwright_stock_compared_products", "Products that the last comparison has looked at.", {}, static_cast<double>(last.products));
    page.gauge("cartwright_stock_busy_products", "Products that changed too quickly for the last comparison.", {}, static_cast<double>(last.busy.size()));
    page.gauge("cartwright_stock_comparison_finished", "1 unless the last comparison had to give up.", {}, last.why.empty() ? 1 : 0);
    page.gauge("cartwright_stock_compared_timestamp_seconds", "When the last comparison ended; 0: none has.", {}, static_cast<double>(last.ended) / 1e3);
  }
  if (sources.producer) {
    const auto& counters = sources.producer->counters();
    page.counter("cartwright_kafka_records_out_total", "Records written.", {}, of(counters.records));
    page.counter("cartwright_kafka_bytes_out_total", "Bytes of keys and values written.", {}, of(counters.bytes));
    page.counter("cartwright_kafka_write_failures_total", "Records of which it was not known whether they were written.", {}, of(counters.failures));
  }
  process(page);
  return page.text();
}

}  // namespace cartwright::node
