#include "app/node/log.hpp"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "bridges/json/writer.hpp"

namespace cartwright::node {
namespace {

bool as_json = false;

spdlog::level::level_enum of(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void start_log(const std::string& level, const std::string& format) {
  as_json = format == "json";
  spdlog::init_thread_pool(8'192, 1);
  // When lines come faster than stderr takes them, the oldest are dropped: a log must not hold up orders.
  auto logger = spdlog::create_async_nb<spdlog::sinks::stderr_sink_mt>("cartwright");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  logger->set_pattern(as_json ? "{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"severity\":\"%l\",%v}" : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                      spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(logger);
}

void flush_log() { spdlog::shutdown(); }

bool logs(Level level) { return spdlog::default_logger_raw() && spdlog::should_log(of(level)); }

void log(Level level, std::string_view event, std::string_view text, Fields fields) {
  if (!logs(level)) return;
  std::string line;
  if (as_json) {
    json::Writer writer;
    writer.begin_object().key("event").string(event).key("message").string(text);
    for (const auto& [name, value] : fields) writer.key(name).string(value);
    writer.end_object();
    line = writer.take();
    line = line.substr(1, line.size() - 2);  // the pattern has the braces
  } else {
    line = std::string(event) + ": ";
    for (char c : text) line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    for (const auto& [name, value] : fields) line += " " + std::string(name) + "=" + value;
  }
  spdlog::default_logger_raw()->log(of(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace cartwright::node
