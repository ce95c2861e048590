#pragma once
// The program's log: one line an event on stderr, as text or JSON. Any thread; lines are written by a thread of their own.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace cartwright::node {

enum class Level { debug, info, warn, error };

/// Sets level (`trace`..`error`, `off`) and format (`text` or `json`) once, before anything is logged.
void start_log(const std::string& level, const std::string& format);
/// Writes what is waiting. Call it before the process ends.
void flush_log();

using Fields = std::initializer_list<std::pair<std::string_view, std::string>>;

/// `event` is a stable, greppable name (kebab-case); `text` a sentence; `fields` what a machine looks for.
void log(Level level, std::string_view event, std::string_view text, Fields fields = {});
[[nodiscard]] bool logs(Level level);

}  // namespace cartwright::node
