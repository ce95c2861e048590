// The run itself: senders hand in orders, a watcher reads their ends, a ledger knows both; then the check.
#include "app/cli/load.hpp"

#include <unistd.h>

#include <cmath>
#include <iostream>
#include <thread>

#include "app/cli/load_send.hpp"
#include "app/cli/load_watch.hpp"
#include "app/cli/output.hpp"
#include "app/cli/processes.hpp"
#include "app/options/text.hpp"

namespace cartwright::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::int64_t stock_patience_ms = 20'000, sample_patience_ms = 10'000;

ServerPorts ports_of(const options::Options& options) {
  auto port_in_url = [](const std::string& url, int usual) {
    auto begin = url.find("://");
    if (begin == std::string::npos) return 0;
    std::string authority = url.substr(begin + 3, url.find_first_of("/?", begin + 3) - begin - 3);
    if (auto at = authority.rfind('@'); at != std::string::npos) authority.erase(0, at + 1);
    auto address = options::host_port(authority);
    return address ? static_cast<int>(address->port) : usual;
  };
  ServerPorts ports;
  auto brokers = options::split(options.kafka_broker, ',');
  if (auto address = options::host_port(brokers.front())) ports.kafka = address->port;
  if (options.redis_url.starts_with("redis://")) ports.redis = port_in_url(options.redis_url, 6379);
  if (options.database_url.starts_with("postgres")) ports.postgres = port_in_url(options.database_url, 5432);
  ports.http = options.http_port;
  return ports;
}

std::vector<Watched> processes_of(const Context& context, const LoadOptions& options) {
  if (options.pids == "none") return {};
  if (options.pids == "auto") return find_processes(ports_of(context.options));
  std::string fault;
  auto watched = watched_of(options.pids, fault);
  if (!fault.empty()) throw CommandError("--pids " + fault, exit_usage);
  for (const Watched& one : watched)
    if (cpu_us(one.pid) < 0)
      throw CommandError("--pids: there is no process " + std::to_string(one.pid) + " (" + one.name + ")", exit_usage);
  watched.push_back({"load", getpid()});
  return watched;
}

