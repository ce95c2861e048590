#pragma once
// Scripts that let a shell complete our words. Written from what the command line knows, which is handed in.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cartwright::cli {

/// What may follow the commands typed so far.
struct Completions {
  std::string path;                                           // "", "order", "order place": words parted by a blank
  std::vector<std::pair<std::string, std::string>> commands;  // a name and what it does
  std::vector<std::pair<std::string, std::string>> options;   // likewise, with --
};

/// The script for `shell` (bash, zsh or fish); to be sourced, or put where that shell looks for it: its first line says.
/// `settings`: the configuration's options, --a.b-c, which take a value and may follow anything.
[[nodiscard]] std::string completion_script(std::string_view shell, const std::vector<Completions>& all,
                                            const std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace cartwright::cli