void check_arguments(const LoadOptions& options) {
  auto wrong = [](const std::string& what) { throw CommandError(what, exit_usage); };
  if (options.orders < 1) wrong("--orders: at least 1");
  if (options.window < 1) wrong("--window: at least 1");
  if (options.rate < 0 || !std::isfinite(options.rate)) wrong("--rate: orders per second, more than 0");
  if (options.batch < 1 || options.batch > 10'000) wrong("--batch: 1 to 10000, the most that one call takes");
  if (options.products < 1 || options.products > 100'000) wrong("--products: 1 to 100000");
  if (options.lines < 1 || options.lines > 100) wrong("--lines: 1 to 100");
  if (options.lines > options.products) wrong("--lines: not more than --products, each line has a product of its own");
  if (options.declined < 0 || options.out_of_stock < 0 || options.declined + options.out_of_stock > 100)
    wrong("--declined and --out-of-stock: percents, not more than 100 together");
  if (options.connections < 0 || options.connections > 10'000) wrong("--connections: 1 to 10000");
}

void show_progress(const Ledger& ledger, const LoadOptions& options, Clock::time_point began, bool last) {
  if (!is_terminal(2)) return;
  constexpr std::int64_t width = 30;
  auto ended = ledger.settled();
  auto seconds = std::chrono::duration<double>(Clock::now() - began).count();
  auto filled = static_cast<std::size_t>(width * std::min(ended, options.orders) / options.orders);
  std::string bar(filled, '#');
  bar.resize(width, '.');
  std::cerr << "\r[" << bar << "] " << grouped(ended) << " of " << grouped(options.orders) << " ended, "
            << grouped(ledger.accepted() - ended) << " in flight, "
            << grouped(seconds > 0 ? static_cast<std::int64_t>(static_cast<double>(ended) / seconds) : 0) << "/s \033[K"
            << (last ? "\r\033[K" : "") << std::flush;
}

/// Starts the senders; they end when the feeder has no more.
std::vector<std::thread> senders(Run& run, int partitions, std::atomic<int>& running) {
  std::vector<std::thread> threads;
  int count = run.options.via == Via::kafka  ? 1
              : run.options.connections > 0  ? run.options.connections
              : run.options.via == Via::http ? 64
                                             : 2;
  running = count;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&run, &running, partitions] {
      try {
        send_orders(run, partitions);
      } catch (const std::exception& error) {
        run.refusals.add(0, error.what());
        run.feeder.stop();
      }
      --running;
    });
  return threads;
}

/// Until everything has ended, the time is over, or nothing can come any more. What kept it from ending; "" if nothing.
std::string wait_for_ends(Run& run, Watcher& watcher, std::atomic<int>& running, Clock::time_point began,
                          double& placing_seconds) {
  auto deadline = began + std::chrono::milliseconds(run.options.timeout_ms);
  auto shown = began;
  for (;;) {
    bool placed = running == 0;
    if (placed && placing_seconds == 0) placing_seconds = std::chrono::duration<double>(Clock::now() - began).count();
    if (placed && run.ledger.settled() >= run.ledger.accepted()) return {};
    if (placed && run.ledger.accepted() - run.feeder.refused_count() <= run.ledger.settled() &&
        run.options.via == Via::kafka)
      return {};
    if (watcher.failed()) return "the topics cannot be read any more";
    if (interrupted()) return "interrupted";
    if (Clock::now() >= deadline)
      return "the time of --timeout " + options::spell_duration(run.options.timeout_ms) + " is over";
    if (Clock::now() - shown >= 200ms) {
      shown = Clock::now();
      show_progress(run.ledger, run.options, began, false);
    }
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

int load(const Context& context, const LoadOptions& options) {
  check_arguments(options);
  auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  std::string run_name = "load-" + std::to_string(millis), prefix = options.prefix.empty() ? run_name : options.prefix;
  if (!valid_id(prefix) || prefix.size() > 100)
    throw CommandError("--prefix: 1 to 100 letters of [A-Za-z0-9._:~-]", exit_usage);
  if (!options.stock && options.prefix.empty())
    throw CommandError(
        "--no-stock needs the --prefix of a run that has set the stock: products are <prefix>-0, <prefix>-1 ...",
        exit_usage);
  catch_interrupts();
  Plan plan(options, prefix, run_name);
  std::vector<std::int64_t> units(static_cast<std::size_t>(options.products)), shipped(units.size()), sold_before;
  for (std::int64_t number = 0; number < options.orders; ++number)
    for (int product : plan.products_of(number))
      if (product >= 0) ++units[static_cast<std::size_t>(product)];
  Context stock_context = context;
  if (!options.stock_url.empty()) stock_context.url = options.stock_url;
  if (options.stock || options.check) {
    HttpClient client = stock_context.http();
    sold_before = prepare_stock(client, plan, units, options.stock);
  }

  LoadReport report;
  report.via = options.via == Via::http ? "http" : options.via == Via::batch ? "batch" : "kafka";
  report.prefix = prefix;
  report.orders = options.orders;
  Ledger ledger(plan, options.orders);
  Refusals refusals;
  Feeder feeder(options, ledger);
  Watcher watcher(context, ledger, feeder);
  CpuMeter meter(processes_of(context, options));
  auto began = Clock::now();
  Run run{context, options, plan, ledger, feeder, refusals};
  std::atomic<int> running{0};
  feeder.begin();
  watcher.begin();
  auto threads = senders(run, watcher.partitions(), running);
  std::string unfinished = wait_for_ends(run, watcher, running, began, report.placing_seconds);
  feeder.stop();
  if (report.placing_seconds == 0) report.placing_seconds = std::chrono::duration<double>(Clock::now() - began).count();
  report.cpu_us = meter.used();
  for (auto& thread : threads) thread.join();
  watcher.end();
  show_progress(ledger, options, began, true);

  std::vector<Sample> sample;
  ledger.report(report, sample, shipped);
  report.busy_answers = feeder.busy();
  report.late_ms_max = feeder.late_ms_max();
  if (!watcher.fault().empty()) report.problems.push_back(watcher.fault());
  if (std::string text = refusals.text(); !text.empty()) report.problems.push_back(text);
  if (report.accepted < options.orders && unfinished.empty()) unfinished = "not all were placed";
  if (report.ended < options.orders)
    report.problems.push_back(std::to_string(options.orders - report.ended) + " orders did not end" +
                              (unfinished.empty() ? "" : ": " + unfinished));
  // What is still under way has no end to compare: the sums would only say so again.
  if (options.check && report.ended == report.accepted && !interrupted()) {
    try {
      HttpClient stock = stock_context.http(), orders = context.http();
      for (auto& problem : check_stock(stock, plan, sold_before, shipped, stock_patience_ms))
        report.problems.push_back(std::move(problem));
      for (auto& problem : check_orders(orders, sample, sample_patience_ms))
        report.problems.push_back(std::move(problem));
    } catch (const CommandError& error) {
      report.problems.emplace_back(error.what());
    }
  }
  std::cout << (context.format == Format::json ? to_json(report) : to_text(report));
  return report.problems.empty() ? exit_ok : exit_failure;
}

}  // namespace cartwright::cli
